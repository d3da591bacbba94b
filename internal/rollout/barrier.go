package rollout

import (
	"fmt"
	"slices"
	"time"

	"sluice.dev/sluice/internal/judge"
)

const (
	// thaw is how long a barrier outlasts its cause, so that flapping is one barrier and two records.
	thaw = 10 * time.Second
	// breakerStays is for how long a gateway's report of an open breaker counts if it isn't repeated.
	breakerStays = 10 * time.Minute
	// maxLoss of an arm's exposures may be missing before what arrived is not trusted to advance on.
	maxLoss = 0.001
	// maxBarriers bounds the breakers on record at once; more of them change nothing.
	maxBarriers = 64
)

// Kinds of barriers; a breaker's has the gateway's name behind it.
const (
	barrierGap      = "gap"
	barrierLoss     = "loss"
	barrierRatio    = "ratio"
	barrierOutcomes = "outcomes"
	barrierChain    = "chain"
	barrierBreaker  = "breaker:"
)

// barriers looks at the causes that a tick knows, and takes those away whose cause stayed away.
func (t *turn) barriers(k Tick, elapsed time.Duration) {
	t.cause(barrierChain, k.ChainBroken != "", "the audit chain is broken: "+k.ChainBroken)
	t.cause(barrierGap, k.Gap != "", "the telemetry has a gap: "+k.Gap)
	judged := k.Assessment != nil
	if judged {
		a := k.Assessment
		t.cause(barrierRatio, a.Ratio.Alarm, ratioText("units", a.Ratio))
		t.cause(barrierOutcomes, a.Outcomes.Alarm, ratioText("units with an outcome", a.Outcomes))
		arm, loss := worstLoss(a.Loss)
		t.cause(barrierLoss, loss > maxLoss, fmt.Sprintf("%.2f %% of arm %d's exposures are lost, at most %.1f %% may be", 100*loss, arm, 100*maxLoss))
	}
	t.thaw(judged, elapsed)
}

// cause keeps a barrier up, or begins it.
func (t *turn) cause(kind string, on bool, reason string) {
	if !on {
		return
	}
	i := slices.IndexFunc(t.s.Barriers, func(f Barrier) bool { return f.Kind == kind })
	if i >= 0 {
		t.s.Barriers[i].Left = thaw
		return
	}
	t.s.Barriers = append(t.s.Barriers, Barrier{Kind: kind, Reason: reason, Since: t.now, Left: thaw})
	t.record(t.mark(), Hold, sluice, "advancing is held: "+reason)
}

// thaw takes away the barriers whose cause stayed away long enough. Those that come from an assessment wait
// for the next one: no news is no good news.
func (t *turn) thaw(judged bool, elapsed time.Duration) {
	kept := t.s.Barriers[:0]
	var over []Barrier
	for _, f := range t.s.Barriers {
		if judged || !assessed(f.Kind) {
			f.Left -= elapsed
		}
		if f.Left > 0 {
			kept = append(kept, f)
		} else {
			over = append(over, f)
		}
	}
	t.s.Barriers = kept
	for _, f := range over {
		t.record(t.mark(), Note, sluice, "no longer held: "+f.Reason+" (since "+f.Since.Format(time.RFC3339)+")")
	}
}

func assessed(kind string) bool {
	return kind == barrierRatio || kind == barrierOutcomes || kind == barrierLoss
}

// breaker puts a gateway's report on record. Repeated ones keep it up and add no record.
func (t *turn) breaker(b BreakerTrip) {
	kind := barrierBreaker + b.Gateway
	i := slices.IndexFunc(t.s.Barriers, func(f Barrier) bool { return f.Kind == kind })
	switch {
	case b.Closed && i >= 0:
		t.s.Barriers[i].Left = min(t.s.Barriers[i].Left, thaw)
	case b.Closed:
	case i >= 0:
		t.s.Barriers[i].Left = breakerStays
	case len(t.s.Barriers) < maxBarriers:
		reason := fmt.Sprintf("gateway %s sent its own traffic to live: %s", b.Gateway, orWord(b.Reason, "its breaker tripped"))
		t.s.Barriers = append(t.s.Barriers, Barrier{Kind: kind, Reason: reason, Since: t.now, Left: breakerStays})
		t.record(t.mark(), Note, sluice, reason+"; advancing is held")
	}
}

func worstLoss(loss []float64) (arm int, worst float64) {
	for i, l := range loss {
		if l > worst {
			arm, worst = i, l
		}
	}
	return arm, worst
}

func ratioText(what string, r judge.Ratio) string {
	return fmt.Sprintf("the %s per arm are not what the shares say (%s): %s", what, counts(r.Units), orWord(r.Reason, "the assignment or the recording is wrong"))
}
