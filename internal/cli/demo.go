package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/demo"
	"sluice.dev/sluice/internal/rollout"
)

func (e *env) demoCmd() *cobra.Command {
	var o demo.Options
	var leave, verbose bool
	cmd := &cobra.Command{
		Use: "demo [credit]", Short: "Release a real credit model step by step, and withdraw a bad one: one command, nothing to set up",
		Long: "Starts three real credit models, a Sluice with embedded storage in a temporary folder, and users who come and\n" +
			"return. Releases v2, which is better and reaches production, and then v3, which was trained on skewed data and is\n" +
			"caught by evidence alone. Takes about 90 seconds on two cores.",
		Example: "  sluice demo\n  sluice demo --exit -o json",
		Args:    cobra.MaximumNArgs(1), ValidArgs: []string{"credit"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] != "credit" {
				return usage(fmt.Sprintf("there is no demo %q", args[0]), "the demo is: sluice demo credit")
			}
			if verbose {
				log, err := e.logger("debug", "text")
				if err != nil {
					return err
				}
				o.Log = log
			}
			return e.demo(cmd.Context(), o, leave)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&leave, "exit", false, "end with the summary: exit code 0 if v2 succeeded and v3 was rolled back, else 2 or 3")
	f.BoolVar(&o.NoShadow, "no-shadow", false, "leave the shadow step out: v3 is then caught in the A/B test")
	f.IntVar(&o.Rate, "rate", 2000, "requests per second")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of users, applicants and delays")
	f.StringVar(&o.Dir, "data", "", "keep the data in this folder (default: a temporary one)")
	f.BoolVar(&verbose, "verbose", false, "the server's log on stderr")
	return cmd
}

func (e *env) demo(ctx context.Context, o demo.Options, leave bool) error {
	talk := e.output == "table"
	s := &demoScreen{screen: screen{e: e}}
	if talk {
		o.See, o.Say = s.see, s.sayf
		fmt.Fprintln(e.out, "starting three credit models, a Sluice and its users ...")
	}
	d, err := demo.Start(ctx, o)
	if err != nil {
		return err
	}
	defer d.Close()
	if talk {
		s.sayf("users send %d requests a second to %s/credit", o.Rate, d.GatewayURL())
	}
	s.client = d.Client()
	result, err := d.Run(ctx)
	if err != nil {
		return err
	}
	if err := e.print(result, func() { s.finish(); e.summary(result, d.Stats()) }); err != nil {
		return err
	}
	if !leave {
		e.stay(ctx, d)
	}
	return demoCode(result)
}

// summary tells what became of the releases.
func (e *env) summary(r demo.Result, stats string) {
	fmt.Fprintln(e.out)
	for _, rel := range r.Releases {
		mark, color := "✔", good
		if rel.Phase != rollout.Succeeded {
			mark, color = "✖", bad
		}
		fmt.Fprintf(e.out, "%s %s %s after %.0f s; %s requests of users were answered by it\n", e.paint(color, mark), rel.Candidate,
			e.paint(color, string(rel.Phase)), rel.DurationSeconds, thousands(rel.CandidateExposures))
		if n := len(rel.Decisions); n > 0 {
			fmt.Fprintf(e.out, "  %s\n", rel.Decisions[n-1].Reason)
		}
	}
	fmt.Fprintln(e.out, e.paint(faint, "  "+stats))
}

// stay keeps the demo up and says how to reach it.
func (e *env) stay(ctx context.Context, d *demo.Demo) {
	client := d.Client()
	fmt.Fprintf(e.err, "\nstill running; look around in another terminal, end with Ctrl-C:\n"+
		"  export SLUICE_SERVER=%s SLUICE_TOKEN=%s\n  sluice get credit\n  sluice audit verify credit\n", client.Base, client.Token)
	<-ctx.Done()
}

// demoCode is 0 if the demo went as it should, else that of the release that did not.
func demoCode(r demo.Result) error {
	if r.Good() {
		return nil
	}
	for i, rel := range r.Releases {
		if i == 0 && rel.Phase != rollout.Succeeded || i > 0 && !rel.Phase.Ended() {
			if err := codeOf(rel.Phase); err != nil {
				return err
			}
		}
	}
	return exit{exitFault} // a bad version that succeeded
}

// demoScreen is a screen that also prints each decision, above the view, as it is taken.
type demoScreen struct {
	screen
	client *api.Client
	told   map[uint32]uint64 // by release: number of the last decision printed
	drawn  time.Time
}

func (s *demoScreen) sayf(format string, args ...any) {
	s.clear()
	fmt.Fprintf(s.e.out, format+"\n", args...)
}

func (s *demoScreen) see(r api.Release) {
	s.tell(r)
	if _, tty := terminal(s.e.out); tty && os.Getenv("TERM") != "dumb" {
		s.show(r)
	}
}

// tell prints the decisions that are new.
func (s *demoScreen) tell(r api.Release) {
	if s.told == nil {
		s.told = map[uint32]uint64{}
	}
	if s.client == nil || r.DecisionCount <= s.told[r.Number] {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	full, err := s.client.Release(ctx, r.Model, r.Number)
	if err != nil {
		return // the next change asks again
	}
	for _, d := range full.Decisions {
		if d.Number > s.told[r.Number] {
			s.sayf("%s", s.e.decisionLine(d))
			s.told[r.Number] = d.Number
		}
	}
}

// finish leaves the last view on the screen.
func (s *demoScreen) finish() { s.lines = 0 }
