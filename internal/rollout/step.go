package rollout

import (
	"maps"
	"slices"
	"strings"
	"time"

	"sluice.dev/sluice/internal/release"
)

// maxText bounds what people and gateways say on record, in bytes.
const maxText = 4096

// Step returns what becomes of a release through one input: the next state and the decisions to put on
// record with it, in order, atomically. The given state is not changed. A refused input changes
// nothing; its error says in which state the release is and what is possible there:
// release.KindConflict if the state forbids it, KindInvalid if the input is wrong in itself, KindDenied
// if the person may not, KindInternal if the state is damaged.
func Step(s State, in Input) (State, []Decision, error) {
	if err := s.Check(); err != nil {
		return s, nil, err
	}
	in = normal(in)
	if err := check(&s, in); err != nil {
		return s, nil, err
	}
	t := &turn{s: clone(s), now: in.Now, by: sluice}
	switch {
	case in.Tick != nil:
		t.tick(*in.Tick)
	case in.Test != nil:
		t.test(*in.Test)
	case in.Done != nil:
		t.done(*in.Done)
	case in.Breaker != nil:
		t.breaker(*in.Breaker)
	case in.Alarm != nil:
		t.alarm(*in.Alarm)
	case in.Command != nil:
		t.by = person(*in.Command)
		commands[in.Command.Kind].do(t, *in.Command)
	}
	t.settle()
	return t.s, t.out, nil
}

// turn builds the next state. Nothing in it can fail: check has seen everything before.
type turn struct {
	s   State
	now time.Time
	by  actor
	// What a tick brought, so that decisions carry the evidence they rest on.
	tk  *Tick
	out []Decision
}

// settle writes down, after everything is done, why the release is where it is.
func (t *turn) settle() {
	if !t.s.Phase.Ended() {
		t.s.Held = t.s.held()
		t.s.Reason = t.s.summary()
	} else {
		t.s.Held = nil
	}
}

// check refuses, before anything is built.
func check(s *State, in Input) error {
	op := "advance release " + title(s)
	switch n := given(in); {
	case n != 1:
		return release.Invalid(op, "%d inputs at once; exactly one is possible", n)
	case in.Now.IsZero():
		return release.Invalid(op, "the input has no time")
	case in.Command != nil:
		return checkCommand(s, *in.Command)
	case in.Done != nil:
		return checkDone(s, *in.Done)
	case in.Alarm != nil:
		return checkAlarm(s, *in.Alarm)
	case s.Phase.Ended():
		return release.Conflict(op, "it has ended: %s", s.Phase).Fix("start a new release")
	case in.Test != nil && s.kind() != release.StepTest:
		return release.Conflict(op, "no suite is asked for: %s", s.at())
	case in.Test != nil && s.Test != nil:
		return release.Conflict(op, "the suite has reported already: %s", s.at())
	case in.Breaker != nil && in.Breaker.Gateway == "":
		return release.Invalid(op, "a breaker's report names no gateway")
	}
	return nil
}

func given(in Input) (n int) {
	for _, set := range [...]bool{in.Tick != nil, in.Test != nil, in.Done != nil, in.Command != nil, in.Breaker != nil, in.Alarm != nil} {
		if set {
			n++
		}
	}
	return n
}

// normal brings an input into the form in which it is stored: time without zone and monotonic reading,
// valid and bounded text, finite numbers. What differs after a round trip through JSON would break the
// chain of records.
func normal(in Input) Input {
	if !in.Now.IsZero() {
		in.Now = instant(in.Now)
	}
	if in.Tick != nil {
		k := *in.Tick
		k.Gap, k.ChainBroken = clean(k.Gap), clean(k.ChainBroken)
		k.Assessment = finite(k.Assessment)
		if k.Look != nil {
			l := *k.Look
			l.Rate, l.UnitRate = number(l.Rate), number(l.UnitRate)
			k.Look = &l
		}
		in.Tick = &k
	}
	if in.Command != nil {
		c := *in.Command
		c.By, c.Role, c.Address, c.Reason = clean(c.By), clean(c.Role), clean(c.Address), clean(c.Reason)
		in.Command = &c
	}
	if in.Breaker != nil {
		b := *in.Breaker
		b.Gateway, b.Reason = clean(b.Gateway), clean(b.Reason)
		in.Breaker = &b
	}
	if in.Alarm != nil {
		a := *in.Alarm
		a.Metric, a.Reason, a.Since = clean(a.Metric), clean(a.Reason), instant(a.Since)
		in.Alarm = &a
	}
	if in.Done != nil {
		d := *in.Done
		d.Err = clean(d.Err)
		in.Done = &d
	}
	if in.Test != nil {
		o := *in.Test
		o.Summary, o.Failed, o.Finished = clean(o.Summary), slices.Clone(o.Failed), instant(o.Finished)
		for i := range o.Failed {
			o.Failed[i] = clean(o.Failed[i])
		}
		o.Failed = o.Failed[:min(len(o.Failed), 100)]
		in.Test = &o
	}
	return in
}

// instant is the form in which times are kept: UTC, to the nanosecond.
func instant(at time.Time) time.Time { return at.Round(0).UTC() }

func clean(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.TrimSpace(strings.ToValidUTF8(s, "\uFFFD"))
}

// clone copies what turns change in place; everything else is replaced, never written to.
func clone(s State) State {
	s.Strata = slices.Clone(s.Strata)
	s.Effects = slices.Clone(s.Effects)
	s.Barriers = slices.Clone(s.Barriers)
	s.Harmed = slices.Clone(s.Harmed)
	s.Memory.Sup = maps.Clone(s.Memory.Sup)
	s.Memory.Harm = maps.Clone(s.Memory.Harm)
	if s.Pause != nil {
		p := *s.Pause
		s.Pause = &p
	}
	return s
}
