package records

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
)

// StartParams say which release to start.
type StartParams struct {
	Model     string
	Candidate string
	Reason    string
	Who       Who
	Now       time.Time
	Salt      string // fresh and random: groups of different releases are independent
	Undo      bool   // take back the latest success instead; Candidate is ignored
	// At, if set, is the revision of the model that was seen: the release starts from no other.
	At *Revision
}

// Start begins the next release of a model. Errors: KindConflict while another one runs, KindNotFound
// and KindInvalid for an unknown model or version.
func (r *Records) Start(ctx context.Context, p StartParams) (Release, []rollout.Decision, error) {
	for {
		rel, decisions, err := r.start(ctx, p)
		if errors.Is(err, store.ErrConflict) {
			continue // another process took the number: the next look will say so
		}
		return rel, decisions, err
	}
}

func (r *Records) start(ctx context.Context, p StartParams) (Release, []rollout.Decision, error) {
	m, rev, err := r.loadModel(ctx, p.Model)
	if err != nil {
		return Release{}, nil, err
	}
	if err := (Change{At: p.At}).check("release "+p.Model, rev); err != nil {
		return Release{}, nil, err
	}
	params, err := beginParams(m, p)
	if err != nil {
		return Release{}, nil, err
	}
	state, decisions, err := rollout.Begin(params)
	if err != nil {
		return Release{}, nil, err
	}
	m.Last = state.Number
	m.Running = state.Number
	closeModel(&m, state)
	revs, err := r.commit(ctx, change{state: state, decisions: decisions, model: &m, modelRev: rev})
	if err != nil {
		return Release{}, nil, err
	}
	rel := Release{State: state, Revision: revs}
	r.SetWorking(rel)
	return rel, decisions, nil
}

// beginParams checks what only the model's record knows.
func beginParams(m modelRecord, p StartParams) (rollout.Params, error) {
	op := "release " + p.Model
	if p.Undo {
		op = "undo " + p.Model
	}
	if m.Running != 0 {
		return rollout.Params{}, &release.Error{
			Kind: release.KindConflict, Op: op, Msg: fmt.Sprintf("release %d is running", m.Running),
			Remedy: fmt.Sprintf("wait for its end (sluice status %s -w) or stop it (sluice abort %s --reason ...)", p.Model, p.Model),
		}
	}
	out := rollout.Params{
		Model: m.Spec, Number: m.Last + 1, Live: m.Live, Candidate: p.Candidate, Salt: p.Salt, Prev: m.Chain,
		Generation: m.Generation,
		Now:        p.Now, By: p.Who.Name, Role: p.Who.Role, Address: p.Who.Address, Reason: p.Reason,
	}
	if p.Undo {
		if m.Success == 0 {
			return rollout.Params{}, &release.Error{
				Kind: release.KindConflict, Op: op, Msg: "there is no success that could be taken back",
				Remedy: "undo takes back the latest release that succeeded, once",
			}
		}
		out.Undoes, out.Candidate = m.Success, m.Former
	}
	if _, ok := m.Spec.Spec.Versions[out.Candidate]; !ok {
		return rollout.Params{}, &release.Error{
			Kind: release.KindInvalid, Op: op, Msg: fmt.Sprintf("the model has no version %q", out.Candidate),
			Remedy: "add it under spec.versions and apply the file, or name one of: " + join(VersionNames(m.Spec)),
		}
	}
	if out.Candidate == m.Live {
		return rollout.Params{}, &release.Error{
			Kind: release.KindConflict, Op: op, Msg: fmt.Sprintf("version %q is live already", out.Candidate),
		}
	}
	return out, nil
}

// Apply lets a release react to an input and makes the outcome durable: load, rollout.Step, one
// guarded commit; on conflict it starts again from what is stored. fence is the leader's lease for
// ticks and nil for operators' commands, which any node may take. Refusals of Step come back as they
// are, and nothing is changed.
func (r *Records) Apply(ctx context.Context, name string, n uint32, in rollout.Input, fence store.Lease) (Release, []rollout.Decision, error) {
	return r.ApplyAt(ctx, name, n, in, fence, nil)
}

// ApplyAt is Apply to the given revision of the release and to no other; nil: to the present one.
func (r *Records) ApplyAt(ctx context.Context, name string, n uint32, in rollout.Input, fence store.Lease, at *Revision) (Release, []rollout.Decision, error) {
	for {
		rel, err := r.Release(ctx, name, n)
		if err == nil {
			err = Change{At: at}.check(fmt.Sprintf("command %s/%d", name, n), rel.Revision)
		}
		if err != nil {
			return Release{}, nil, err
		}
		next, decisions, err := r.ApplyTo(ctx, rel, in, fence)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		return next, decisions, err
	}
}

