package records

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/store"
)

var root = Change{Who: Who{ID: "00", Name: "root", Role: Admin, Address: "10.0.0.1"}, Now: t0, Reason: "needed"}

func issue(t *testing.T, r *Records, tok Token) (Token, string) {
	t.Helper()
	made, clear, err := r.IssueToken(t.Context(), tok, root)
	if err != nil {
		t.Fatal(err)
	}
	return made, clear
}

// TestTokenEnds: only whoever has the right secret learns why a token is of no use any more.
func TestTokenEnds(t *testing.T) {
	r := New(store.NewMemory())
	made, clear := issue(t, r, Token{Name: "bob", Role: Viewer, Expires: t0.Add(time.Hour)})
	if _, err := r.Authenticate(t.Context(), clear, t0.Add(time.Hour-1)); err != nil {
		t.Error(err)
	}
	_, err := r.Authenticate(t.Context(), clear, t0.Add(time.Hour))
	wantKind(t, err, release.KindDenied, "expired at 2026-01-02T04:04:05Z")
	_, err = r.Authenticate(t.Context(), clear[:len(clear)-1]+"!", t0.Add(time.Hour))
	wantKind(t, err, release.KindDenied, "not valid")
	if err := r.EndToken(t.Context(), made.ID, root); err != nil {
		t.Fatal(err)
	}
	_, err = r.Authenticate(t.Context(), clear, t0)
	wantKind(t, err, release.KindDenied, "revoked")
}

