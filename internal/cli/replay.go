package cli

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sluice.dev/sluice/internal/app"
)

func (e *env) replayCmd() *cobra.Command {
	var config, data string
	cmd := &cobra.Command{
		Use: "replay MODEL N", Short: "Judge a stored release again from its log and compare",
		Long: "Fold the telemetry of release N of a model again from the start of the log, repeat the judgement of each of\n" +
			"its decisions, and compare tally and verdicts with what is on record, bit for bit. It reads the data folder\n" +
			"of a server that does not run. The exit code is 0 only if every judged decision is the same.",
		Example: "  sluice replay credit 1 --data ./data",
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
			all, err := app.Replay(cmd.Context(), cfg, args[0], uint32(n), log)
			if err != nil {
				return err
			}
			return e.replayed(all)
		},
	}
	cmd.Flags().StringVarP(&config, "config", "c", "", "the server's Config file (default: all defaults)")
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
