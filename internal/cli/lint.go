package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/simulate"
)

// plannedICC is the share of a metric's variance that is taken to lie between users, as simulate does.
const plannedICC = 0.1

// planFaults forecasts a valid model's plan and says which steps its traffic can't take in time, with their lines.
func planFaults(file string, data []byte, m *release.Model) (*simulate.Forecast, release.Faults) {
	if len(m.Spec.Versions) < 2 { // there is nothing to release yet
		return nil, nil
	}
	_, at, _ := release.DecodeStrict[release.Model](file, data, release.KindModel)
	f, err := simulate.Plan(simulate.Options{Model: m, ICC: plannedICC, Activity: simulate.DefaultActivity})
	if err != nil {
		odd := at.Fault("spec.traffic", "", "what the plan needs can't be forecast: %v", err)
		odd.Warning = true
		return nil, release.Faults{odd}
	}
	return f, f.Faults(at)
}

// planned prints what each step of a plan needs.
func planned(out io.Writer, f *simulate.Forecast) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STEP\tMETRIC\tNEEDS ABOUT\tTIME\tAT LEAST\tDEADLINE")
	for _, s := range f.Steps {
		deadline := "-"
		if s.Deadline > 0 {
			deadline = simulate.Lasts(s.Deadline)
		}
		if len(s.Needs) == 0 {
			fmt.Fprintf(w, "%s\t-\t-\t%s\t%s\t%s\n", s.Step, simulate.Lasts(s.Hold), simulate.Lasts(s.Hold), deadline)
		}
		name := s.Step
		for _, n := range s.Needs {
			about, time := simulate.Grouped(n.Amount)+" "+n.Of, simulate.Lasts(n.Seconds)
			switch {
			case n.Never:
				about, time = "more than there will be", "-"
			case n.Amount == 0:
				about = "-"
			}
			metric := n.Metric
			if metric == "" {
				metric = "-"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", name, metric, about, time, simulate.Lasts(n.LeastSeconds), deadline)
			name, deadline = "", ""
		}
		if len(s.Needs) > 0 && s.Hold > 0 {
			fmt.Fprintf(w, "\thold\t-\t%s\t%s\t\n", simulate.Lasts(s.Hold), simulate.Lasts(s.Hold))
		}
	}
	_ = w.Flush()
	switch {
	case f.Never:
		fmt.Fprintln(out, "in all: not likely to end without a person")
	default:
		fmt.Fprintf(out, "in all: about %s for a candidate that is equal to live, at least %s\n", simulate.Lasts(f.Seconds), simulate.Lasts(f.LeastSeconds))
	}
	fmt.Fprintf(out, "assumed: %s\n", strings.Join(f.Assumed, "; "))
}
