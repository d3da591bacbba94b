package rollout

import (
	"strings"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
)

// Params is what a release is made from.
type Params struct {
	Model      release.Model // valid; normalised and frozen into the state
	Number     uint32        // from 1 per model, never reused
	Live       string        // the version that serves now
	Candidate  string        // the version that shall
	Undoes     uint32        // an undo: number of the success that is taken back
	Salt       string        // of the assignment; unique per release, without a zero byte
	Prev       string        // hash of the latest decision of the model's previous release, "" for the first
	Generation uint64        // of the model's routing before: the release's generations are larger
	By         string
	Role       string
	Address    string
	Reason     string
	Now        time.Time
}

// Begin creates a release and enters its first step; the decisions are on record from number 1. An
// undo (Undoes != 0) is a record of its own: the former live version serves all at once, and the
// release has ended as Undone when Begin returns.
//
// Errors are of release.KindInvalid and name what to change: nothing exists then.
func Begin(p Params) (State, []Decision, error) {
	p.By, p.Reason = clean(p.By), clean(p.Reason)
	if err := checkParams(p); err != nil {
		return State{}, nil, err
	}
	model := p.Model.Normalise() // a deep copy: nothing that happens to the caller's changes the release
	_, hash := model.Canonical()
	t := &turn{now: instant(p.Now), by: person(Command{By: p.By, Role: p.Role, Address: p.Address})}
	t.s = State{
		Model: p.Model.Metadata.Name, Number: p.Number, Live: p.Live, Candidate: p.Candidate,
		Spec: *model, SpecHash: hash, Undoes: p.Undoes, Salt: p.Salt, Created: t.now,
		Intervals: assign.Initial(), Generation: p.Generation, LastHash: p.Prev,
	}
	t.s.author(p.By)
	if p.Undoes != 0 {
		t.undo(p)
	} else {
		m := t.mark()
		t.enter(0)
		m.step = t.s.kind()
		t.record(m, Start, t.by, p.Reason)
	}
	t.settle()
	return t.s, t.out, nil
}

func (t *turn) undo(p Params) {
	m := mark{} // in no step
	t.close(Undone, release.Whole)
	t.effect(Effect{Kind: SetLive, Version: t.s.Candidate})
	t.record(m, Undo, t.by, p.Reason)
}

func checkParams(p Params) error {
	op := "start a release of " + p.Model.Metadata.Name
	versions := p.Model.Spec.Versions
	_, live := versions[p.Live]
	_, candidate := versions[p.Candidate]
	switch {
	case p.Model.Metadata.Name == "" || p.Number == 0 || p.Salt == "" || p.Now.IsZero():
		return release.Invalid(op, "model, number, salt and time are needed")
	case strings.IndexByte(p.Salt, 0) >= 0:
		return release.Invalid(op, "the salt contains a zero byte")
	case !live:
		return release.Invalid(op, "the live version %q is not among the versions", p.Live).Fix("add it to spec.versions: it must keep serving while the candidate is tried")
	case !candidate:
		return release.Invalid(op, "the candidate %q is not among the versions", p.Candidate).Fix("add it to spec.versions")
	case p.Live == p.Candidate:
		return release.Invalid(op, "%q is live already", p.Live)
	}
	if err := checkPerson(op, p.By, p.Reason); err != nil {
		return err
	}
	if p.Undoes != 0 {
		return nil // its plan is not run
	}
	return checkPlan(op, p.Model.Spec.Plan)
}
