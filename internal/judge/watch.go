package judge

import (
	"fmt"
	"math"
	"slices"

	"sluice.dev/sluice/internal/stats"
)

// Watch is the standing watch over a version after its release, against a hold-back of the old one: an e-detector over
// windows (R9, §1.14). A launch process that has seen thousands of harmless events needs thousands more to notice a
// change; processes that start afresh in every window do not.
//
// For each start j there is an E1 process on the events since, from differences of cumulative counters. The zero Watch
// is ready; Advance closes a window, Look evaluates. Both return new values: a Watch is plain data that can be stored.
//
// What is counted must count a unit at most once in the life of the Watch: requests of perRequest traffic, or units at
// their first event of an epoch, with a new Watch for each epoch (R1).
type Watch struct {
	Windows int                  `json:"windows"` // closed so far
	Cells   []stats.LabelStratum `json:"cells"`   // cumulative counters by stratum; A is the hold-back
	Starts  []WatchStart         `json:"starts"`  // ascending by window
}

// WatchStart is what one process needs: the counters when it began.
type WatchStart struct {
	Window int                  `json:"window"`
	Cells  []stats.LabelStratum `json:"cells"`
}

// WatchRule says what is asked of a Watch.
type WatchRule struct {
	Sigma    float64 // prior sd of the log rate ratio, see stats.NewLabel
	LogRatio float64 // log rate ratio that is tolerated; 0: none
	ARL      float64 // e-SR: mean number of windows between false alarms, at least; > 1
	Alpha    float64 // start-time mixture: chance of a false alarm, ever
}

// WatchLook is what a Watch shows now.
type WatchLook struct {
	LnESR     float64 `json:"lnESR"`     // ln of the sum over starts of E_j; alarm at ln ARL
	LnMixture float64 `json:"lnMixture"` // ln of the sum of E_j times stats.WatchWeight; alarm at ln(1/alpha), once in its life with chance alpha
	ESR       bool    `json:"esr"`
	Mixture   bool    `json:"mixture"`
	Since     int     `json:"since"`  // the window from which on the evidence is largest: when the harm probably began
	Within    float64 `json:"within"` // the largest chance of an e-SR alarm within the windows so far if nothing changed
	Reason    string  `json:"reason"`
}

// dense is the age, in windows, up to which every start is kept. Older ones are thinned to windows that are
// multiples of a power of two, so that about dense log2(windows) remain.
const dense = 8

// Advance closes a window. cells are the cumulative counters at its end: the strata of before in the same order with counts
// that never fall, and perhaps new ones. A counter that falls or a share that changes is an error.
//
// Dropping starts is no approximation of the promise: all terms are positive, so the sum only gets smaller, and which
// are dropped depends on the number of the window alone.
func (w Watch) Advance(cells []stats.LabelStratum) (Watch, error) {
	if len(cells) < len(w.Cells) {
		return w, fmt.Errorf("judge: watch: %d strata after %d: strata never go away", len(cells), len(w.Cells))
	}
	for i, was := range w.Cells {
		if c := cells[i]; c.Rho != was.Rho || c.KA < was.KA || c.KB < was.KB {
			return w, fmt.Errorf("judge: watch: stratum %d was %+v and is %+v: counters are cumulative, shares constant", i, was, c)
		}
	}
	next := Watch{Windows: w.Windows + 1, Cells: slices.Clone(cells)}
	for _, s := range w.Starts {
		if kept(s.Window, w.Windows) {
			next.Starts = append(next.Starts, s)
		}
	}
	next.Starts = append(next.Starts, WatchStart{w.Windows, w.Cells})
	return next, nil
}

// kept says whether a start is still there in a window.
func kept(start, window int) bool {
	step := 1
	for age := (window - start) / dense; age > 0; age /= 2 {
		step *= 2
	}
	return start%step == 0
}

// Look evaluates all starts. A rule outside its domain (stats.NewLabel, ARL > 1, alpha in (0,1)) is an error.
func (w Watch) Look(r WatchRule) (WatchLook, error) {
	if !(r.ARL > 1 && r.ARL <= 1e12) || !(r.Alpha > 0 && r.Alpha < 1) || !(math.Abs(r.LogRatio) <= maxLogOdds) {
		return WatchLook{}, fmt.Errorf("judge: watch: rule %+v is outside its domain", r)
	}
	out := WatchLook{LnESR: math.Inf(-1), LnMixture: math.Inf(-1)}
	best := math.Inf(-1)
	all := make([]float64, 0, len(w.Starts))
	mixed := make([]float64, 0, len(w.Starts))
	for _, s := range w.Starts {
		l, err := stats.NewLabel(since(w.Cells, s.Cells), r.Sigma)
		if err != nil {
			return WatchLook{}, err
		}
		ln := l.LnAbove(r.LogRatio)
		if ln > best {
			best, out.Since = ln, s.Window
		}
		all = append(all, ln)
		mixed = append(mixed, ln+math.Log(stats.WatchWeight(s.Window)))
	}
	out.LnESR, out.LnMixture = clampLn(stats.LogSumExp(all...)), clampLn(stats.LogSumExp(mixed...))
	out.ESR, out.Mixture = out.LnESR >= math.Log(r.ARL), out.LnMixture >= -math.Log(r.Alpha)
	out.Within = math.Min(1, float64(w.Windows)/r.ARL)
	out.Reason = w.words(r, &out)
	return out, nil
}

// since returns the counts that came after a start.
func since(now, then []stats.LabelStratum) []stats.LabelStratum {
	out := slices.Clone(now)
	for i, c := range then {
		out[i].KA -= c.KA
		out[i].KB -= c.KB
	}
	return out
}

func (w Watch) words(r WatchRule, l *WatchLook) string {
	if w.Windows == 0 {
		return "no window is over yet"
	}
	if !l.ESR {
		return fmt.Sprintf("no change for the worse is shown in %s windows", thousands(float64(w.Windows)))
	}
	return fmt.Sprintf("worse since about %s windows: an alarm like this comes by chance once in %s windows or more seldom",
		thousands(float64(w.Windows-l.Since)), thousands(r.ARL))
}
