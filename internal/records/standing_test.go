package records

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
)

func TestStandingWatchIsKeptUnderCompareAndSwap(t *testing.T) {
	r, s := open(t)
	if w, rev, err := r.Standing(t.Context(), "credit", 1); err != nil || rev != 0 || !w.Began.IsZero() {
		t.Fatalf("before anything was kept: %+v at %d, %v", w, rev, err)
	}
	kept := judge.Standing{Round: 2, Began: t0, Closed: t0, Windows: 7, Look: judge.StandingLook{LnE: -1.5, Reason: "quiet"}}
	rev, err := r.PutStanding(t.Context(), "credit", 1, kept, 0)
	if err != nil {
		t.Fatal(err)
	}
	if w, at, err := r.Standing(t.Context(), "credit", 1); err != nil || at != rev || !reflect.DeepEqual(w, kept) {
		t.Errorf("kept %+v at %d, read %+v at %d, %v", kept, rev, w, at, err)
	}
	if _, err := r.PutStanding(t.Context(), "credit", 1, kept, 0); !IsConflict(err) || !errors.Is(err, store.ErrConflict) {
		t.Errorf("another leader wrote: %v", err)
	}
	if _, err := s.PutBlob(t.Context(), standingBlob("credit", 1), []byte(`{"v":9}`), rev); err != nil {
		t.Fatal(err)
	}
	_, _, err = r.Standing(t.Context(), "credit", 1)
	wantKind(t, err, release.KindInternal, "layout (9)")
}

// A plan that keeps hold-backs decides what is served after a success that has one, and after nothing else.
func TestNewerFileIsObeyedWhenNothingIsHeldBack(t *testing.T) {
	keeps := strings.Replace(file, "    steps:\n", "    keepHoldback: true\n    steps:\n", 1)
	s := store.NewMemory()
	r := New(s)
	if _, _, err := r.PutModel(t.Context(), model(t, keeps), alice, t0); err != nil {
		t.Fatal(err)
	}
	start(t, r, StartParams{Candidate: "v2"})
	if rel := do(t, r, 1, rollout.CmdAbort); rel.State.Phase != rollout.Stopped {
		t.Fatalf("it is %s", rel.State.Phase)
	}
	moved := strings.Replace(keeps, "127.0.0.1:9101", "127.0.0.1:9201", 1)
	if _, _, err := r.PutModel(t.Context(), model(t, moved), alice, t0); err != nil {
		t.Fatal(err)
	}
	spec, err := r.project(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := spec.Models[0].Arms[0].Spec.URL; got != "http://127.0.0.1:9201" {
		t.Errorf("live is at %s, the file says 9201", got)
	}
	if _, _, ok, err := r.Counted(t.Context(), release.ModelKeyOf("credit"), 1); ok || err != nil {
		t.Errorf("a stopped release is counted (%v)", err)
	}
}
