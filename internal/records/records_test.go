package records

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

var alice = Who{Name: "alice", Role: Operator, Address: "127.0.0.1"}

const file = `
apiVersion: sluice.dev/v1alpha1
kind: Model
metadata: {name: credit}
spec:
  match: {path: /credit}
  dialect: json
  unit: {from: [header:X-User-Id]}
  versions:
    v1: {url: "http://127.0.0.1:9101"}
    v2: {url: "http://127.0.0.1:9102"}
  live: v1
  metrics:
    - {name: errors, source: error, direction: lower, margin: 0.5pp, role: guardrail}
  plan:
    steps:
      - pause: {}
      - canary: {shares: [50%], hold: 10m, deadline: 1h}
      - production: {watch: 1h}
`

func model(t *testing.T, text string) *release.Model {
	t.Helper()
	m, faults := release.ParseModel("model.yaml", []byte(text))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	return m.Normalise()
}

// open returns records with the model applied.
func open(t *testing.T) (*Records, store.Store) {
	t.Helper()
	s := store.NewMemory()
	r := New(s)
	if _, changed, err := r.PutModel(t.Context(), model(t, file), alice, t0); err != nil || !changed {
		t.Fatalf("PutModel: changed %v, %v", changed, err)
	}
	return r, s
}

func start(t *testing.T, r *Records, p StartParams) Release {
	t.Helper()
	p.Model, p.Who, p.Now, p.Salt = "credit", alice, t0, "salt-"+fmt.Sprint(p.Candidate, p.Undo)
	if p.Reason == "" {
		p.Reason = "try it"
	}
	rel, decisions, err := r.Start(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if len(decisions) != 1 {
		t.Fatalf("start took %d decisions, want 1", len(decisions))
	}
	return rel
}

func do(t *testing.T, r *Records, n uint32, kind rollout.CommandKind) Release {
	t.Helper()
	cmd := rollout.Command{Kind: kind, By: "alice", Role: Operator, Roles: []string{Operator}, Reason: "because"}
	rel, _, err := r.Apply(t.Context(), "credit", n, rollout.Input{Now: t0.Add(time.Minute), Command: &cmd}, nil)
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	return rel
}

func wantKind(t *testing.T, err error, kind release.ErrorKind, words string) {
	t.Helper()
	if release.KindOf(err) != kind || err == nil || !strings.Contains(err.Error(), words) {
		t.Fatalf("got %v (kind %s), want kind %s with %q", err, release.KindOf(err), kind, words)
	}
}

func TestPutModelTwiceChangesNothing(t *testing.T) {
	r, _ := open(t)
	m, changed, err := r.PutModel(t.Context(), model(t, file), alice, t0.Add(time.Hour))
	if err != nil || changed || !m.Applied.Equal(t0) {
		t.Fatalf("changed %v, applied %v, %v", changed, m.Applied, err)
	}
	if entries, err := r.store.History(t.Context(), fileKey("credit"), 0); err != nil || len(entries) != 1 {
		t.Fatalf("%d files on record, want 1 (%v)", len(entries), err)
	}
}

func TestLiveVersionStaysInTheFile(t *testing.T) {
	r, _ := open(t)
	text := strings.ReplaceAll(strings.ReplaceAll(file, "v1:", "v0:"), "live: v1", "live: v0")
	_, _, err := r.PutModel(t.Context(), model(t, text), alice, t0)
	wantKind(t, err, release.KindInvalid, `version "v1" is live now`)
}

func TestReleaseLife(t *testing.T) {
	r, _ := open(t)
	rel := start(t, r, StartParams{Candidate: "v2"})
	if rel.State.Number != 1 || rel.State.Phase.Ended() {
		t.Fatalf("number %d, phase %s", rel.State.Number, rel.State.Phase)
	}
	_, _, err := r.Start(t.Context(), StartParams{Model: "credit", Candidate: "v2", Reason: "again", Who: alice, Now: t0, Salt: "s"})
	wantKind(t, err, release.KindConflict, "release 1 is running")

	for range 3 { // pause, canary, production
		rel = do(t, r, 1, rollout.CmdPromote)
	}
	if rel.State.Phase != rollout.Succeeded {
		t.Fatalf("phase %s, want Succeeded", rel.State.Phase)
	}
	m, err := r.Model(t.Context(), "credit")
	if err != nil || m.Live != "v2" || m.Running != 0 || m.Success != 1 {
		t.Fatalf("model after success: %+v, %v", m, err)
	}

	rel = start(t, r, StartParams{Undo: true})
	if rel.State.Phase != rollout.Undone || rel.State.Number != 2 {
		t.Fatalf("undo: %s, number %d", rel.State.Phase, rel.State.Number)
	}
	if m, _ = r.Model(t.Context(), "credit"); m.Live != "v1" || m.Success != 0 {
		t.Fatalf("after undo %s is live, success %d", m.Live, m.Success)
	}
	_, _, err = r.Start(t.Context(), StartParams{Model: "credit", Undo: true, Reason: "again", Who: alice, Now: t0, Salt: "s"})
	wantKind(t, err, release.KindConflict, "no success that could be taken back")

	a, err := r.Verify(t.Context(), "credit")
	if err != nil || !a.OK || a.Releases != 2 || a.Decisions != 5 {
		t.Fatalf("audit: %+v, %v", a, err)
	}
}

func TestRefusals(t *testing.T) {
	r, _ := open(t)
	p := StartParams{Model: "credit", Candidate: "v2", Reason: "x", Who: alice, Now: t0, Salt: "s"}
	for name, c := range map[string]struct {
		change func(*StartParams)
		kind   release.ErrorKind
		words  string
	}{
		"unknown model":   {func(p *StartParams) { p.Model = "nope" }, release.KindNotFound, `no model "nope"`},
		"unknown version": {func(p *StartParams) { p.Candidate = "v9" }, release.KindInvalid, "v1, v2"},
		"live already":    {func(p *StartParams) { p.Candidate = "v1" }, release.KindConflict, "live already"},
	} {
		t.Run(name, func(t *testing.T) {
			q := p
			c.change(&q)
			_, _, err := r.Start(t.Context(), q)
			wantKind(t, err, c.kind, c.words)
		})
	}
	_, err := r.Release(t.Context(), "credit", 0)
	wantKind(t, err, release.KindNotFound, "no release yet")
}

// TestTamperedChain changes, removes and cuts off records behind the back of records.
func TestTamperedChain(t *testing.T) {
	r, s := open(t)
	start(t, r, StartParams{Candidate: "v2"})
	do(t, r, 1, rollout.CmdPromote)
	do(t, r, 1, rollout.CmdAbort)
	entries, err := s.History(t.Context(), logKey("credit"), 0)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	for name, forge := range map[string]func() []store.Entry{
		"changed": func() []store.Entry {
			out := append([]store.Entry(nil), entries...)
			out[1].Value = []byte(strings.Replace(string(out[1].Value), "because", "whatever", 1))
			return out
		},
		"removed": func() []store.Entry { return []store.Entry{entries[0], entries[2]} },
		"cut off": func() []store.Entry { return entries[:2] },
		"emptied": func() []store.Entry { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			a, err := New(forged{s, logKey("credit"), forge()}).Verify(t.Context(), "credit")
			if err != nil || a.OK || a.Fault == "" {
				t.Fatalf("a chain that was %s passed: %+v, %v", name, a, err)
			}
		})
	}
}

