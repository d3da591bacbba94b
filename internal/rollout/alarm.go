package rollout

import (
	"fmt"

	"sluice.dev/sluice/internal/release"
)

// Alarms says how many alarms of the standing watch are on record.
func (s *State) Alarms() int {
	if s.Alarm == nil {
		return 0
	}
	return s.Alarm.Number
}

// checkAlarm refuses an alarm where nothing is held back, and one that is on record already: a watcher may die between
// telling it and beginning afresh.
func checkAlarm(s *State, a Alarm) error {
	op := "put an alarm on record of release " + title(s)
	switch {
	case !s.Holding():
		return release.Conflict(op, "it keeps no hold-back to compare with: %s", s.Phase)
	case a.Number != s.Alarms()+1:
		return release.Conflict(op, "alarm %d follows alarm %d", a.Number, s.Alarms())
	case a.Reason == "":
		return release.Invalid(op, "the alarm has no reason")
	}
	return nil
}

// alarm puts it on record and has it told. Why the release ended stays its reason.
func (t *turn) alarm(a Alarm) {
	why := t.s.Reason
	a.Time = t.now
	t.s.Alarm = &a
	t.record(t.mark(), Note, sluice, fmt.Sprintf("standing watch: %s; sluice undo %s takes the version back", a.Reason, t.s.Model))
	t.notify(t.s.Decisions)
	t.s.Reason = why
}
