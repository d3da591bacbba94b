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
	under, err := baseURL(spec, version)
	if err != nil {
		return rollout.TestOutcome{}, err
	}
	s.log.Info("test suite begins", "model", model, "suite", path, "version", version)
	report, err := suite.Run(ctx, st, suite.Options{BaseURL: under, Seed: 1})
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

func baseURL(spec release.Model, version string) (string, error) {
	v, ok := spec.Spec.Versions[version]
	if !ok {
		return "", release.NotFound("run suite", "the model has no version %q", version)
	}
	return v.URL, nil
}
