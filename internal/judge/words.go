package judge

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"sluice.dev/sluice/internal/release"
)

// reason is the verdict in one sentence that a person can act on, for instance
//
//	errors: candidate 2.1 % against 0.9 %, worse by 0.6 to 1.9 points at 90 %, margin 0.5; 4,210 and 4,188 exposures
func (s *subject) reason(v *Verdict, f *finding) string {
	var b strings.Builder
	b.WriteString(v.Metric + ": ")
	switch v.State {
	case Waiting:
		b.WriteString("waits for its baseline")
		return b.String()
	case NoData:
		b.WriteString(s.noData(v))
		return b.String()
	}
	b.WriteString(s.values(v, f))
	b.WriteString(", " + s.clause(v, f))
	if v.Adjusted != nil && v.Adjusted.Saved >= 0.01 {
		fmt.Fprintf(&b, "; adjusted for the same users' values in the shadow step, which takes away %s of the variance", percent(v.Adjusted.Saved))
	}
	fmt.Fprintf(&b, "; %s and %s exposures", thousands(float64(v.Candidate.Exposures)), thousands(float64(v.Live.Exposures)))
	if v.Needs != nil {
		b.WriteString("; " + v.Needs.Text)
	}
	return b.String()
}

func (s *subject) noData(v *Verdict) string {
	switch {
	case v.Live.Exposures == 0 && v.Candidate.Exposures == 0:
		return "no observation yet"
	case v.Candidate.Exposures == 0:
		return "no observation of " + s.candidate() + " yet, " + thousands(float64(v.Live.Exposures)) + " of live"
	default:
		return "no observation of live to compare with, " + thousands(float64(v.Candidate.Exposures)) + " of " + s.candidate()
	}
}

func (s *subject) candidate() string {
	if s.arm > 1 {
		return "candidate " + strconv.Itoa(s.arm)
	}
	return "candidate"
}

// values says what both arms had.
func (s *subject) values(v *Verdict, f *finding) string {
	c, l := v.Candidate.Value, v.Live.Value
	switch s.metric.Kind {
	case release.MetricLatency:
		what := quantileName(s.quantile()) + " of "
		if f.level == 0 && f.live.Units == 0 { // pairs show means
			what = ""
		}
		return fmt.Sprintf("%s%s %s ms against %s ms", what, s.candidate(), number(c), number(l))
	case release.MetricCategory:
		return fmt.Sprintf("answers of %s differ from live's by %s bits%s", s.candidate(), number(math.Max(0, v.Estimate)), f.detail)
	case release.MetricMean:
		return fmt.Sprintf("%s %s against %s", s.candidate(), number(c), number(l))
	}
	if f.users {
		return fmt.Sprintf("%s %s of users against %s (per request %s and %s)", s.candidate(),
			percent(c), percent(l), percent(f.requests[1]), percent(f.requests[0]))
	}
	return fmt.Sprintf("%s %s against %s", s.candidate(), percent(c), percent(l))
}

// clause says what follows from it.
func (s *subject) clause(v *Verdict, f *finding) string {
	at := ""
	if v.Level > 0 {
		at = " at " + number(100*v.Level) + " %"
	}
	switch v.State {
	case BurnIn:
		return "too early to judge" + s.marginText(v)
	case TooFewUnit:
		return fmt.Sprintf("too few independent users to judge (worth %s and %s, %d needed)",
			number(math.Floor(v.Candidate.KEff)), number(math.Floor(v.Live.KEff)), minKEff)
	case Worse:
		if d := s.difference(v, "worse"); d != "" && v.Level > 0 {
			return d + at + s.marginText(v)
		}
		return "worse than the " + marginWords(v.Tolerate) + " tolerated is shown" + s.rangeText(v, at) + s.marginText(v)
	case Better:
		if d := s.difference(v, "better"); d != "" && v.Level > 0 {
			return d + at + s.marginText(v)
		}
		return "better is shown" + s.rangeText(v, at) + s.marginText(v)
	case NoWorse:
		if v.Unit == string(release.Factor) && v.Margin.Unit == release.Factor && v.Hi > v.Margin.Value {
			// The test counts exceedances of live's quantile and needs fewer requests than the interval of the
			// ratio that is shown beside it: an interval past the margin would look like a contradiction.
			return "no worse is shown by its exceedances of live's quantile" + s.marginText(v)
		}
		return "no worse is shown" + s.rangeText(v, at) + s.marginText(v)
	}
	if !s.decides() {
		return "watched only" + s.rangeText(v, at)
	}
	return "undecided" + s.rangeText(v, at) + s.marginText(v)
}

