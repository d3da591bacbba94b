package demo

import (
	"net/http"

	"sluice.dev/sluice/examples/credit"
	"sluice.dev/sluice/examples/credit/server"
	"sluice.dev/sluice/internal/demo/credittraffic"
	"sluice.dev/sluice/internal/rollout"
)

func creditScenario() *Scenario {
	return &Scenario{
		Name: "credit", Short: "three versions of a credit model", Rate: 2000,
		path: "/credit", media: "application/json", least: 100, declared: 0.2,
		files: credit.Files, versions: credit.Versions(),
		handler: func(version string, seed uint64) (http.Handler, error) {
			model, err := credit.Load(version)
			if err != nil {
				return nil, err
			}
			return server.New(server.Options{Version: version, Model: model, Delay: serviceDelay, Sigma: serviceSigma, Seed: seed})
		},
		source: newApplicants,
		releases: []planned{
			{"v2", "boosted trees instead of a logistic regression", []rollout.Phase{rollout.Succeeded}},
			{"v3", "retrained on a new extract of the data", []rollout.Phase{rollout.RolledBack}},
		},
	}
}

// applicants are users who ask for credit; whether it was paid back is told later.
type applicants struct {
	source    *credittraffic.Source
	templates *credittraffic.Templates
}

func newApplicants(seed uint64) (source, error) {
	list, err := credit.Applicants()
	if err != nil {
		return nil, err
	}
	templates, err := credittraffic.NewTemplates(list)
	if err != nil {
		return nil, err
	}
	s, err := credittraffic.NewSource(credittraffic.Config{Seed: seed}, templates.Len())
	if err != nil {
		return nil, err
	}
	return &applicants{s, templates}, nil
}

func (a *applicants) next() job {
	r := a.source.Next()
	facts := []fact{{"outcome", a.templates.Outcome(r)}}
	return job{
		user: string(credittraffic.AppendUser(nil, r)), body: a.templates.AppendBody(nil, r),
		learn: func([]byte) []fact { return facts },
	}
}
