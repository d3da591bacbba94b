package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
)

// checks is what is remembered from one look to the next. It belongs to the world's goroutine.
type checks struct {
	seen      store.Revision // of the log of decisions
	decisions []rollout.Decision
	states    store.Revision    // sum of the revisions of all states
	releases  []records.Release // as they were then, oldest first
	ended     map[uint32]end
	recount   [release.Partitions]recount
	looks     int
}

// end is when a release was first seen to be over, and who must not be served any more.
type end struct {
	at     time.Time
	folder int    // how often the folder had been started
	banned string // "": it succeeded
}

func (c *checks) init() { c.ended = map[uint32]end{} }

// withdrawn is how long after a rollback its candidate may still be served: a leader that dies is followed within
// its lease, the next one publishes at its first tick that the store lets through.
const withdrawn = 90 * time.Second

// check looks at everything that must always hold.
func (w *world) check(ctx context.Context) error {
	w.checks.looks++
	if err := w.checkLog(ctx); err != nil {
		return err
	}
	if err := w.checkStates(ctx); err != nil {
		return err
	}
	if w.checks.looks%60 == 0 {
		return w.compareRunning(ctx)
	}
	return nil
}

// checkLog verifies the chain whenever it grew: every link, the numbers without gap, none twice.
func (w *world) checkLog(ctx context.Context) error {
	fresh, seen, err := w.look.Decisions(ctx, modelName, w.checks.seen)
	if err != nil || len(fresh) == 0 {
		return err
	}
	w.checks.seen = seen
	last := map[uint32]uint64{}
	for _, d := range w.checks.decisions {
		last[d.Release] = d.Number
	}
	for _, d := range fresh {
		if d.Number != last[d.Release]+1 {
			return fmt.Errorf("release %d: decision %d follows decision %d", d.Release, d.Number, last[d.Release])
		}
		last[d.Release] = d.Number
	}
	w.checks.decisions = append(w.checks.decisions, fresh...)
	w.result.Decisions = len(w.checks.decisions)
	w.result.Head = fresh[len(fresh)-1].Hash
	audit, err := w.look.Verify(ctx, modelName)
	if err == nil && !audit.OK {
		err = errors.New("the audit chain is broken: " + audit.Fault)
	}
	return err
}

// refresh reads the states again if one of them has changed.
func (w *world) refresh(ctx context.Context) error {
	entries, err := w.clean.List(ctx, "state/"+modelName+"/")
	if err != nil {
		return err
	}
	var sum store.Revision // revisions only grow
	for _, e := range entries {
		sum += e.Revision
	}
	if sum == w.checks.states {
		return nil
	}
	w.checks.states = sum
	w.checks.releases, err = w.look.Releases(ctx, modelName)
	return err
}

// release returns the state of a release at the latest look. Its clock may be older.
func (c *checks) release(number uint32) rollout.State {
	return c.releases[number-1].State
}

// checkStates looks at the shares of all releases and that the log says how they came to be.
func (w *world) checkStates(ctx context.Context) error {
	if err := w.refresh(ctx); err != nil {
		return err
	}
	shares := map[uint32]release.Share{}
	for _, d := range w.checks.decisions {
		if d.From != shares[d.Release] {
			return fmt.Errorf("release %d: decision %d begins at %s, the one before ended at %s", d.Release, d.Number, d.From, shares[d.Release])
		}
		shares[d.Release] = d.To
	}
	for _, rel := range w.checks.releases {
		s := rel.State
		if err := w.checkState(&s); err != nil {
			return fmt.Errorf("release %d: %w", s.Number, err)
		}
		if s.Share() != shares[s.Number] && s.Phase != rollout.Undone {
			return fmt.Errorf("release %d: the candidate has %s, the log says %s", s.Number, s.Share(), shares[s.Number])
		}
	}
	return w.checkPublished(shares)
}

func (w *world) checkState(s *rollout.State) error {
	if err := assign.Validate(s.Intervals); err != nil {
		return fmt.Errorf("its intervals: %w", err)
	}
	for _, st := range s.Strata {
		var sum release.Share
		for _, share := range st.Shares {
			sum += share
		}
		if sum != release.Whole {
			return fmt.Errorf("the shares %v of stratum %d do not sum to the whole", st.Shares, st.ID)
		}
	}
	if !s.Phase.Ended() {
		return nil
	}
	e, known := w.checks.ended[s.Number]
	if !known {
		e.at, e.folder = time.Now(), w.folderStarts()
	}
	e.banned = ""
	if s.Phase != rollout.Succeeded {
		e.banned = s.Candidate
		if s.Share() != 0 {
			return fmt.Errorf("it is %s and its candidate has %s", s.Phase, s.Share())
		}
	}
	w.checks.ended[s.Number] = e
	if s.Phase == rollout.Succeeded && w.o.Truth[s.Candidate].Errors > w.o.Truth[s.Live].Errors+0.05 {
		return fmt.Errorf("the harmful version %s was promoted", s.Candidate)
	}
	return nil
}

// checkPublished looks whether a decision says what is published. It may be an earlier one than the latest.
func (w *world) checkPublished(shares map[uint32]release.Share) error {
	for _, m := range w.published.Routes().All {
		if err := assign.Validate(m.Serve); err != nil {
			return fmt.Errorf("the published routes: %w", err)
		}
		if m.Release == 0 {
			continue
		}
		told, share := false, assign.ShareOf(m.Serve, 1)
		for _, d := range w.checks.decisions {
			told = told || d.Release == m.Release && d.To == share
		}
		if !told {
			return fmt.Errorf("release %d: %s is published for the candidate, which no decision says (now %s)", m.Release, share, shares[m.Release])
		}
	}
	return nil
}

// served checks one answer: a version that was withdrawn reaches nobody any more.
func (w *world) served(route *assign.Route, version string, arm uint8, now time.Time) error {
	if arm == 0 || route.Release == 0 {
		return nil
	}
	e, over := w.checks.ended[route.Release]
	if over && e.banned == version && now.After(e.at.Add(withdrawn)) {
		return fmt.Errorf("release %d ended %s ago and its candidate %s still serves", route.Release, now.Sub(e.at), version)
	}
	return nil
}

// epilogue gives an ended release the time for what must follow, and looks whether it did: everybody is served as the
// end says, its effects are done, and its final tallies are kept and right.
func (w *world) epilogue(ctx context.Context, number uint32) error {
	for range 20 {
		if err := w.second(ctx); err != nil {
			return err
		}
	}
	w.calm.Store(true)
	defer w.calm.Store(false)
	w.clean.Land()
	for range 35 {
		if err := w.second(ctx); err != nil {
			return err
		}
	}
	s := w.checks.release(number)
	for _, e := range s.Effects {
		return fmt.Errorf("release %d is %s for a while and its effect %s (%s) is not done", number, s.Phase, e.Key, e.Kind)
	}
	if err := w.checkServed(s); err != nil {
		return err
	}
	return w.compareFinal(ctx, s)
}

func (w *world) checkServed(s rollout.State) error {
	for i := range w.gateways {
		g := w.gateways[i].Load()
		if g == nil {
			return fmt.Errorf("gateway %d is away although nothing ends it", i)
		}
		route := g.keeper.Routes().Model(modelName)
		if route == nil || route.Release != 0 || len(route.Arms) != 1 || route.Arms[0].Version != s.Serving() {
			return fmt.Errorf("release %d is %s and gateway %d does not serve %s to all: %+v", s.Number, s.Phase, i, s.Serving(), route)
		}
	}
	return nil
}
