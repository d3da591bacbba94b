package cli

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/simulate"
)

// simulateFlags are the flags as they are written.
type simulateFlags struct {
	file, activity, incident, plot string
	truth, base                    []string
	anyway                         bool
	o                              simulate.Options
}

func (e *env) simulateCmd() *cobra.Command {
	var f simulateFlags
	cmd := &cobra.Command{
		Use: "simulate -f FILE", Short: "Run a plan thousands of times on synthetic traffic, before anyone is exposed",
		Long: "Run a plan many times on synthetic traffic and say how often it succeeds, is rolled back or pauses undecided,\n" +
			"how long it takes and how many requests the candidate answers. The decisions are Sluice's own, on a virtual\n" +
			"clock. Tests are assumed to pass and approvals to be given at once; a run that a person would have to decide\n" +
			"counts as Paused. The same users come back all the time: for a plan of many days to which new ones come every\n" +
			"day, say how many will come in all with --users. The same flags give the same report.",
		Example: "  sluice simulate -f examples/credit/model.yaml --runs 1000\n" +
			"  sluice simulate -f model.yaml --truth errors=+1pp --truth slow=1.2x --plot ended.svg",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := f.options()
			if err != nil {
				return err
			}
			if !f.anyway {
				if err := f.possible(o); err != nil {
					return err
				}
			}
			bar := e.simulationBar(o.Runs)
			o.Progress = bar.done
			report, err := simulate.Run(cmd.Context(), o)
			bar.end()
			if err != nil {
				return err
			}
			if f.plot != "" {
				if err := writePlot(f.plot, report.Plot); err != nil {
					return err
				}
			}
			return e.print(report, func() { simulated(e.out, report) })
		},
	}
	f.register(cmd)
	return cmd
}

func (f *simulateFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVarP(&f.file, "file", "f", "", "the Model file")
	fs.StringArrayVar(&f.truth, "truth", nil, "how the candidate truly differs: METRIC=EFFECT, like errors=+1pp, correct=-2pp, slow=1.2x, decision=0.05bits; none: it is equal")
	fs.StringArrayVar(&f.base, "base", nil, "live's true level: METRIC=LEVEL, like errors=0.5%, slow=100ms, decision=0.6,0.3,0.1")
	fs.IntVar(&f.o.Runs, "runs", 200, "releases to simulate")
	fs.Uint64Var(&f.o.Seed, "seed", 1, "of chance")
	fs.Float64Var(&f.o.Rate, "rate", 0, "requests per second; default: the file's traffic, else 40")
	fs.IntVar(&f.o.Users, "users", 0, "different users; default: those of a day in the file's traffic, else 20000")
	fs.Float64Var(&f.o.ICC, "icc", 0.1, "share of each metric's variance that lies between users")
	fs.StringVar(&f.activity, "activity", "zipf:0.8", "how unequally active users are: zipf:S (the k-th most active sends in proportion to k^-S) or uniform")
	fs.Float64Var(&f.o.FeedbackRate, "feedback-rate", 1, "share of exposures whose outcome is told")
	fs.DurationVar(&f.o.FeedbackDelay, "feedback-delay", 0, "how long after the exposure outcomes are told")
	fs.StringVar(&f.incident, "incident", "", "a time in which both arms are worse: AT+FOR:METRIC=EFFECT, like 2h+10m:errors=+20pp")
	fs.StringVar(&f.o.Candidate, "to", "", "the version to release; default: the first other one by name")
	fs.BoolVar(&f.o.Exact, "exact", false, "draw request by request: slow, for small plans")
	fs.BoolVar(&f.anyway, "anyway", false, "also a plan whose margins can't be shown within its deadlines")
	fs.StringVar(&f.plot, "plot", "", "draw the share of runs that ended over time into this .png or .svg file")
	_ = cmd.MarkFlagRequired("file")
}

// possible refuses a plan whose margins can't be shown within its deadlines at this traffic: a thousand runs would all say so.
func (f *simulateFlags) possible(o simulate.Options) error {
	forecast, err := simulate.Plan(o)
	if err != nil {
		return err
	}
	if late := forecast.Faults(nil).Errors(); len(late) > 0 {
		return usage(late[0].Field+": "+late[0].Msg, late[0].Remedy+"; --anyway simulates it all the same")
	}
	return nil
}

