package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sluice.dev/sluice/internal/store"
)

// minTTL is the shortest life that all engines can give; longTTL outlasts any test.
const (
	minTTL  = time.Second
	longTTL = time.Hour
)

var leaseCases = []testCase{
	{"a lease has one holder", func(t *T) {
		l := t.acquire("leader", longTTL)
		t.held("leader")
		t.acquire("another/name", longTTL)
		if err := l.Release(t.ctx); err != nil {
			t.Fatalf("release: %v", err)
		}
		t.acquire("leader", longTTL)
		t.held("leader")
	}},
	{"a renewal changes the revision", func(t *T) {
		l := t.acquire("leader", longTTL)
		for range 3 {
			before := l.Revision()
			if err := l.Renew(t.ctx); err != nil {
				t.Fatalf("renew: %v", err)
			}
			if l.Revision() <= before {
				t.Fatalf("revision %d after %d", l.Revision(), before)
			}
			t.held("leader")
		}
	}},
	{"the holder commits under its lease", func(t *T) {
		l := t.acquire("leader", longTTL)
		r := t.commitUnder(l, put("state", "1", 0), add("log", "a", 0))
		if err := l.Renew(t.ctx); err != nil {
			t.Fatalf("renew: %v", err)
		}
		r2 := t.commitUnder(l, put("state", "2", r[0]), add("log", "b", r[1]))
		t.value("state", "2", r2[0])
		t.history("log", 0, "a", "b")
		t.refused(store.ErrConflict, store.Batch{Writes: []store.Write{put("state", "3", r[0])}, Fence: l})
		t.commitUnder(l, put("state", "3", r2[0]))
		list, err := t.s.List(t.ctx, "")
		if err != nil || len(list) != 2 {
			t.Fatalf("the lease or its fence shows among the keys: %v, %v", list, err)
		}
	}},
	{"a stale holder is fenced", func(t *T) {
		old := t.acquire("leader", longTTL)
		r := t.commitUnder(old, put("state", "1", 0))[0]
		if err := old.Release(t.ctx); err != nil {
			t.Fatalf("release: %v", err)
		}
		t.refused(store.ErrFenced, store.Batch{Writes: []store.Write{put("state", "2", r)}, Fence: old})
		l := t.acquire("leader", longTTL)
		t.refused(store.ErrFenced, store.Batch{Writes: []store.Write{put("state", "2", r)}, Fence: old})
		// Both are wrong: the lease is what the caller must learn of.
		t.refused(store.ErrFenced, store.Batch{Writes: []store.Write{put("state", "2", r+1)}, Fence: old})
		t.value("state", "1", r)
		if err := old.Renew(t.ctx); !errors.Is(err, store.ErrFenced) {
			t.Fatalf("renew of a lost lease: %v", err)
		}
		if err := old.Release(t.ctx); !errors.Is(err, store.ErrFenced) {
			t.Fatalf("release of a lost lease: %v", err)
		}
		t.held("leader")
		t.commitUnder(l, put("state", "2", r))
	}},
	{"a lease expires", func(t *T) {
		old := t.acquire("leader", minTTL)
		l := t.takeOver("leader")
		t.refused(store.ErrFenced, store.Batch{Writes: []store.Write{put("state", "x", 0)}, Fence: old})
		if err := old.Renew(t.ctx); !errors.Is(err, store.ErrFenced) {
			t.Fatalf("renew of an expired lease: %v", err)
		}
		t.commitUnder(l, put("state", "y", 0))
	}},
	{"a renewed lease expires too", func(t *T) {
		old := t.acquire("leader", minTTL)
		if err := old.Renew(t.ctx); err != nil && !errors.Is(err, store.ErrFenced) {
			t.Fatalf("renew: %v", err)
		}
		t.takeOver("leader")
		t.refused(store.ErrFenced, store.Batch{Writes: []store.Write{put("state", "x", 0)}, Fence: old})
	}},
	{"a lease expires although nobody wants it", func(t *T) {
		l := t.acquire("leader", minTTL)
		var rev store.Revision
		for {
			revs, err := t.s.Commit(t.ctx, store.Batch{Writes: []store.Write{put("state", "x", rev)}, Fence: l})
			if errors.Is(err, store.ErrFenced) {
				break
			}
			if err != nil {
				t.Fatalf("commit: %v", err)
			}
			rev = revs[0]
		}
		if err := l.Renew(t.ctx); !errors.Is(err, store.ErrFenced) {
			t.Fatalf("renew: %v", err)
		}
	}},
	{"renewals and commits of one holder do not fence each other", func(t *T) {
		l := t.acquire("leader", longTTL)
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				var rev store.Revision
				for range 10 {
					revs, err := t.s.Commit(t.ctx, store.Batch{Writes: []store.Write{put(fmt.Sprint("k", i), "v", rev)}, Fence: l})
					if err != nil {
						t.Errorf("commit: %v", err)
						return
					}
					rev = revs[0]
				}
			})
		}
		wg.Go(func() {
			for range 10 {
				if err := l.Renew(t.ctx); err != nil {
					t.Errorf("renew: %v", err)
				}
			}
		})
		wg.Wait()
	}},
	{"of many claims one succeeds", func(t *T) {
		got := make(chan error, 6)
		for range cap(got) {
			go func() {
				_, err := t.s.Acquire(t.ctx, "leader", longTTL)
				got <- err
			}()
		}
		won := 0
		for range cap(got) {
			if err := <-got; err == nil {
				won++
			} else if !errors.Is(err, store.ErrHeld) {
				t.Errorf("acquire: %v", err)
			}
		}
		if won != 1 {
			t.Fatalf("%d claims succeeded", won)
		}
	}},
	{"what is no lease of this store is invalid", func(t *T) {
		t.refused(store.ErrInvalid, store.Batch{Writes: []store.Write{put("k", "v", 0)}, Fence: foreign{}})
		for name, ttl := range map[string]time.Duration{"": minTTL, "a": 0, "b": -1, "c": 1000 * time.Hour} {
			if _, err := t.s.Acquire(t.ctx, name, ttl); !errors.Is(err, store.ErrInvalid) {
				t.Errorf("acquire %q for %v: %v", name, ttl, err)
			}
		}
	}},
	{"any bytes make a lease", func(t *T) {
		for _, name := range oddNames {
			l := t.acquire(name, longTTL)
			t.held(name)
			t.commitUnder(l, put(name, "v", 0))
		}
	}},
}

type foreign struct{}

func (foreign) Renew(context.Context) error   { return nil }
func (foreign) Release(context.Context) error { return nil }
func (foreign) Revision() store.Revision      { return 1 }

func (t *T) held(name string) {
	t.Helper()
	if _, err := t.s.Acquire(t.ctx, name, longTTL); !errors.Is(err, store.ErrHeld) {
		t.Fatalf("acquire %q: %v, want ErrHeld", name, err)
	}
}

func (t *T) commitUnder(l store.Lease, writes ...store.Write) []store.Revision {
	t.Helper()
	revs, err := t.s.Commit(t.ctx, store.Batch{Writes: writes, Fence: l})
	if err != nil {
		t.Fatalf("commit under the lease: %v", err)
	}
	return revs
}

// takeOver asks for the lease until its holder's time is over.
func (t *T) takeOver(name string) store.Lease {
	t.Helper()
	for {
		l, err := t.s.Acquire(t.ctx, name, longTTL)
		if err == nil {
			return l
		}
		if !errors.Is(err, store.ErrHeld) {
			t.Fatalf("acquire %q: %v", name, err)
		}
		time.Sleep(20 * time.Millisecond) // not to starve the engine; the loop decides
	}
}