// ApplyTo is Apply from a state that the caller holds; a conflict is returned, not retried.
func (r *Records) ApplyTo(ctx context.Context, rel Release, in rollout.Input, fence store.Lease) (Release, []rollout.Decision, error) {
	next, decisions, err := rollout.Step(rel.State, in)
	if err != nil {
		return rel, nil, err
	}
	if len(decisions) == 0 && sameEssence(rel.State, next) {
		out := Release{State: next, Revision: rel.Revision}
		r.SetWorking(out)
		r.looks.see(rel.State, next, in, false)
		return out, nil, nil
	}
	c := change{state: next, stateRev: rel.Revision, decisions: decisions, fence: fence}
	if changesModel(rel.State, next) {
		m, rev, err := r.loadModel(ctx, next.Model)
		if err != nil {
			return rel, nil, err
		}
		if rel.State.Phase.Ended() {
			err = linkModel(&m, next)
		} else {
			closeModel(&m, next)
		}
		if err != nil {
			return rel, nil, err
		}
		c.model, c.modelRev = &m, rev
	}
	rev, err := r.commit(ctx, c)
	if err != nil {
		return rel, nil, err
	}
	out := Release{State: next, Revision: rev}
	r.SetWorking(out)
	r.looks.see(rel.State, next, in, len(decisions) > 0)
	return out, decisions, nil
}

// changesModel says whether a transition also touches the model's record.
func changesModel(before, after rollout.State) bool {
	return after.Phase.Ended() && after.LastHash != before.LastHash
}

// linkModel lets the next release follow what was put on record of an ended one. Once the next one has begun, its chain goes
// on from there, and nothing more can be put between.
func linkModel(m *modelRecord, s rollout.State) error {
	if m.Running != 0 || m.Last != s.Number {
		return release.Conflict(fmt.Sprintf("put on record of release %s/%d", s.Model, s.Number), "release %d has begun", m.Last)
	}
	m.Chain = s.LastHash
	return nil
}

// closeModel brings the model's record up to date with a release that has ended.
func closeModel(m *modelRecord, s rollout.State) {
	if !s.Phase.Ended() {
		return
	}
	m.Running = 0
	m.Chain = s.LastHash
	m.Generation = max(m.Generation, s.Generation) + 1
	switch s.Phase {
	case rollout.Succeeded:
		m.Former, m.Live, m.Success = s.Live, s.Candidate, s.Number
	case rollout.Undone:
		m.Live, m.Success, m.Former = s.Candidate, 0, ""
	default: // what is live stays
	}
}

// change is what one commit makes durable.
type change struct {
	state     rollout.State
	stateRev  store.Revision
	decisions []rollout.Decision
	model     *modelRecord
	modelRev  store.Revision
	fence     store.Lease
}

func (r *Records) commit(ctx context.Context, c change) (store.Revision, error) {
	value, err := encode(stateRecord{V: layout, State: c.state})
	if err != nil {
		return 0, err
	}
	b := store.Batch{Fence: c.fence, Writes: []store.Write{
		{Key: stateKey(c.state.Model, c.state.Number), Value: value, Expect: c.stateRev},
	}}
	if len(c.decisions) > 0 {
		w, err := r.logWrites(ctx, c.state.Model, c.decisions)
		if err != nil {
			return 0, err
		}
		b.Writes = append(b.Writes, w...)
	}
	if c.model != nil {
		value, err := encode(*c.model)
		if err != nil {
			return 0, err
		}
		b.Writes = append(b.Writes, store.Write{Key: modelKey(c.state.Model), Value: value, Expect: c.modelRev})
	}
	revs, err := r.store.Commit(ctx, b)
	if errors.Is(err, store.ErrUnknown) {
		return r.readBack(ctx, c, err)
	}
	if err != nil {
		return 0, translate(fmt.Sprintf("decide on %s/%d", c.state.Model, c.state.Number), err)
	}
	return revs[0], nil
}

// readBack settles a commit whose outcome is unknown: the decision's hash tells whether it is ours.
func (r *Records) readBack(ctx context.Context, c change, cause error) (store.Revision, error) {
	rel, err := r.loadState(ctx, c.state.Model, c.state.Number)
	if err == nil && rel.Revision > c.stateRev && rel.State.LastHash == c.state.LastHash && rel.State.NextEffect == c.state.NextEffect {
		return rel.Revision, nil
	}
	return 0, translate(fmt.Sprintf("decide on %s/%d", c.state.Model, c.state.Number), cause)
}

// logWrites appends the decisions as one entry each. All decisions of one commit share the expected
// revision of the log's latest entry; within the batch each follows the other.
func (r *Records) logWrites(ctx context.Context, name string, decisions []rollout.Decision) ([]store.Write, error) {
	rev, err := r.latest(ctx, logKey(name))
	if err != nil {
		return nil, err
	}
	value, err := encode(logRecord{V: layout, Decisions: decisions})
	if err != nil {
		return nil, err
	}
	return []store.Write{{Key: logKey(name), Value: value, Expect: rev, Append: true}}, nil
}

// essence is a state without what moves by itself from one tick to the next: the step's clock, the
// latest assessment and the words about it. Such a change alone is not worth a write: the clock has a
// record of its own, and the rest comes with the next tick.
func essence(s rollout.State) rollout.State {
	s.Served = 0
	s.Clock = rollout.Clock{}
	s.Memory = judge.Memory{}
	s.Last = nil
	s.Held = nil
	s.Reason = ""
	barriers := make([]rollout.Barrier, len(s.Barriers))
	for i, f := range s.Barriers {
		barriers[i] = rollout.Barrier{Kind: f.Kind, Since: f.Since}
	}
	s.Barriers = barriers
	return s
}

func sameEssence(a, b rollout.State) bool {
	x, err1 := encode(essence(a))
	y, err2 := encode(essence(b))
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}

// VersionNames returns the names of a model's versions, sorted.
func VersionNames(m release.Model) []string { return sortedKeys(m.Spec.Versions) }
