package cli

import (
	"bytes"
	"strings"
	"testing"

	"sluice.dev/sluice/internal/app"
)

func TestReplayedExitCode(t *testing.T) {
	same := app.Replayed{Number: 4, Judged: true, Same: true}
	person := app.Replayed{Number: 1}
	other := app.Replayed{Number: 5, Judged: true, Differs: "errors: now 1\nthen 2"}
	for _, tc := range []struct {
		name string
		all  []app.Replayed
		ok   bool
		want string
	}{
		{"all the same", []app.Replayed{person, same}, true, "1 of 1"},
		{"one differs", []app.Replayed{same, other}, false, "DIFFERENT: errors: now 1; then 2"},
		{"nothing was judged", []app.Replayed{person}, false, "0 of 0"},
		{"no decision", nil, false, "0 of 0"},
	} {
		var out bytes.Buffer
		e := &env{out: &out, err: &out, output: "table"}
		if err := e.replayed(tc.all); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
		if !strings.Contains(out.String(), tc.want) {
			t.Errorf("%s: no %q in\n%s", tc.name, tc.want, out.String())
		}
	}
}
