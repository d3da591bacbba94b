package controller

import (
	"strconv"
	"time"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/tally"
)

// observe gathers what is known of a release now and lets judge say what it means.
func (c *Controller) observe(s rollout.State, now time.Time) (rollout.Tick, error) {
	tick := rollout.Tick{Served: c.o.Gateways.Served(s.Model)}
	ev, err := c.o.Evidence.View(s.Model, s.Number)
	if err != nil {
		return tick, err
	}
	tick.Gap, tick.Arriving = ev.Gap, ev.Arriving
	if ev.View == nil || len(s.Strata) == 0 {
		return tick, nil
	}
	strata := strataOf(s)
	if s.Baseline == nil {
		base, _ := judge.MakeBaseline(&s.Spec, ev.View, strata, now)
		tick.Baseline = base
	}
	a := c.cacheOf(s).Assess(judge.Input{
		Model: &s.Spec, Baseline: s.Baseline, Step: stepKind(s), Strata: strata, View: ev.View,
		Memory: s.Memory, Rate: ev.Rate, UnitRate: ev.UnitRate,
	})
	a.Total = served(ev.View)
	tick.Assessment, tick.TallyHash = &a, ev.Hash
	return tick, nil
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
