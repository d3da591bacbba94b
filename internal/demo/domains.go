package demo

import (
	"encoding/json"
	"fmt"
	"net/http"

	"sluice.dev/sluice/examples/diagnosis"
	diagnosisserver "sluice.dev/sluice/examples/diagnosis/server"
	"sluice.dev/sluice/examples/images"
	imagesserver "sluice.dev/sluice/examples/images/server"
	"sluice.dev/sluice/examples/llm"
	llmserver "sluice.dev/sluice/examples/llm/server"
	"sluice.dev/sluice/examples/web"
	"sluice.dev/sluice/internal/demo/credittraffic"
	"sluice.dev/sluice/internal/rollout"
)

// diagnosisScenario has too little traffic to decide: that v2 pauses, and does not succeed, is its point. With more
// traffic (--rate) the same plan may decide, and then only for v2.
func diagnosisScenario() *Scenario {
	return &Scenario{
		Name: "diagnosis", Short: "a diagnosis model at a small laboratory", Rate: 16,
		path: "/diagnose", media: "application/json", least: 16, declared: 0.5,
		files: diagnosis.Files, versions: diagnosis.Versions(),
		handler: func(version string, seed uint64) (http.Handler, error) {
			return diagnosisserver.New(web.Flags{Version: version, Delay: serviceDelay, Seed: seed})
		},
		source: func(seed uint64) (source, error) {
			names, err := diagnosis.Measurements()
			if err != nil {
				return nil, err
			}
			samples, err := diagnosis.Samples()
			if err != nil {
				return nil, err
			}
			var rows []row
			for _, s := range samples {
				body := map[string]float64{}
				for i, n := range names {
					body[n] = s.Values[i]
				}
				facts := []fact{{"truth", s.Truth()}}
				if s.Malignant {
					facts = append(facts, fact{"malignant", s.Truth()})
				}
				r, err := jsonRow(body, facts)
				if err != nil {
					return nil, err
				}
				rows = append(rows, r)
			}
			return newRows(seed, 0.9, rows)
		},
		releases: []planned{{
			"v2", "all 30 measurements instead of 4", []rollout.Phase{rollout.Paused, rollout.Succeeded},
		}},
	}
}

func imagesScenario() *Scenario {
	return &Scenario{
		Name: "images", Short: "a recommender of similar products", Rate: 400,
		path: "/image", media: "application/octet-stream", least: 40, declared: 0.1,
		files: images.Files, versions: images.Versions(),
		handler: func(version string, seed uint64) (http.Handler, error) {
			return imagesserver.New(web.Flags{Version: version, Delay: serviceDelay, Seed: seed})
		},
		source: func(seed uint64) (source, error) {
			products, err := images.Catalogue()
			if err != nil {
				return nil, err
			}
			category := map[string]int{}
			for _, p := range products {
				category[p.ID] = p.Category
			}
			var rows []row
			for _, p := range products {
				rows = append(rows, row{body: p.Pixels, learn: func(answer []byte) []fact {
					return clicks(answer, category, p.Category)
				}})
			}
			return newRows(seed, 0.25, rows)
		},
		releases: []planned{{
			"v2", "similar by the network's inner layer instead of raw pixels", []rollout.Phase{rollout.Succeeded},
		}},
	}
}

// clicks counts the recommended products of the category that the user looks for. An answer that can't be read has
// none, and says so: a shop would see no click either.
func clicks(answer []byte, category map[string]int, wanted int) []fact {
	var a struct{ Similar []string }
	n := 0
	if json.Unmarshal(answer, &a) == nil {
		for _, id := range a.Similar {
			if c, ok := category[id]; ok && c == wanted {
				n++
			}
		}
	}
	return []fact{{"clicks", n}}
}

func llmScenario() *Scenario {
	return &Scenario{
		Name: "llm", Short: "three versions of a language model", Rate: 60,
		path: "/v1/completions", media: "application/json", least: 15, declared: 0.2,
		files: llm.Files, versions: llm.Versions(),
		handler: func(version string, seed uint64) (http.Handler, error) {
			return llmserver.New(web.Flags{Version: version, Delay: serviceDelay, Seed: seed})
		},
		source: func(seed uint64) (source, error) {
			_, tokenizer, err := llm.Load("v2")
			if err != nil {
				return nil, err
			}
			cases, err := llm.Cases(tokenizer)
			if err != nil {
				return nil, err
			}
			var rows []row
			for _, c := range cases {
				r, err := jsonRow(map[string]any{"model": llm.Name, "prompt": c.Prompt, "max_tokens": 1, "temperature": 0},
					[]fact{{"next", c.Next}})
				if err != nil {
					return nil, err
				}
				rows = append(rows, r)
			}
			return newRows(seed, 0.25, rows)
		},
		releases: []planned{
			{"v2", "trained for 1,400 steps instead of 200", []rollout.Phase{rollout.Succeeded}},
			{"v3", "cut to 3 bits per weight to save memory", []rollout.Phase{rollout.RolledBack}},
		},
	}
}

// row is a request that users send over and over.
type row struct {
	body  []byte
	learn func(answer []byte) []fact
}

// jsonRow is a row whose outcome does not depend on the answer.
func jsonRow(body any, facts []fact) (row, error) {
	b, err := json.Marshal(body)
	return row{b, func([]byte) []fact { return facts }}, err
}

// rows are users who send rows at random.
type rows struct {
	source *credittraffic.Source
	list   []row
}

// newRows makes a source; newShare is the share of requests that come from a new user.
func newRows(seed uint64, newShare float64, list []row) (source, error) {
	s, err := credittraffic.NewSource(credittraffic.Config{Seed: seed, NewShare: newShare}, len(list))
	if err != nil {
		return nil, fmt.Errorf("requests of the demo: %w", err)
	}
	return &rows{s, list}, nil
}

func (r *rows) next() job {
	q := r.source.Next()
	at := r.list[q.Row]
	return job{user: string(credittraffic.AppendUser(nil, q)), body: at.body, learn: at.learn}
}
