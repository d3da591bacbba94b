package simulate

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"sluice.dev/sluice/internal/release"
)

func itoa(i int) string { return strconv.Itoa(i) }

// assumed lists what the file does not say and the forecast takes for granted.
func (p *planning) assumed() []string {
	out := []string{fmt.Sprintf("%s users a day, other ones each day, of activity %s; %.3g of each metric's variance lies between users",
		Grouped(float64(p.o.Users)), p.o.Activity, p.o.ICC)}
	if !p.rateKnown {
		out = append(out, fmt.Sprintf("%.3g requests/s: the file says nothing of its traffic", p.o.Rate))
	}
	for _, m := range p.o.Model.Spec.Metrics {
		if m.Role == release.Watch {
			continue
		}
		_, told := p.o.Base[m.Name]
		base := p.o.base(m)
		switch m.Kind {
		case release.MetricEvent, release.MetricProportion:
			if !told {
				out = append(out, fmt.Sprintf("%s of live: %.3g %%", m.Name, 100*base.Mean))
			}
		case release.MetricLatency:
			out = append(out, fmt.Sprintf("%s: log-normal, sigma %.2g", m.Name, latencySigma))
		case release.MetricMean:
			out = append(out, m.Name+": values that spread as much as their mean")
		case release.MetricCategory:
			if !told {
				out = append(out, fmt.Sprintf("%s: %d classes", m.Name, len(base.Shares)))
			}
		}
	}
	return out
}

// Faults are the steps that the plan's traffic can't take within their deadlines: errors where no data can, warnings where an equal candidate is
// not likely to. at may be nil. Where nothing is said of the traffic, nothing is an error.
func (f *Forecast) Faults(at *release.Positions) (faults release.Faults) {
	for i := range f.Steps {
		s := &f.Steps[i]
		if s.Deadline <= 0 {
			continue
		}
		path := "spec." + s.Field
		switch n := s.slowest(); {
		case s.LeastSeconds > s.Deadline && !f.guessed:
			n = s.slowestAtLeast()
			faults = append(faults, at.Fault(path+".deadline", "allow more time, a wider margin or another share; sluice simulate shows what a plan does",
				"%s can't end in time: %s at least %s %s, %s, within %s", s.Step, n.needs(), Grouped(n.Least), n.LeastOf, Lasts(n.LeastSeconds), Lasts(s.Deadline)))
		case s.Never:
			faults = append(faults, warned(at.Fault(path+".deadline", "simulate it, or widen the margin",
				"%s is not likely to end: no amount of this traffic shows that %s is %s", s.Step, n.Metric, n.Goal)))
		case s.Seconds > s.Deadline && n.Of == "pairs":
			faults = append(faults, warned(at.Fault(path+".deadline", "allow more time",
				"%s is not likely to end in time: it needs about %s pairs, %s, within %s", s.Step, Grouped(n.Amount), Lasts(n.Seconds), Lasts(s.Deadline))))
		case s.Seconds > s.Deadline:
			faults = append(faults, warned(at.Fault(path+".deadline", "simulate it, allow more time, or widen the margin",
				"%s is not likely to end in time: %s about %s %s to be %s, %s, within %s", s.Step, n.needs(), Grouped(n.Amount), n.Of, n.goal(), Lasts(n.Seconds), Lasts(s.Deadline))))
		}
	}
	return faults
}

func warned(f release.FileFault) release.FileFault {
	f.Warning = true
	return f
}

// slowest is the need that lasts longest.
func (s *StepForecast) slowest() Need {
	return s.most(func(n Need) float64 {
		if n.Never {
			return math.Inf(1)
		}
		return n.Seconds
	})
}

func (s *StepForecast) slowestAtLeast() Need {
	return s.most(func(n Need) float64 { return n.LeastSeconds })
}

func (s *StepForecast) most(of func(Need) float64) (worst Need) {
	for _, n := range s.Needs {
		if worst.Of == "" || of(n) > of(worst) {
			worst = n
		}
	}
	return worst
}

// goal says how much better is forecast.
func (n Need) goal() string {
	if n.Goal == "better" {
		return "shown better by its margin"
	}
	return "shown no worse"
}

func (n Need) needs() string {
	if n.Metric == "" {
		return "it needs"
	}
	return n.Metric + " needs"
}

// Lasts is a time in seconds as people say it.
func Lasts(s float64) string {
	d := time.Duration(math.Min(s, 1e9) * float64(time.Second))
	switch {
	case d >= 72*time.Hour:
		return fmt.Sprintf("%.0f days", d.Hours()/24)
	case d >= time.Hour:
		d = d.Round(time.Minute)
	case d >= time.Minute:
		d = d.Round(time.Second)
	default:
		d = d.Round(100 * time.Millisecond)
	}
	return shortTime(d)
}

// shortTime leaves out zero minutes and seconds at the end.
func shortTime(d time.Duration) string {
	s := d.String()
	if t := strings.TrimSuffix(s, "m0s"); t != s {
		s = t + "m"
	}
	if t := strings.TrimSuffix(s, "h0m"); t != s {
		s = t + "h"
	}
	return s
}

// Grouped writes a count with commas, of three digits: a forecast has no more.
func Grouped(n float64) string {
	if unit := math.Pow(10, math.Floor(math.Log10(math.Max(n, 1)))-2); unit > 1 {
		n = math.Round(n/unit) * unit
	}
	s := strconv.FormatFloat(math.Round(n), 'f', -1, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
