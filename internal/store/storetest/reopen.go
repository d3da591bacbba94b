package storetest

import (
	"errors"
	"fmt"
	"testing"

	"sluice.dev/sluice/internal/store"
)

// RunReopen checks what outlasts a store. open returns an empty store and a function that closes
// it, unless that has happened, and opens its data again; that function may be called repeatedly.
func RunReopen(t *testing.T, open func(t *testing.T) (store.Store, func() store.Store)) {
	t.Run("everything is kept", func(t *testing.T) {
		s, reopen := open(t)
		keepsAll(newT(t, s), reopen)
	})
	t.Run("revisions go on", func(t *testing.T) {
		s, reopen := open(t)
		revisionsGoOn(newT(t, s), reopen)
	})
	t.Run("a lease from before fences nobody", func(t *testing.T) {
		s, reopen := open(t)
		oldLease(newT(t, s), reopen)
	})
}

func keepsAll(t *T, reopen func() store.Store) {
	state := t.commit(put("state/credit/3", "one", 0), add("log/credit/3", "a", 0))
	state = t.commit(put("state/credit/3", "two", state[0]), add("log/credit/3", "b", state[1]))
	for i := range 20 {
		t.append("p0", fmt.Sprint("id", i), fmt.Sprint(i))
	}
	big, small := content(1, 3<<20), content(2, 10)
	bigRev, smallRev := t.putBlob("big", big, 0), t.putBlob("small", small, 0)
	for range 2 {
		t.s = reopen()
		t.value("state/credit/3", "two", state[0])
		t.history("log/credit/3", 0, "a", "b")
		t.history("log/credit/3", state[1])
		t.blob("big", big, bigRev)
		t.blob("small", small, smallRev)
		if got := t.read("p0", 0); len(got) != 20 || string(got[19].Data) != "19" {
			t.Fatalf("%d entries in the log", len(got))
		}
		if seq := t.append("p0", "id7", "repeated"); seq != 8 {
			t.Fatalf("a repeated id got sequence %d", seq)
		}
		t.bounds("p0", 1, 20)
		t.refused(store.ErrConflict, store.Batch{Writes: []store.Write{put("state/credit/3", "x", 0)}})
	}
	t.commit(put("state/credit/3", "three", state[0]), add("log/credit/3", "c", state[1]))
	t.history("log/credit/3", 0, "a", "b", "c")
	if seq := t.append("p0", "", "20"); seq != 21 {
		t.Fatalf("sequence %d", seq)
	}
	if _, err := t.s.PutBlob(t.ctx, "big", small, smallRev+1000); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("put blob: %v", err)
	}
	t.putBlob("big", small, bigRev)
}

func revisionsGoOn(t *T, reopen func() store.Store) {
	var last store.Revision
	for round := range 3 {
		l := t.acquire(fmt.Sprint("lease", round), minTTL)
		revs := t.commitUnder(l, put(fmt.Sprint("k", round), "v", 0), add(fmt.Sprint("h", round), "v", 0))
		if revs[0] <= last || revs[1] <= revs[0] {
			t.Fatalf("revisions %d after %d", revs, last)
		}
		last = revs[1]
		t.s = reopen()
	}
}

// oldLease wants a lease of a closed store to be over, at once or after its time, and its holder
// to stay fenced.
func oldLease(t *T, reopen func() store.Store) {
	old := t.acquire("leader", minTTL)
	t.commitUnder(old, put("k", "v", 0))
	t.s = reopen()
	if err := old.Renew(t.ctx); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("renew through a closed store: %v", err)
	}
	l := t.takeOver("leader")
	t.held("leader")
	t.commitUnder(l, put("k2", "v", 0))
}
