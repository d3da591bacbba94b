package judge

import (
	"math"
	"strings"

	"sluice.dev/sluice/internal/stats"
	"sluice.dev/sluice/internal/tally"
)

// Levels of the sample-ratio check (R8): an alarm freezes, a warning is shown.
const (
	ratioAlarm = 0.001
	ratioWarn  = 0.05
)

// ratio checks the assignment: units at their first exposure since the release began, against the shares of the
// stratum in which that was (R8). Each unit is counted once, so strata add up. count picks what is counted: new units,
// or units with a first outcome (R7).
func (j *judging) ratio(name, what string, count func(*tally.ArmView) uint64) Ratio {
	r := Ratio{Units: make([]uint64, j.arms), Expected: make([]float64, j.arms)}
	var phases []stats.MultinomialPhase
	for i := range j.in.Strata {
		s := &j.in.Strata[i]
		v := j.view(s.ID)
		if v == nil {
			continue
		}
		if p, ok := phase(s, v, &r, count); ok {
			phases = append(phases, p)
		}
	}
	if ln, err := stats.SRM(phases); err == nil {
		r.LnE = clampLn(ln)
	}
	sup := j.mem.raise(name, r.LnE)
	r.Alarm = sup >= -math.Log(ratioAlarm)
	r.Warn = r.Alarm || r.LnE >= -math.Log(ratioWarn)
	j.ratioWords(&r, what)
	return r
}

// phase turns one stratum into a phase of the check and adds it to the totals. An arm without a share can have no
// units; ones that are there all the same (a gateway that lagged) belong to another stratum's shares and are left out.
func phase(s *Stratum, v *tally.StratumView, r *Ratio, count func(*tally.ArmView) uint64) (stats.MultinomialPhase, bool) {
	var p stats.MultinomialPhase
	var n, shares float64
	for arm := range r.Units {
		if a := armOf(v, arm); a != nil && s.share(arm) > 0 {
			c := count(a)
			r.Units[arm] += c
			n += float64(c)
			p.Counts = append(p.Counts, float64(c))
			p.Shares = append(p.Shares, s.share(arm))
			shares += s.share(arm)
		}
	}
	if len(p.Counts) < 2 || n == 0 {
		return p, false
	}
	for arm := range r.Units {
		if armOf(v, arm) != nil {
			r.Expected[arm] += n * s.share(arm) / shares
		}
	}
	return p, true
}

// ratioWords finishes a Ratio: expected counts become shares, and the sentence.
func (j *judging) ratioWords(r *Ratio, what string) {
	var n float64
	for _, e := range r.Expected {
		n += e
	}
	got := make([]string, len(r.Units))
	want := make([]string, len(r.Units))
	for i, u := range r.Units {
		got[i] = thousands(float64(u))
		want[i] = thousands(r.Expected[i])
		if n > 0 {
			r.Expected[i] /= n
		}
	}
	switch {
	case n == 0:
		r.Reason = "no " + what + " yet"
	case r.Alarm:
		r.Reason = what + ": " + strings.Join(got, " and ") + " by arm, the shares say " + strings.Join(want, " and ") +
			": the arms can't be compared, the release is frozen; look for lost or doubled telemetry and for crashes of one version before its first exposure"
	case r.Warn:
		r.Reason = what + ": " + strings.Join(got, " and ") + " by arm, the shares say " + strings.Join(want, " and ") + ": unusual, watch it"
	default:
		r.Reason = what + ": " + strings.Join(got, " and ") + " by arm, as the shares say"
	}
}
