package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/simulate"
	"sluice.dev/sluice/internal/suite"
)

// bundleSuite returns a suite with the data that it names, as apply sends it.
func bundleSuite(path string) (string, error) { return suite.Bundle(path) }

// lintResult is what lint says of one file.
type lintResult struct {
	File   string         `json:"file"`
	Kind   string         `json:"kind"`
	OK     bool           `json:"ok"`
	Faults release.Faults `json:"faults"` // warnings are among them

	Plan *simulate.Forecast `json:"plan,omitempty"` // of a valid Model: what each step needs
}

func (r lintResult) text() string {
	var b strings.Builder
	if len(r.Faults) > 0 {
		fmt.Fprintln(&b, r.Faults.Error())
	}
	if r.OK {
		fmt.Fprintf(&b, "%s: a valid %s\n", r.File, r.Kind)
	}
	if r.Plan != nil {
		planned(&b, r.Plan)
	}
	return b.String()
}

// lint checks one file by its kind, with the code that the server uses.
func lint(file string) (lintResult, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return lintResult{}, usage(err.Error(), "name a file that can be read: -f model.yaml")
	}
	r := lintResult{File: file, Kind: kindOfFile(data)}
	switch r.Kind {
	case release.KindSuite:
		if r.Faults = suite.Lint(file, data); r.Faults.Err() == nil {
			_, err = suite.Load(file)
		}
	case release.KindConfig:
		_, r.Faults = release.ParseConfig(file, data)
	default:
		r.Kind = release.KindModel
		var m *release.Model
		if m, r.Faults = release.ParseModel(file, data); m != nil {
			err = lintSuites(file, m)
			var late release.Faults
			r.Plan, late = planFaults(file, data, m)
			r.Faults = append(r.Faults, late...).Sorted()
		}
	}
	r.OK = r.Faults.Err() == nil
	if r.Faults == nil {
		r.Faults = release.Faults{} // an empty list for programs, not null
	}
	return r, err
}

// lintSuites checks that the suites of a model can be read.
func lintSuites(file string, m *release.Model) error {
	for _, step := range m.Spec.Plan.Steps {
		if step.Test == nil {
			continue
		}
		if _, err := suite.Load(filepath.Join(filepath.Dir(file), step.Test.Suite)); err != nil {
			return err
		}
	}
	return nil
}

func kindOfFile(data []byte) string {
	var head struct {
		Kind string `yaml:"kind"`
	}
	_ = yaml.Unmarshal(data, &head) // a file that can't be read has no kind and is reported as a Model
	return head.Kind
}

func (e *env) testCmd() *cobra.Command {
	var file, against, live, model, ver, write string
	var timeout time.Duration
	var seed uint64
	var tags []string
	cmd := &cobra.Command{
		Use:   "test -f SUITE (--against URL | --model MODEL --version VERSION)",
		Short: "Run a test suite against a version: functional, performance and exception tests",
		Long: "Run a test suite against a version, as the test step of a release does. Exit code 0 if all required cases passed,\n" +
			"2 if one failed, 3 if a required case can't tell.",
		Example: "  sluice test -f examples/credit/suite.yaml --against http://127.0.0.1:9102 -o junit > report.xml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := suite.Load(file)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			o := suite.Options{BaseURL: against, LiveURL: live}
			if against == "" {
				if o, err = e.versionOptions(ctx, model, ver); err != nil {
					return err
				}
			}
			o.Seed, o.Tags, o.Progress = seed, tags, e.progress()
			report, err := suite.Run(ctx, s, o)
			if err != nil {
				return err
			}
			if err := e.writeReport(report, write); err != nil {
				return err
			}
			return testCode(report)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&file, "file", "f", "", "the Suite file")
	f.StringVar(&against, "against", "", "base URL of the version under test")
	f.StringVar(&live, "live", "", "base URL of the live version, for comparisons")
	f.StringVar(&model, "model", "", "take the URLs from this model")
	f.StringVar(&ver, "version", "", "with --model: the version under test")
	f.StringVarP(&write, "report", "r", "", "write to this file instead of stdout")
	f.StringVarP(&e.output, "output", "o", "table", "output: table, json, junit or html")
	f.DurationVar(&timeout, "timeout", 10*time.Minute, "give up after this time")
	f.Uint64Var(&seed, "seed", 0, "seed of samples and orders (default: the suite's own, else 1)")
	f.StringSliceVar(&tags, "tag", nil, "only cases with one of these tags")
	_ = cmd.MarkFlagRequired("file")
	return cmd
}

// versionOptions looks up a model's version and its live one: addresses, names and headers. Secrets of headers are resolved
// here, where the suite runs.
func (e *env) versionOptions(ctx context.Context, model, ver string) (o suite.Options, err error) {
	if model == "" || ver == "" {
		return o, usage("what shall be tested is missing", "give --against URL, or --model MODEL and --version VERSION")
	}
	client, err := e.client()
	if err != nil {
		return o, err
	}
	m, err := client.Model(ctx, model)
	if err != nil {
		return o, err
	}
	v, ok := m.Spec.Spec.Versions[ver]
	if !ok {
		return o, usage(fmt.Sprintf("model %s has no version %q", model, ver), "it has: "+strings.Join(m.Versions, ", "))
	}
	o.BaseURL, o.Model = v.URL, v.Model
	if o.Headers, err = suite.ResolveHeaders(v.Headers); err != nil {
		return o, err
	}
	if live, known := m.Spec.Spec.Versions[m.Live]; known && m.Live != ver {
		o.LiveURL, o.LiveModel = live.URL, live.Model
		o.LiveHeaders, err = suite.ResolveHeaders(live.Headers)
	}
	return o, err
}

// progress tells on stderr, on a terminal, which case runs.
func (e *env) progress() func(suite.Progress) {
	if _, tty := terminal(e.err); !tty {
		return nil
	}
	return func(p suite.Progress) {
		fmt.Fprintf(e.err, "\r\x1b[K%d of %d  %s", p.Done, p.Total, short(p.Case+" "+p.Detail, 60))
		if p.Done == p.Total {
			fmt.Fprint(e.err, "\r\x1b[K")
		}
	}
}

// storedReport shows the report of a release's test step.
func (e *env) storedReport(ctx context.Context, client *api.Client, model, number, file string) error {
	n, err := releaseNumber(number)
	if err != nil {
		return err
	}
	data, err := client.Report(ctx, model, n)
	if err != nil {
		return err
	}
	var r suite.Report
	if err := json.Unmarshal(data, &r); err != nil {
		return release.Internal("read the report", err, "it is not as this version of sluice writes it").Fix("read it with: curl .../api/v1/models/%s/releases/%d/report", model, n)
	}
	return e.writeReport(&r, file)
}

// writeReport writes a report in the asked format, to stdout or a file.
func (e *env) writeReport(r *suite.Report, file string) error {
	w := e.out
	if file != "" {
		f, err := os.Create(file)
		if err != nil {
			return usage(err.Error(), "name a file that can be written")
		}
		defer f.Close()
		w = f
	}
	switch e.output {
	case "json":
		return r.WriteJSON(w)
	case "yaml":
		return e.printAs("yaml", r)
	case "junit":
		return r.WriteJUnit(w)
	case "html":
		return r.WriteHTML(w)
	}
	return r.WriteTable(w)
}

func testCode(r *suite.Report) error {
	switch {
	case r.Passed():
		return nil
	case r.UndecidedOnly():
		return exit{exitUndecided}
	}
	return exit{exitRolled}
}
