package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/rollout"
)

// The view of a success ends with what is seen since, alarms first.
func TestViewShowsTheStandingWatch(t *testing.T) {
	e := &env{out: &bytes.Buffer{}}
	r := api.Release{Model: "credit", Number: 3, Phase: rollout.Succeeded, Reason: "v2 is live"}
	if got := e.view(r, 100); strings.Contains(got, "watch ") {
		t.Errorf("nothing is known of a watch:\n%s", got)
	}
	r.Watch = &api.StandingWatch{Reason: "quiet so far"}
	if got := e.view(r, 100); !strings.Contains(got, "  watch     quiet so far\n") {
		t.Errorf("the watch is missing:\n%s", got)
	}
	r.Watch.Alarm = &rollout.Alarm{Number: 2, Time: time.Date(2030, 1, 2, 14, 40, 0, 0, time.UTC), Reason: "errors: worse"}
	got := e.view(r, 100)
	alarm, then := strings.Index(got, "  watch     alarm 2 at 2030-01-02 14:40 UTC: errors: worse\n"), strings.Index(got, "            since then: quiet so far\n")
	if alarm < 0 || then < alarm {
		t.Errorf("the alarm is missing:\n%s", got)
	}
}
