package llm_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"sluice.dev/sluice/examples/llm"
	"sluice.dev/sluice/examples/llm/slm"
)

func TestDataIsAsItsProvenanceSays(t *testing.T) {
	text, err := llm.Data.ReadFile("data/PROVENANCE.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := llm.Data.ReadDir("data")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() == "PROVENANCE.md" {
			continue
		}
		data, err := llm.Data.ReadFile("data/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		if !strings.Contains(string(text), hex.EncodeToString(sum[:])+"  "+f.Name()) {
			t.Errorf("%s is not the file that PROVENANCE.md describes", f.Name())
		}
	}
}

// TestQuality recomputes what the README says of 50 of the held-out explanations. The tolerances are those of a
// sample: all 400 give 17.8, 31.3 and 24.4 %, and perplexities of 82.9, 28.5 and 41.8.
func TestQuality(t *testing.T) {
	glosses, err := llm.Glosses()
	if err != nil {
		t.Fatal(err)
	}
	if len(glosses) != 400 {
		t.Fatalf("%d glosses, want 400", len(glosses))
	}
	for _, want := range []struct {
		version         string
		top, perplexity float64
	}{{"v1", .178, 82.9}, {"v2", .313, 28.5}, {"v3", .244, 41.8}} {
		m, tok, err := llm.Load(want.version)
		if err != nil {
			t.Fatal(err)
		}
		if m.Parameters() != 430752 {
			t.Errorf("%s has %d parameters, want 430752", want.version, m.Parameters())
		}
		var hits, n int
		var logP float64
		for i := 0; i < len(glosses); i += 8 {
			s := m.Start(256)
			s.Add(slm.Begin)
			for _, token := range append(tok.Encode(glosses[i]), slm.End) {
				l := s.Logits()
				if slm.Top(l) == token {
					hits++
				}
				logP += slm.LogP(l, token)
				n++
				s.Add(token)
			}
		}
		top, perplexity := float64(hits)/float64(n), math.Exp(-logP/float64(n))
		t.Logf("%s: %d tokens, top-1 %.4f, perplexity %.2f", want.version, n, top, perplexity)
		if math.Abs(top-want.top) > .025 || math.Abs(math.Log(perplexity/want.perplexity)) > .12 {
			t.Errorf("%s: top-1 %.3f and perplexity %.1f, want about %.3f and %.1f", want.version, top, perplexity, want.top, want.perplexity)
		}
	}
}

// TestCasesReadBack says that a prompt cut before a word has the tokens that the whole text has there.
func TestCasesReadBack(t *testing.T) {
	_, tok, err := llm.Load("v2")
	if err != nil {
		t.Fatal(err)
	}
	cases, err := llm.Cases(tok)
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != 2940 {
		t.Errorf("%d cases, want 2940", len(cases))
	}
	for _, c := range cases {
		whole, part := tok.Encode(c.Prompt+c.Next), tok.Encode(c.Prompt)
		if len(whole) != len(part)+1 || tok.Text(whole[len(part)]) != c.Next {
			t.Errorf("%q + %q: %d tokens, then %d", c.Prompt, c.Next, len(part), len(whole))
		}
	}
}
