package cli

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sluice.dev/sluice/internal/app"
	"sluice.dev/sluice/internal/release"
)

func (e *env) replayCmd() *cobra.Command {
	var config, data, plan string
	cmd := &cobra.Command{
		Use: "replay MODEL N", Short: "Judge a stored release again from its log, bit for bit or under another plan",
		Long: "Fold the telemetry of release N of a model again from the start of the log, repeat the judgement of each of\n" +
			"its decisions, and compare tally and verdicts with what is on record, bit for bit. It reads the data folder\n" +
			"of a server that does not run. The exit code is 0 only if every judged decision is the same.\n\n" +
			"With --plan the data are judged under the margins, tolerances, roles, weights and alpha of another Model file: what would\n" +
			"have been shown, and when. Steps and shares stay as they were, since they are how the data came about; metrics\n" +
			"that were not measured can't be judged. Both need the release's telemetry in the log: retention removes it.",
		Example: "  sluice replay credit 1 --data ./data\n  sluice replay credit 1 --data ./data --plan stricter.yaml",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseUint(args[1], 10, 32)
			if err != nil || n == 0 {
				return usage(fmt.Sprintf("%q is no number of a release", args[1]), "sluice get "+args[0]+" lists them")
			}
			cfg, err := readConfig(config)
			if err != nil {
				return err
			}
			override(&cfg.Spec.DataDir, data)
			log, err := e.logger("error", "text")
			if err != nil {
				return err
			}
			if plan != "" {
				return e.rejudge(cmd.Context(), cfg, args[0], uint32(n), plan, log)
			}
			all, err := app.Replay(cmd.Context(), cfg, args[0], uint32(n), log)
			if err != nil {
				return err
			}
			return e.replayed(all)
		},
	}
	cmd.Flags().StringVarP(&config, "config", "c", "", "the server's Config file (default: all defaults)")
	cmd.Flags().StringVar(&plan, "plan", "", "judge under this Model file's metrics and alpha")
	cmd.Flags().StringVar(&data, "data", "", "the server's data folder (default: ./sluice-data)")
	return cmd
}

// replayed prints what came out. A release without any judged decision proves nothing and is no success.
func (e *env) replayed(all []app.Replayed) error {
	judged, same := 0, 0
	for _, r := range all {
		if r.Judged {
			judged++
		}
		if r.Same {
			same++
		}
	}
	err := e.print(all, func() {
		w := tabwriter.NewWriter(e.out, 0, 4, 2, ' ', 0)
		fmt.Fprintln(w, "NUMBER\tTIME\tSTEP\tWHAT\tREPLAY")
		for _, r := range all {
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", r.Number, r.Time.Format(time.RFC3339), r.Step, r.What, outcome(r))
		}
		_ = w.Flush() // as any other write to the terminal
		fmt.Fprintf(e.out, "%d of %d judged decisions are the same\n", same, judged)
	})
	switch {
	case err != nil:
		return err
	case same != judged || judged == 0:
		return exit{exitFault}
	}
	return nil
}

func outcome(r app.Replayed) string {
	switch {
	case r.Same:
		return "same"
	case !r.Judged:
		return "-"
	}
	return "DIFFERENT: " + strings.ReplaceAll(r.Differs, "\n", "; ")
}

func (e *env) rejudge(ctx context.Context, cfg *release.Config, model string, n uint32, plan string, log *slog.Logger) error {
	text, err := readFile(e.in, plan)
	if err != nil {
		return err
	}
	other, faults := release.ParseModel(plan, text)
	if err := faults.Err(); err != nil {
		return err
	}
	r, err := app.Rejudge(ctx, cfg, model, n, other, log)
	if err != nil {
		return err
	}
	return e.print(r, func() { e.rejudged(r, plan) })
}

// rejudged prints what the data say under another plan.
func (e *env) rejudged(r *app.Rejudged, plan string) {
	w := tabwriter.NewWriter(e.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "DECISION\tDATA UNTIL\tSTEP\tRECORDED\tUNDER THE OTHER PLAN")
	for i := range r.Looks {
		l := &r.Looks[i]
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", l.Decision, l.Time.Format(time.RFC3339), l.Step, l.Recorded, found(l))
	}
	_ = w.Flush() // as any other write to the terminal
	if h := r.Harm; h != nil {
		fmt.Fprintf(e.out, "under %s harm is shown by %s with the data until %s, at decision %d or before it\n", plan, h.HarmBy, h.Time.Format(time.RFC3339), h.Decision)
		for i := range h.Verdicts {
			if v := &h.Verdicts[i]; v.Metric == h.HarmBy {
				fmt.Fprintf(e.out, "  %s\n", v.Reason)
			}
		}
		return
	}
	fmt.Fprintf(e.out, "under %s no harm is shown\n", plan)
}

// found says what a look shows.
func found(l *app.RejudgedLook) string {
	switch {
	case l.Harm:
		return "harm: " + l.HarmBy
	case l.Shown:
		return "no worse"
	}
	var open []string
	for i := range l.Verdicts {
		if v := &l.Verdicts[i]; v.Role != release.Watch && !v.NoWorse {
			open = append(open, v.Metric+" "+string(v.State))
		}
	}
	return "undecided: " + strings.Join(open, ", ")
}
