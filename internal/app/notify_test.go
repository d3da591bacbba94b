package app

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice.dev/sluice/internal/notify"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
)

func TestNotifierTellsWhatTheConfigSays(t *testing.T) {
	type message struct {
		body []byte
		err  error
	}
	got := make(chan message, 8)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = notify.Verify([]byte("s3cret"), r.Header, body, time.Now(), time.Hour)
		}
		got <- message{body, err}
	}))
	defer hook.Close()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SLUICE_TEST_HOOK", hook.URL)
	n, err := newNotifier([]release.NotifyConfig{
		{URL: "env:SLUICE_TEST_HOOK", Secret: release.Secret("file:" + file), Format: release.NotifyJSON, On: []release.NotifyOn{"rollback"}},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	d := rollout.Decision{
		Model: "credit", Release: 2, Number: 5, Time: time.Unix(1_700_000_000, 0).UTC(), Step: release.StepCanary,
		What: rollout.RollBack, From: release.Whole / 5, To: 0, Phase: rollout.RolledBack, By: "ada", Role: "operator",
		Address: "192.0.2.7", Reason: "harm",
	}
	if err := n.Notify(t.Context(), "credit/2/8", d); err != nil {
		t.Fatal(err)
	}
	d.What = rollout.Advance
	if err := n.Notify(t.Context(), "credit/2/9", d); err != nil {
		t.Fatal(err)
	}
	m := <-got
	if m.err != nil {
		t.Error(m.err)
	}
	var e notify.Event
	if err := json.Unmarshal(m.body, &e); err != nil {
		t.Fatal(err)
	}
	want := notify.Event{
		Model: "credit", Release: 2, Number: 5, Step: "canary", What: "rollback", From: "20%", To: "0%", Phase: "RolledBack",
		By: "ada", Reason: "harm", Time: d.Time,
	}
	if e != want {
		t.Errorf("told %+v, want %+v", e, want)
	}
	if strings.Contains(string(m.body), d.Address) {
		t.Error("the person's address leaves")
	}
	if len(got) != 0 {
		t.Error("told of an advance, which nobody asked for")
	}
}

func TestNotifierOfNobody(t *testing.T) {
	if n, err := newNotifier(nil, slog.New(slog.DiscardHandler)); n != nil || err != nil {
		t.Errorf("%v, %v", n, err)
	}
	_, err := newNotifier([]release.NotifyConfig{{URL: "env:SLUICE_TEST_NOT_SET"}}, slog.New(slog.DiscardHandler))
	if release.KindOf(err) != release.KindNotFound || !strings.Contains(err.Error(), "spec.notify[0].url") {
		t.Errorf("got %v", err)
	}
}

// Every decision can be asked for by its word, and no other word is offered.
func TestNotifyWordsAreThoseOfDecisions(t *testing.T) {
	all := []rollout.What{
		rollout.Start, rollout.Advance, rollout.Hold, rollout.PauseIt, rollout.Resume, rollout.RollBack, rollout.Finish,
		rollout.Stop, rollout.Undo, rollout.Retry, rollout.Adjust, rollout.Freeze, rollout.Note,
	}
	var want []string
	for _, w := range all {
		want = append(want, string(w))
	}
	if got := release.NotifyOn("").Values(); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
