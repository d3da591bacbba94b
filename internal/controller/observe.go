package controller

import (
	"strconv"
	"time"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/tally"
)

// observe gathers what is known of a release now and lets judge say what it means. explain says the same again with the
// calls behind the verdicts.
func (c *Controller) observe(s rollout.State, now time.Time) (tick rollout.Tick, explain func(*rollout.Tick), err error) {
	tick = rollout.Tick{Served: c.o.Gateways.Served(s.Model)}
	explain = func(*rollout.Tick) {}
	ev, err := c.o.Evidence.View(s.Model, s.Number)
	if err != nil {
		return tick, explain, err
	}
	tick.Gap, tick.Arriving = ev.Gap, ev.Arriving
	if ev.View == nil || len(s.Strata) == 0 {
		return tick, explain, nil
	}
	if s.Baseline == nil {
		base, _ := judge.MakeBaseline(&s.Spec, ev.View, strataOf(s), now)
		tick.Baseline = base
	}
	look := rollout.Look{
		Positions: ev.View.Positions[:], Strata: len(s.Strata), Step: stepKind(s), Baseline: s.Baseline != nil,
		Rate: ev.Rate, UnitRate: ev.UnitRate, Memory: s.Memory,
	}
	assess := func(explain bool) *judge.Assessment {
		in := Judged(s, look, ev.View)
		in.Explain = explain
		a := c.cacheOf(s).Assess(in)
		a.Total = served(ev.View)
		return &a
	}
	tick.Assessment, tick.TallyHash, tick.Look = assess(false), ev.Hash, &look
	return tick, func(t *rollout.Tick) { t.Assessment = assess(true) }, nil
}

// Judged is what judge is asked in one look at a release, now or when a stored look is repeated. The state may be a later
// one: of what changes while a release runs, only what the look names is used.
func Judged(s rollout.State, look rollout.Look, view *tally.View) judge.Input {
	in := judge.Input{
		Model: &s.Spec, Step: look.Step, Strata: strataOf(s), View: view,
		Memory: look.Memory, Rate: look.Rate, UnitRate: look.UnitRate,
	}
	if look.Strata >= 0 && look.Strata < len(in.Strata) {
		in.Strata = in.Strata[:look.Strata]
	}
	if look.Baseline {
		in.Baseline = s.Baseline
	}
	return in
}

func (c *Controller) cacheOf(s rollout.State) *judge.Cache {
	k := key(s)
	if c.cache[k] == nil {
		c.cache[k] = &judge.Cache{}
	}
	return c.cache[k]
}

func strataOf(s rollout.State) []judge.Stratum {
	out := make([]judge.Stratum, len(s.Strata))
	for i, st := range s.Strata {
		out[i] = judge.Stratum{ID: st.ID, Epoch: st.Epoch, Kind: st.Kind, Shares: st.Shares}
	}
	return out
}

// served sums the exposures of users by arm over all strata in which arms were served.
func served(v *tally.View) []uint64 {
	var out []uint64
	for _, st := range v.Strata {
		if st.Kind != release.ExposureServe {
			continue
		}
		for arm, a := range st.Arms {
			for len(out) <= arm {
				out = append(out, 0)
			}
			out[arm] += a.Exposures
		}
	}
	return out
}

func itoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
