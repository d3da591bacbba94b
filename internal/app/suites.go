package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/suite"
)

// suites runs the suite of a test step against a version, and keeps its report.
type suites struct {
	records *records.Records
	log     *slog.Logger
}

// Run implements controller.Suites. name is path@HASH, as it was bound when the file was applied.
func (s *suites) Run(ctx context.Context, model, name string, spec release.Model, version string) (rollout.TestOutcome, error) {
	path, hash, ok := strings.Cut(name, "@")
	if !ok {
		return rollout.TestOutcome{}, release.Invalid("run suite "+name, "the suite was not stored with the model").Fix("apply the Model file with sluice apply -f")
	}
	content, err := s.records.GetFile(ctx, hash)
	if err != nil {
		return rollout.TestOutcome{}, err
	}
	st, err := suite.Unbundle(string(content))
	if err != nil {
		return rollout.TestOutcome{}, err
	}
	o, err := s.against(ctx, model, spec, version)
	if err != nil {
		return rollout.TestOutcome{}, err
	}
	s.log.Info("test suite begins", "model", model, "suite", path, "version", version)
	report, err := suite.Run(ctx, st, o)
	if err != nil {
		return rollout.TestOutcome{}, err
	}
	outcome := rollout.TestOutcome{
		Passed: report.Passed(), Summary: report.Summary(), Required: report.RequiredCount(),
		Failed: report.FailedRequired(), Finished: time.Now(),
	}
	s.log.Info("test suite ended", "model", model, "suite", path, "version", version, "passed", outcome.Passed, "summary", outcome.Summary)
	outcome.Report, err = s.keep(ctx, report)
	return outcome, err
}

func (s *suites) keep(ctx context.Context, report *suite.Report) (string, error) {
	data, err := json.Marshal(report)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	hash := hex.EncodeToString(sum[:])
	return hash, s.records.PutReport(ctx, hash, data)
}

// against says where the suite's requests go: to the version under test, and for comparisons to the one that is live. Both
// get what the gateway would add to a request: headers with their secrets, and the name that the upstream knows the model by.
func (s *suites) against(ctx context.Context, model string, spec release.Model, version string) (suite.Options, error) {
	o := suite.Options{Secret: resolveSecret}
	var err error
	if o.BaseURL, o.Model, o.Headers, err = upstream(spec, version); err != nil {
		return o, err
	}
	m, err := s.records.Model(ctx, model)
	if err != nil || m.Live == version {
		return o, err
	}
	if _, known := spec.Spec.Versions[m.Live]; !known {
		return o, nil // the file that the release froze no longer names it: comparisons are skipped and say so
	}
	o.LiveURL, o.LiveModel, o.LiveHeaders, err = upstream(spec, m.Live)
	return o, err
}

// upstream is where a version is and what its requests get.
func upstream(spec release.Model, version string) (address, model string, headers map[string]string, err error) {
	v, ok := spec.Spec.Versions[version]
	if !ok {
		return "", "", nil, release.NotFound("run suite", "the model has no version %q", version)
	}
	headers = map[string]string{}
	for name, secret := range v.Headers {
		if headers[name], err = resolveSecret(secret); err != nil {
			return "", "", nil, err
		}
	}
	return v.URL, v.Model, headers, nil
}
