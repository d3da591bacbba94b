package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/release"
)

func (e *env) applyCmd() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "apply -f FILE", Short: "Store a Model file: the next release starts from it",
		Example: "  sluice apply -f examples/credit/model.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := e.client()
			if err != nil {
				return err
			}
			req, err := readModel(file)
			if err != nil {
				return err
			}
			ctx, cancel := withTimeout(cmd.Context())
			defer cancel()
			resp, err := client.Apply(ctx, req)
			if err != nil {
				return err
			}
			for _, w := range resp.Warnings {
				fmt.Fprintln(e.err, "warning: "+w)
			}
			return e.print(resp, func() { fmt.Fprintln(e.out, applied(resp)) })
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "the Model file")
	_ = cmd.MarkFlagRequired("file")
	return cmd
}

func applied(r api.ApplyResponse) string {
	switch {
	case r.Created:
		return fmt.Sprintf("model %s created, live: %s", r.Model, r.Live)
	case r.Changed:
		return fmt.Sprintf("model %s changed; the next release starts from it", r.Model)
	}
	return fmt.Sprintf("model %s is unchanged", r.Model)
}

// readModel reads a Model file and the suites that it names, whose paths are relative to it. The
// file is checked here as well, so that its faults are told without a server.
func readModel(file string) (api.ApplyRequest, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return api.ApplyRequest{}, usage(err.Error(), "name a Model file: -f model.yaml")
	}
	m, faults := release.ParseModel(file, data)
	if err := faults.Err(); err != nil {
		return api.ApplyRequest{}, err
	}
	req := api.ApplyRequest{Name: file, File: string(data), Files: map[string]string{}}
	for _, step := range m.Spec.Plan.Steps {
		if step.Test == nil {
			continue
		}
		content, err := bundleSuite(filepath.Join(filepath.Dir(file), step.Test.Suite))
		if err != nil {
			return req, err
		}
		req.Files[step.Test.Suite] = content
	}
	return req, nil
}

func (e *env) lintCmd() *cobra.Command {
	var files []string
	cmd := &cobra.Command{
		Use: "lint -f FILE", Short: "Check a Model, Suite or Config file, offline, and list all its faults",
		Example: "  sluice lint -f examples/credit/model.yaml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			faulty := false
			results := []lintResult{}
			for _, f := range files {
				r, err := lint(f)
				if err != nil {
					return err
				}
				faulty = faulty || !r.OK
				results = append(results, r)
			}
			err := e.print(results, func() {
				for _, r := range results {
					fmt.Fprint(e.out, r.text())
				}
			})
			if err == nil && faulty {
				err = exit{exitFault}
			}
			return err
		},
	}
	cmd.Flags().StringSliceVarP(&files, "file", "f", nil, "the files")
	_ = cmd.MarkFlagRequired("file")
	return cmd
}

func (e *env) listCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the models and what happens to them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, client, done, err := e.reach(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			models, err := client.Models(ctx)
			if err != nil {
				return err
			}
			return e.print(models, func() { e.tableOfModels(models) })
		},
	}
}

func (e *env) tableOfModels(models []api.Model) {
	if len(models) == 0 {
		fmt.Fprintln(e.out, "no models yet; add one with: sluice apply -f FILE")
		return
	}
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	defer func() { _ = w.Flush() }() // as any other write to the terminal
	fmt.Fprintln(w, "MODEL\tLIVE\tRELEASE\tCANDIDATE\tPHASE\tSHARE\tWHY")
	for _, m := range models {
		if m.Current == nil {
			fmt.Fprintf(w, "%s\t%s\t-\t-\t-\t-\tno release yet\n", m.Name, m.Live)
			continue
		}
		r := m.Current
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", m.Name, m.Live, r.Number, r.Candidate, r.Phase, r.Share, short(r.Reason, 60))
	}
}

func (e *env) getCmd() *cobra.Command {
	var spec, decisions, report bool
	var file string
	cmd := &cobra.Command{
		Use: "get MODEL [NUMBER]", Short: "Show a model and its releases, or one release with its decisions",
		Long: "Show a model and its releases, or one release with its decisions and what its test step found. The whole report\n" +
			"of the test step is kept with the release: --tests shows it, also as -o junit or -o html.",
		Example:           "  sluice get credit\n  sluice get credit 3\n  sluice get credit 3 --tests -o html -r report.html",
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: e.completeModels,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, client, done, err := e.reach(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			switch {
			case report && len(args) < 2:
				return usage("a report is of one release", "give its number: sluice get "+args[0]+" 1 --tests")
			case report:
				return e.storedReport(ctx, client, args[0], args[1], file)
			case len(args) == 2:
				return e.getRelease(ctx, client, args[0], args[1], decisions)
			}
			return e.getModel(ctx, client, args[0], spec)
		},
	}
	cmd.Flags().BoolVar(&spec, "spec", false, "print the Model file as it is stored")
	cmd.Flags().BoolVar(&report, "tests", false, "print the report of the release's test step; -o table, json, junit or html")
	cmd.Flags().StringVarP(&file, "report", "r", "", "with --tests: write to this file instead of stdout")
	cmd.Flags().BoolVar(&decisions, "decisions", true, "with the decisions of a release")
	return cmd
}

func (e *env) getModel(ctx context.Context, client *api.Client, name string, spec bool) error {
	m, err := client.Model(ctx, name)
	if err != nil {
		return err
	}
	if spec {
		return e.printAs("yaml", m.Spec)
	}
	releases, err := client.Releases(ctx, name)
	if err != nil {
		return err
	}
	type full struct {
		api.Model
		Releases []api.Release `json:"releases"`
	}
	return e.print(full{m, releases}, func() {
		fmt.Fprintf(e.out, "model %s   live %s   versions %s   applied %s by %s\n", m.Name, m.Live, strings.Join(m.Versions, ", "),
			m.Applied.Local().Format(time.DateTime), m.By)
		e.tableOfReleases(releases)
	})
}

func (e *env) tableOfReleases(releases []api.Release) {
	if len(releases) == 0 {
		return
	}
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	defer func() { _ = w.Flush() }() // as any other write to the terminal
	fmt.Fprintln(w, "\nRELEASE\tCANDIDATE\tPHASE\tSHARE\tBEGAN\tTOOK\tWHY")
	for _, r := range releases {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Number, r.Candidate, r.Phase, r.Share,
			r.Created.Local().Format(time.DateTime), seconds(r.Duration), short(r.Reason, 70))
	}
}

func (e *env) getRelease(ctx context.Context, client *api.Client, model, number string, decisions bool) error {
	n, err := releaseNumber(number)
	if err != nil {
		return err
	}
	r, err := client.Release(ctx, model, n)
	if err != nil {
		return err
	}
	return e.print(r, func() {
		fmt.Fprint(e.out, e.view(r, 100))
		if decisions {
			fmt.Fprintln(e.out)
			e.listDecisions(r.Decisions)
		}
	})
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}

func short(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// completeModels offers the names of the models for shell completion; silence when the server does
// not answer.
func (e *env) completeModels(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	client, err := e.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
	defer cancel()
	models, err := client.Models(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, m := range models {
		names = append(names, m.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