// forged shows another history of one key.
type forged struct {
	store.Store
	key     string
	entries []store.Entry
}

func (f forged) History(ctx context.Context, key string, after store.Revision) ([]store.Entry, error) {
	if key == f.key {
		return f.entries, nil
	}
	return f.Store.History(ctx, key, after)
}

// TestOneOfManyCommandsAtOnceWins lets many operators abort at the same moment: one decision.
func TestOneOfManyCommandsAtOnceWins(t *testing.T) {
	r, _ := open(t)
	start(t, r, StartParams{Candidate: "v2"})
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wg.Go(func() {
			cmd := rollout.Command{Kind: rollout.CmdAbort, By: fmt.Sprint("person ", i), Role: Operator, Reason: "stop"}
			_, _, errs[i] = r.Apply(t.Context(), "credit", 1, rollout.Input{Now: t0.Add(time.Minute), Command: &cmd}, nil)
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			wantKind(t, err, release.KindConflict, "")
		}
	}
	a, err := r.Verify(t.Context(), "credit")
	if won != 1 || err != nil || !a.OK || a.Decisions != 2 {
		t.Fatalf("%d aborts won; %+v, %v", won, a, err)
	}
}

func TestTokens(t *testing.T) {
	r, s := open(t)
	made, clear, err := r.CreateToken(t.Context(), Token{Name: "bob", Role: Viewer, Expires: t0.Add(time.Hour)}, t0)
	if err != nil {
		t.Fatal(err)
	}
	who, err := r.Authenticate(t.Context(), clear, t0)
	if err != nil || who.Name != "bob" || who.Role != Viewer {
		t.Fatalf("%+v, %v", who, err)
	}
	if err := Require(who, Viewer); err != nil {
		t.Fatal(err)
	}
	wantKind(t, Require(who, Operator), release.KindDenied, "operator")
	secret := strings.SplitN(clear, "_", 3)[2]
	entries, _ := s.List(t.Context(), "")
	for _, e := range entries {
		if strings.Contains(string(e.Value), secret) {
			t.Fatalf("the secret is stored in clear under %s", e.Key)
		}
	}
	for name, bearer := range map[string]string{
		"empty": "", "other secret": clear[:len(clear)-1] + "?", "other id": strings.Replace(clear, made.ID, strings.Repeat("0", 16), 1),
		"traversal": "slc_../../model/credit_x",
	} {
		if _, err := r.Authenticate(t.Context(), bearer, t0); release.KindOf(err) != release.KindDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.Authenticate(t.Context(), clear, t0.Add(2*time.Hour)); release.KindOf(err) != release.KindDenied {
		t.Errorf("expired: %v", err)
	}
	if err := r.RevokeToken(t.Context(), made.ID, t0); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Authenticate(t.Context(), clear, t0); release.KindOf(err) != release.KindDenied {
		t.Errorf("revoked: %v", err)
	}
}

func TestClockSurvivesWithoutADecision(t *testing.T) {
	r, s := open(t)
	rel := start(t, r, StartParams{Candidate: "v2"})
	st := rel.State
	st.Clock.Step = 42 * time.Second
	if err := r.SaveClock(t.Context(), st, nil); err != nil {
		t.Fatal(err)
	}
	again, err := New(s).Release(t.Context(), "credit", 1)
	if err != nil || again.State.Clock.Step != 42*time.Second {
		t.Fatalf("clock %v, %v", again.State.Clock.Step, err)
	}
	do(t, r, 1, rollout.CmdPromote)
	again, err = New(s).Release(t.Context(), "credit", 1)
	if err != nil || again.State.Clock.Step == 42*time.Second {
		t.Fatalf("the former step's clock came back: %v, %v", again.State.Clock.Step, err)
	}
}

func TestPublishIsAProjection(t *testing.T) {
	r, _ := open(t)
	first, err := r.Publish(t.Context(), time.Minute)
	if err != nil || first != 1 {
		t.Fatalf("generation %d, %v", first, err)
	}
	if again, _ := r.Publish(t.Context(), time.Minute); again != first {
		t.Fatalf("nothing changed, generation %d", again)
	}
	start(t, r, StartParams{Candidate: "v2"})
	do(t, r, 1, rollout.CmdPromote)
	second, err := r.Publish(t.Context(), time.Minute)
	if err != nil || second != first+1 {
		t.Fatalf("generation %d, %v", second, err)
	}
	spec, _, err := r.routes(t.Context())
	if err != nil || len(spec.Models) != 1 || spec.Models[0].Release != 1 || len(spec.Models[0].Arms) != 2 {
		t.Fatalf("%+v, %v", spec, err)
	}
}

// TestUnknownOutcome loses the answer of a commit that was stored: it is settled by reading back.
func TestUnknownOutcome(t *testing.T) {
	r, s := open(t)
	start(t, r, StartParams{Candidate: "v2"})
	lossy := New(&losesAnswers{Store: s})
	cmd := rollout.Command{Kind: rollout.CmdAbort, By: "alice", Role: Operator, Reason: "stop"}
	rel, decisions, err := lossy.Apply(t.Context(), "credit", 1, rollout.Input{Now: t0.Add(time.Minute), Command: &cmd}, nil)
	if err != nil || len(decisions) != 1 || !rel.State.Phase.Ended() {
		t.Fatalf("%v, %d decisions, %s", err, len(decisions), rel.State.Phase)
	}
	if a, err := r.Verify(t.Context(), "credit"); err != nil || !a.OK || a.Decisions != 2 {
		t.Fatalf("%+v, %v", a, err)
	}
}

type losesAnswers struct{ store.Store }

func (l *losesAnswers) Commit(ctx context.Context, b store.Batch) ([]store.Revision, error) {
	if _, err := l.Store.Commit(ctx, b); err != nil {
		return nil, err
	}
	return nil, errors.Join(store.ErrUnknown, errors.New("time-out"))
}
