package records

import (
	"fmt"
	"reflect"
	"testing"

	"sluice.dev/sluice/internal/rollout"
)

// busy makes four releases of one model, of which all but the last have ended.
func busy(t *testing.T) *Records {
	t.Helper()
	r, _ := open(t)
	for n := uint32(1); n <= 4; n++ {
		start(t, r, StartParams{Candidate: "v2", Reason: fmt.Sprint("try ", n)})
		if n < 4 {
			do(t, r, n, rollout.CmdAbort)
		}
	}
	return r
}

func TestDecisionsOfOneRelease(t *testing.T) {
	r := busy(t)
	for range 2 { // read, then remembered
		for n := uint32(1); n <= 4; n++ {
			all, _, err := r.Decisions(t.Context(), "credit", 0)
			if err != nil {
				t.Fatal(err)
			}
			var want []rollout.Decision
			for _, d := range all {
				if d.Release == n {
					want = append(want, d)
				}
			}
			got, err := r.DecisionsOf(t.Context(), "credit", n)
			if err != nil || len(got) == 0 || !reflect.DeepEqual(got, want) {
				t.Errorf("release %d: %v\n%+v\n%+v", n, err, got, want)
			}
		}
		do(t, r, 4, rollout.CmdPromote) // what is remembered must not be all there is
	}
}

func TestFindDecisionsInPages(t *testing.T) {
	r := busy(t)
	for _, oldest := range []bool{false, true} {
		all, more, err := r.FindDecisions(t.Context(), DecisionQuery{Oldest: oldest})
		if err != nil || more || len(all) != 7 {
			t.Fatalf("%d decisions, more %v, %v", len(all), more, err)
		}
		var paged []rollout.Decision
		q := DecisionQuery{Oldest: oldest, Limit: 3}
		for more = true; more; {
			var page []rollout.Decision
			if page, more, err = r.FindDecisions(t.Context(), q); err != nil || len(page) > 3 || len(page) == 0 {
				t.Fatalf("a page of %d, %v", len(page), err)
			}
			paged = append(paged, page...)
			q.After = KeyOf(page[len(page)-1])
		}
		if !reflect.DeepEqual(paged, all) {
			t.Errorf("oldest first %v: the pages are not the whole", oldest)
		}
	}
	for name, c := range map[string]struct {
		q    DecisionQuery
		want int
	}{
		"release": {DecisionQuery{Release: 2}, 2},
		"what":    {DecisionQuery{What: "stop"}, 3},
		"by":      {DecisionQuery{By: "alice"}, 7},
		"nobody":  {DecisionQuery{By: "bob"}, 0},
		"text":    {DecisionQuery{Text: "TRY 3"}, 1},
		"from":    {DecisionQuery{From: t0.Add(1)}, 3},
		"to":      {DecisionQuery{To: t0}, 4},
	} {
		got, _, err := r.FindDecisions(t.Context(), c.q)
		if err != nil || len(got) != c.want {
			t.Errorf("%s: %d decisions, want %d, %v", name, len(got), c.want, err)
		}
	}
	_, _, err := r.FindDecisions(t.Context(), DecisionQuery{Model: "nope"})
	wantKind(t, err, "notFound", "nope")
}

func TestFindReleasesInPages(t *testing.T) {
	r := busy(t)
	numbers := func(q ReleaseQuery) (out []uint32) {
		q.Limit = 2
		for more := true; more; {
			page, m, err := r.FindReleases(t.Context(), "credit", q)
			if err != nil || len(page) > 2 {
				t.Fatalf("%d, %v", len(page), err)
			}
			for _, rel := range page {
				out, q.After = append(out, rel.State.Number), rel.State.Number
			}
			more = m
		}
		return out
	}
	if got := numbers(ReleaseQuery{}); !reflect.DeepEqual(got, []uint32{1, 2, 3, 4}) {
		t.Error(got)
	}
	if got := numbers(ReleaseQuery{Newest: true}); !reflect.DeepEqual(got, []uint32{4, 3, 2, 1}) {
		t.Error(got)
	}
	if got := numbers(ReleaseQuery{Keep: func(s rollout.State) bool { return s.Phase.Ended() }}); !reflect.DeepEqual(got, []uint32{1, 2, 3}) {
		t.Error(got)
	}
}

// TestLedgerIsBounded: the books used longest ago are forgotten, and read again when they are asked for.
func TestLedgerIsBounded(t *testing.T) {
	r := busy(t)
	if _, err := r.entries(t.Context(), "credit"); err != nil {
		t.Fatal(err)
	}
	l := &r.ledger
	l.books["other"] = &ledgerBook{used: 1 << 60, bytes: maxLedger}
	l.bytes += maxLedger
	l.trim()
	if l.books["credit"] != nil || l.bytes != maxLedger {
		t.Errorf("%d books, %d bytes", len(l.books), l.bytes)
	}
	if got, err := r.DecisionsOf(t.Context(), "credit", 1); err != nil || len(got) != 2 {
		t.Errorf("%d decisions, %v", len(got), err)
	}
}