// difference is "worse by 0.6 to 1.9 points" when the interval lies entirely on that side, else "".
func (s *subject) difference(v *Verdict, side string) string {
	lo, hi := v.Lo, v.Hi
	if v.Unit == string(release.Factor) {
		if (side == "worse" && lo > 1) || (side == "better" && hi < 1) {
			return fmt.Sprintf("%s: %s to %s times live's", side, number(lo), number(hi))
		}
		return ""
	}
	sign := s.worse
	if s.metric.Kind == release.MetricCategory {
		sign = 1
	}
	if side == "better" {
		sign = -sign
	}
	if sign < 0 {
		lo, hi = -hi, -lo
	}
	if lo <= 0 {
		return ""
	}
	return fmt.Sprintf("%s by %s to %s%s", side, number(lo), number(hi), unitWords(v.Unit))
}

func (s *subject) rangeText(v *Verdict, at string) string {
	if v.Level == 0 {
		return ""
	}
	if v.Unit == string(release.Factor) {
		return fmt.Sprintf(": %s to %s times live's%s", number(v.Lo), number(v.Hi), at)
	}
	return fmt.Sprintf(": difference %s to %s%s%s", number(v.Lo), number(v.Hi), unitWords(v.Unit), at)
}

func (s *subject) marginText(v *Verdict) string {
	if v.Margin == (release.Margin{}) {
		return ""
	}
	switch v.Margin.Unit {
	case release.Points, release.Bits:
		return ", margin " + number(v.Margin.Value)
	}
	return ", margin " + marginWords(v.Margin)
}

func marginWords(m release.Margin) string {
	switch m.Unit {
	case release.Points:
		return number(m.Value) + " points"
	case release.Factor:
		return number(m.Value) + "x"
	case release.Percent:
		return number(m.Value) + " %"
	case release.Bits:
		return number(m.Value) + " bits"
	}
	return number(m.Value)
}

func unitWords(unit string) string {
	switch release.MarginUnit(unit) {
	case release.Points:
		return " points"
	case release.Bits:
		return " bits"
	}
	return ""
}

// percent writes a rate 0..1 as a percentage.
func percent(rate float64) string { return number(100*rate) + " %" }

// number writes a number as a person would: about three significant digits, thousands separated, no exponent for
// what people compare.
func number(x float64) string {
	a := math.Abs(x)
	switch {
	case a == 0:
		return "0"
	case a >= 1e15 || a < 1e-6:
		return strconv.FormatFloat(x, 'g', 3, 64)
	case a >= 1000:
		return thousands(x)
	}
	digits := 2 - int(math.Floor(math.Log10(a)))
	digits = max(0, min(digits, 8))
	if a >= 0.1 {
		digits = min(digits, 2)
	}
	t := strconv.FormatFloat(x, 'f', digits, 64)
	if strings.Contains(t, ".") {
		t = strings.TrimRight(strings.TrimRight(t, "0"), ".")
	}
	if t == "-0" {
		return "0"
	}
	return t
}

// thousands writes a whole number with separators: 4,210.
func thousands(x float64) string {
	t := strconv.FormatFloat(math.Round(math.Abs(x)), 'f', 0, 64)
	for i := len(t) - 3; i > 0; i -= 3 {
		t = t[:i] + "," + t[i:]
	}
	if x <= -0.5 {
		t = "-" + t
	}
	return t
}

// needsText says what is still needed, rounded to what a forecast is worth.
func needsText(n Needs, state State) string {
	what := fmt.Sprintf("about %s more exposures", thousands(twoDigits(n.Exposures)))
	if state == TooFewUnit {
		what = fmt.Sprintf("about %s more users", thousands(twoDigits(n.Units)))
	}
	if n.Seconds > 0 {
		what += " at the present rate, " + span(n.Seconds)
	}
	return what
}

func twoDigits(x float64) float64 {
	if x < 100 {
		return math.Ceil(x)
	}
	p := math.Pow(10, math.Floor(math.Log10(x))-1)
	return math.Ceil(x/p) * p
}

// span writes seconds as a person would: 40 s, 7 min, 3 h, 12 days.
func span(seconds float64) string {
	d := time.Duration(math.Min(seconds, 1e9) * float64(time.Second))
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(math.Ceil(d.Seconds())))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(math.Ceil(d.Minutes())))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(math.Ceil(d.Hours())))
	default:
		return fmt.Sprintf("%s days", thousands(math.Ceil(d.Hours()/24)))
	}
}

// warn adds what a reader should know about the verdict.
func (s *subject) warn(v *Verdict) {
	add := func(format string, args ...any) { v.Warnings = append(v.Warnings, fmt.Sprintf(format, args...)) }
	if s.known && s.metric.Kind == release.MetricLatency && s.base.N < thresholdRows {
		add("latency thresholds were frozen from %s live requests; %s would place them well", thousands(float64(s.base.N)), thousands(thresholdRows))
	}
	if s.known && s.metric.Kind == release.MetricMean && s.base.Variance == 0 && s.base.N > 0 {
		add("live's value never varied before the baseline; \"no worse\" can't be shown while neither arm's does")
	}
	if v.State == NoData && s.decides() && v.Live.Exposures+v.Candidate.Exposures > 0 && v.Live.Exposures == 0 {
		add("without live's users there is nothing to compare with; keep a hold-back")
	}
}
