package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
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
		Use: "demo [" + strings.Join(demo.Names(), "|") + "]", Short: "Release a real model step by step, and withdraw a bad one: one command, nothing to set up",
		Long: "Starts the versions of a real model, a Sluice with embedded storage in a temporary folder, and users who come and\n" +
			"return, and releases one version after the other. Takes one to two minutes on two cores.\n\n" +
			"  credit     v2 is better and reaches production; v3 was trained on skewed data and is caught by evidence alone\n" +
			"  diagnosis  v2 is better, but a small laboratory's samples can't show it in time: the release pauses, undecided\n" +
			"  images     a recommender of similar products, judged by clicks: v2 reaches production\n" +
			"  llm        a language model: v2 was trained longer and reaches production; v3 was cut to 3 bits and is caught",
		Example: "  sluice demo\n  sluice demo llm\n  sluice demo --exit -o json",
		Args:    cobra.MaximumNArgs(1), ValidArgs: demo.Names(),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := demo.Names()[0]
			if len(args) == 1 {
				name = args[0]
			}
			var err error
			if o.Scenario, err = demo.Find(name); err != nil {
				return usage(err.Error(), "the demos are: sluice demo "+strings.Join(demo.Names(), "|"))
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
	f.BoolVar(&leave, "exit", false, "end with the summary: exit code 0 if each release ended as it should, else 2 or 3")
	f.BoolVar(&o.NoShadow, "no-shadow", false, "leave the shadow step out: a bad version is then caught in the A/B test")
	f.IntVar(&o.Rate, "rate", 0, "requests per second (default: what suits the demo; 2000 for credit)")
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
		fmt.Fprintf(e.out, "starting %s, a Sluice and its users ...\n", o.Scenario.Short)
	}
	d, err := demo.Start(ctx, o)
	if err != nil {
		return err
	}
	defer d.Close()
	if talk {
		s.sayf("users send %d requests a second to %s", d.Rate(), d.Target())
		s.sayf("watch it in a browser at %s with the token %s", d.Client().Base, d.Client().Token)
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
		switch {
		case rel.Phase == rollout.Paused:
			mark, color = "‖", wait
		case rel.Phase != rollout.Succeeded:
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
		"  export SLUICE_SERVER=%s SLUICE_TOKEN=%s\n  sluice get %s\n  sluice audit verify %s\n", client.Base, client.Token, d.Model(), d.Model())
	<-ctx.Done()
}

// demoCode is 0 if the demo went as it should, else that of the release that did not.
func demoCode(r demo.Result) error {
	if r.Good() {
		return nil
	}
	for _, rel := range r.Releases {
		if !rel.Good() {
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