func TestTokenNames(t *testing.T) {
	r := New(store.NewMemory())
	for _, bad := range []Token{
		{Role: Viewer},
		{Name: "a\nb", Role: Viewer},
		{Name: " a", Role: Viewer},
		{Name: strings.Repeat("x", 65), Role: Viewer},
		{Name: "a", Role: "god"},
		{Name: "a", Role: Viewer, Groups: []string{""}},
		{Name: "a", Role: Viewer, Groups: []string{"x\x00"}},
		{Name: "a", Role: Viewer, Groups: make([]string, 33)},
		{Name: "a\u202eb", Role: Viewer},
	} {
		if _, _, err := r.IssueToken(t.Context(), bad, root); release.KindOf(err) != release.KindInvalid || err == nil {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestTokenRotation(t *testing.T) {
	r := New(store.NewMemory())
	old, clear := issue(t, r, Token{Name: "ci", Role: Operator, Groups: []string{"ml"}, Expires: t0.Add(24 * time.Hour)})
	later := root
	later.Now = t0.Add(20 * time.Hour)
	fresh, freshClear, err := r.RotateToken(t.Context(), old.ID, Rotation{Grace: time.Hour}, later)
	if err != nil || fresh.ID == old.ID || fresh.Rotates != old.ID || !fresh.Expires.Equal(later.Now.Add(24*time.Hour)) {
		t.Fatalf("%+v, %v", fresh, err)
	}
	who, err := r.Authenticate(t.Context(), freshClear, later.Now)
	if err != nil || who.Name != "ci" || who.Role != Operator || !slices.Equal(who.Groups, []string{"ml"}) {
		t.Errorf("%+v, %v", who, err)
	}
	if _, err := r.Authenticate(t.Context(), clear, later.Now.Add(59*time.Minute)); err != nil {
		t.Errorf("within its grace: %v", err)
	}
	if _, err := r.Authenticate(t.Context(), clear, later.Now.Add(time.Hour)); err == nil {
		t.Error("the old token outlives its grace")
	}
	if _, _, err := r.RotateToken(t.Context(), fresh.ID, Rotation{}, later); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Authenticate(t.Context(), freshClear, later.Now); err == nil {
		t.Error("without grace the old token stays valid")
	}
	_, _, err = r.RotateToken(t.Context(), fresh.ID, Rotation{}, later)
	wantKind(t, err, release.KindConflict, "over already")
	_, _, err = r.RotateToken(t.Context(), "0000000000000000", Rotation{}, later)
	wantKind(t, err, release.KindNotFound, "no token")
}

// TestActs: what people do that is no decision is on record with person, role, address, time and reason, as a chain.
func TestActs(t *testing.T) {
	r, s := open(t)
	tok, _ := issue(t, r, Token{Name: "ci", Role: Viewer})
	if err := r.EndToken(t.Context(), tok.ID, root); err != nil {
		t.Fatal(err)
	}
	all, err := r.Acts(t.Context())
	if err != nil || len(all) != 3 {
		t.Fatalf("%+v, %v", all, err)
	}
	for i, want := range []string{"apply credit", "token.create " + tok.ID + " ci", "token.revoke " + tok.ID + " ci"} {
		if got := all[i].What + " " + all[i].Subject; got != want || all[i].By == "" || all[i].Address == "" || all[i].Role == "" || !all[i].Time.Equal(t0) {
			t.Errorf("act %d: %+v, want %s", i, all[i], want)
		}
	}
	if all[2].Reason != "needed" || all[2].By != "root" {
		t.Errorf("%+v", all[2])
	}
	if err := VerifyActs(all); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func() []Act{
		"changed": func() []Act { c := slices.Clone(all); c[1].By = "nobody"; return c },
		"missing": func() []Act { return slices.Delete(slices.Clone(all), 1, 2) },
	} {
		if VerifyActs(spoil()) == nil {
			t.Errorf("a %s act goes unnoticed", name)
		}
	}
	again, err := New(s).Acts(t.Context())
	if err != nil || len(again) != 3 {
		t.Errorf("%d, %v", len(again), err)
	}
}

func TestChangeOfAnEarlierRevision(t *testing.T) {
	r, _ := open(t)
	m, err := r.Model(t.Context(), "credit")
	if err != nil {
		t.Fatal(err)
	}
	seen := m.Revision
	other := model(t, strings.Replace(file, "0.5pp", "0.6pp", 1))
	if _, _, err := r.ApplyModel(t.Context(), other, Change{Who: alice, Now: t0, At: &seen}); err != nil {
		t.Fatal(err)
	}
	_, _, err = r.ApplyModel(t.Context(), model(t, file), Change{Who: alice, Now: t0, At: &seen})
	wantKind(t, err, release.KindConflict, "changed since it was read")
	none := Revision(0)
	_, _, err = r.ApplyModel(t.Context(), model(t, file), Change{Who: alice, Now: t0, At: &none})
	wantKind(t, err, release.KindConflict, "changed since it was read")
	_, _, err = r.Start(t.Context(), StartParams{Model: "credit", Candidate: "v2", Who: alice, Now: t0, Salt: "s", Reason: "x", At: &seen})
	wantKind(t, err, release.KindConflict, "changed since it was read")
}

func TestSessions(t *testing.T) {
	r := New(store.NewMemory())
	tok, clear := issue(t, r, Token{Name: "bob", Role: Operator})
	who, err := r.Authenticate(t.Context(), clear, t0)
	if err != nil {
		t.Fatal(err)
	}
	log := func(who Who) Session {
		t.Helper()
		s, err := r.OpenSession(t.Context(), who, t0, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, b := log(who), log(who)
	if a.Cookie == b.Cookie || a.CSRF == b.CSRF || strings.Contains(a.Cookie, a.CSRF) {
		t.Error("two sessions share something")
	}
	got, err := r.ResumeSession(t.Context(), a.Cookie, t0.Add(time.Minute))
	if err != nil || got.Who.Name != "bob" || got.Who.Role != Operator || got.CSRF != a.CSRF {
		t.Fatalf("%+v, %v", got, err)
	}
	over := func(name, cookie string, at time.Time) {
		t.Helper()
		_, err := r.ResumeSession(t.Context(), cookie, at)
		if release.KindOf(err) != release.KindDenied || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	over("expired", a.Cookie, t0.Add(time.Hour))
	for _, forged := range []string{"", ".", "0.", "-1." + strings.Repeat("x", 43), "9999." + strings.Repeat("x", 43), a.Cookie[:len(a.Cookie)-1] + "!", "0" + a.Cookie[strings.Index(a.Cookie, "."):]} {
		if forged != a.Cookie {
			over("forged "+forged, forged, t0)
		}
	}
	if err := r.CloseSession(t.Context(), a.Cookie); err != nil {
		t.Fatal(err)
	}
	over("closed", a.Cookie, t0)
	if _, err := r.ResumeSession(t.Context(), b.Cookie, t0); err != nil {
		t.Errorf("a logout ended another session: %v", err)
	}
	if err := r.EndToken(t.Context(), tok.ID, root); err != nil {
		t.Fatal(err)
	}
	over("of a revoked token", b.Cookie, t0)
	person := log(Who{Name: "carol@example.com", Role: Viewer, Groups: []string{"ml"}})
	if got, err := r.ResumeSession(t.Context(), person.Cookie, t0); err != nil || got.Who.Name != "carol@example.com" || got.Who.Groups[0] != "ml" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestSessionsAreBounded: any number of logins uses the same slots again and again, and the latest one holds.
func TestSessionsAreBounded(t *testing.T) {
	s := store.NewMemory()
	r := New(s)
	for i := range 3 * maxSessions {
		made, err := r.OpenSession(t.Context(), Who{Name: "x", Role: Viewer}, t0.Add(time.Duration(i)*time.Second), 12*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.ResumeSession(t.Context(), made.Cookie, t0); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.List(t.Context(), "session/")
	if err != nil || len(all) > maxSessions {
		t.Errorf("%d slots, %v", len(all), err)
	}
}

func TestOnce(t *testing.T) {
	r := New(store.NewMemory())
	key := OnceKey(alice, "k")
	begin := func(call string, at time.Duration) (*Answer, error) {
		return r.BeginOnce(t.Context(), key, call, t0.Add(at))
	}
	if a, err := begin("x", 0); a != nil || err != nil {
		t.Fatalf("%+v, %v", a, err)
	}
	_, err := begin("x", time.Second)
	wantKind(t, err, release.KindConflict, "being done")
	if err := r.EndOnce(t.Context(), key, &Answer{Status: 201, Body: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if a, err := begin("x", time.Hour); err != nil || a == nil || a.Status != 201 || string(a.Body) != "{}" {
		t.Errorf("%+v, %v", a, err)
	}
	_, err = begin("y", time.Hour)
	wantKind(t, err, release.KindInvalid, "another call")
	if a, err := begin("y", onceKept+1); a != nil || err != nil {
		t.Errorf("a day later: %+v, %v", a, err)
	}
	if err := r.EndOnce(t.Context(), key, nil); err != nil {
		t.Fatal(err)
	}
	if a, err := begin("y", onceKept+2); a != nil || err != nil {
		t.Errorf("after a failure: %+v, %v", a, err)
	}
	if a, err := begin("y", onceKept+2+oncePending+1); a != nil || err != nil {
		t.Errorf("after a crash: %+v, %v", a, err)
	}
	if err := r.EndOnce(t.Context(), key, &Answer{Status: 200, Body: make([]byte, maxAnswer+1)}); err != nil {
		t.Fatal(err)
	}
	if a, err := begin("y", onceKept+time.Hour); err != nil || !a.Cut || a.Body != nil {
		t.Errorf("a large answer: %+v, %v", a, err)
	}
	if OnceKey(Who{ID: "a", Name: "bc"}, "d") == OnceKey(Who{ID: "ab", Name: "c"}, "d") {
		t.Error("two people share a key")
	}
}

// TestOnceIsBounded: more keys than there is room for push the oldest ones out.
func TestOnceIsBounded(t *testing.T) {
	s := store.NewMemory()
	r := New(s)
	for i := range 40 {
		key := "00" + fmt.Sprintf("%062d", i)
		if _, err := r.BeginOnce(t.Context(), key, "x", t0); err != nil {
			t.Fatal(err)
		}
		if err := r.EndOnce(t.Context(), key, &Answer{Status: 200, Body: make([]byte, maxAnswer)}); err != nil {
			t.Fatal(err)
		}
	}
	e, err := s.Get(t.Context(), "once/00")
	if err != nil || len(e.Value) > store.MaxValue {
		t.Errorf("%d bytes, %v", len(e.Value), err)
	}
}