// options reads what the flags say.
func (f *simulateFlags) options() (simulate.Options, error) {
	o := f.o
	data, err := os.ReadFile(f.file)
	if err != nil {
		return o, usage(err.Error(), "name a Model file: -f model.yaml")
	}
	m, faults := release.ParseModel(f.file, data)
	if err := faults.Err(); err != nil {
		return o, err
	}
	o.Model = m
	o.Truth, o.Base = map[string]simulate.Effect{}, map[string]simulate.Base{}
	for _, s := range f.truth {
		name, effect, err := simulate.ParseTruth(s)
		if err != nil {
			return o, err
		}
		o.Truth[name] = effect
	}
	for _, s := range f.base {
		name, level, err := simulate.ParseBase(s)
		if err != nil {
			return o, err
		}
		o.Base[name] = level
	}
	if o.Activity, err = simulate.ParseActivity(f.activity); err != nil {
		return o, err
	}
	if f.incident != "" {
		if o.Incident, err = simulate.ParseIncident(f.incident); err != nil {
			return o, err
		}
	}
	switch {
	case f.plot != "" && pictureFormat(f.plot) == "":
		err = usage("there is no picture format for "+f.plot, "name a file that ends in .png or .svg")
	case f.o.Runs < 1:
		err = usage(fmt.Sprintf("--runs %d: nothing to simulate", f.o.Runs), "200 give a first impression, 1000 a table")
	case f.o.FeedbackRate <= 0:
		err = usage("--feedback-rate is a share above 0", "leave it out if all outcomes are told")
	}
	return o, err
}

// pictureFormat is png or svg by a file's name, "" for others.
func pictureFormat(file string) string {
	switch ext := strings.ToLower(strings.TrimPrefix(filepath.Ext(file), ".")); ext {
	case "png", "svg":
		return ext
	}
	return ""
}

// writePlot draws into a file, which is written entirely or not at all.
func writePlot(file string, draw func(w io.Writer, format string) error) error {
	var b bytes.Buffer
	if err := draw(&b, pictureFormat(file)); err != nil {
		return err
	}
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil { //nolint:gosec // a picture for everyone to see
		return usage(err.Error(), "name a file in a folder that can be written")
	}
	return nil
}

// progressBar is one line on a terminal, redrawn at most ten times a second; nothing elsewhere.
type progressBar struct {
	mu    sync.Mutex
	w     io.Writer
	all   int
	shown time.Time // guarded by mu
	tty   bool
}

func (e *env) simulationBar(all int) *progressBar {
	_, tty := terminal(e.err)
	return &progressBar{w: e.err, all: all, tty: tty}
}

// done may be called by any goroutine.
func (p *progressBar) done(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.tty || time.Since(p.shown) < 100*time.Millisecond {
		return
	}
	p.shown = time.Now()
	const width = 40
	full := width * n / p.all
	fmt.Fprintf(p.w, "\r%s%s %d of %d runs", strings.Repeat("█", full), strings.Repeat("░", width-full), n, p.all)
}

func (p *progressBar) end() {
	if p.tty {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// simulated prints a report as tables.
func simulated(out io.Writer, r *simulate.Report) {
	fmt.Fprintf(out, "%s to %s, the candidate is %s; %d runs, seed %d\n\n", r.Model, r.Candidate, r.TruthInWords(), r.Runs, r.Seed)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ENDED\tRUNS\tSHARE\tTIME median\tp90\tCANDIDATE'S REQUESTS median\tp90\tUSERS median")
	for _, phase := range simulate.Ends {
		if n := r.Ended[phase]; n > 0 {
			e := r.ByEnd[phase]
			fmt.Fprintf(w, "%s\t%d\t%.1f %%\t%s\t%s\t%.0f\t%.0f\t%.0f\n", phase, n, 100*float64(n)/float64(r.Runs),
				lasting(e.MedianDurationSeconds), lasting(e.P90DurationSeconds), e.MedianCandidateExposures, e.P90CandidateExposures, e.MedianExposedUsers)
		}
	}
	fmt.Fprintf(w, "all\t%d\t\t%s\t%s\t%.0f\t%.0f\t%.0f\n", r.Runs, lasting(r.MedianDurationSeconds), lasting(r.P90DurationSeconds),
		r.MedianCandidateExposures, r.P90CandidateExposures, r.MedianExposedUsers)
	fmt.Fprintln(w, "\nMETRIC\tROLLED BACK\tAT THE END")
	for _, name := range slices.Sorted(maps.Keys(r.ByMetric)) {
		m := r.ByMetric[name]
		var states []string
		for _, s := range slices.Sorted(maps.Keys(m.States)) {
			states = append(states, fmt.Sprintf("%s %d", s, m.States[s]))
		}
		fmt.Fprintf(w, "%s\t%d\t%s\n", name, m.RolledBack, strings.Join(states, ", "))
	}
	_ = w.Flush()
	for i, wait := range r.Waits {
		if i == 0 {
			fmt.Fprintln(out, "\nPaused runs waited for")
		}
		if i < 5 {
			fmt.Fprintf(out, "  %s (%d runs)\n", wait.For, wait.Runs)
		}
	}
}

func lasting(s float64) string {
	d := time.Duration(s * float64(time.Second))
	if d > time.Minute {
		return d.Round(time.Second).String()
	}
	return d.Round(time.Millisecond).String()
}
