package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice.dev/sluice/internal/store"
)

// script injects the faults in turn, then none.
func script(faults ...store.Fault) store.Injector {
	return func(store.Op) store.Fault {
		if len(faults) == 0 {
			return store.None
		}
		f := faults[0]
		faults = faults[1:]
		return f
	}
}

func write(key, value string, expect store.Revision) store.Batch {
	return store.Batch{Writes: []store.Write{{Key: key, Value: []byte(value), Expect: expect}}}
}

func TestFaultsOfACommit(t *testing.T) {
	for _, c := range []struct {
		fault   store.Fault
		want    error
		happens bool
	}{
		{store.None, nil, true},
		{store.Refuse, store.ErrUnavailable, false},
		{store.NoRoom, store.ErrFull, false},
		{store.LoseRequest, store.ErrUnknown, false},
		{store.LoseAnswer, store.ErrUnknown, true},
		{store.Delay, store.ErrUnknown, false},
	} {
		ctx := t.Context()
		m := store.NewMemory(store.WithFaults(script(c.fault)))
		revs, err := m.Commit(ctx, write("k", "v", 0))
		if !errors.Is(err, c.want) || (err == nil) != (len(revs) == 1) {
			t.Errorf("fault %d: %v, %v", c.fault, revs, err)
		}
		_, err = m.Get(ctx, "k")
		if (err == nil) != c.happens {
			t.Errorf("fault %d: get: %v, want it there: %v", c.fault, err, c.happens)
		}
		landed := m.Land()
		if want := c.fault == store.Delay; (landed == 1) != want {
			t.Errorf("fault %d: %d writes landed late", c.fault, landed)
		}
		if _, err = m.Get(ctx, "k"); c.fault == store.Delay && err != nil {
			t.Errorf("after landing: %v", err)
		}
	}
}

func TestEveryOperationFails(t *testing.T) {
	ctx := t.Context()
	m := store.NewMemory()
	lease, err := m.Acquire(ctx, "l", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	s := m.Session(func(op store.Op) store.Fault {
		asked = append(asked, op.Kind.String()+" "+op.Name)
		return store.Refuse
	})
	errs := map[string]error{}
	_, errs["get k"] = s.Get(ctx, "k")
	_, errs["list k/"] = s.List(ctx, "k/")
	_, errs["history k"] = s.History(ctx, "k", 0)
	_, errs["commit k"] = s.Commit(ctx, write("k", "", 0))
	for _, errs["watch k"] = range s.Watch(ctx, "k") {
	}
	_, errs["acquire l"] = s.Acquire(ctx, "l", time.Hour)
	_, errs["append p"] = s.Append(ctx, "p", "", nil)
	_, _, errs["bounds p"] = s.Bounds(ctx, "p")
	_, errs["putblob b"] = s.PutBlob(ctx, "b", nil, 0)
	_, _, errs["getblob b"] = s.GetBlob(ctx, "b")
	for op, err := range errs {
		if !errors.Is(err, store.ErrUnavailable) || !slices.Contains(asked, op) {
			t.Errorf("%s: %v; asked for %q", op, err, asked)
		}
	}
	// The other session has no faults, and nothing happened.
	if list, err := m.List(ctx, ""); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
	if err := lease.Renew(ctx); err != nil {
		t.Errorf("renew: %v", err)
	}
}

// A write that is delayed must find its expectation, or it is void: what a retry did stands.
func TestDelayedWriteIsGuarded(t *testing.T) {
	ctx := t.Context()
	m := store.NewMemory(store.WithFaults(script(store.Delay)))
	b := write("k", "delayed", 0)
	if _, err := m.Commit(ctx, b); !errors.Is(err, store.ErrUnknown) {
		t.Fatal(err)
	}
	copy(b.Writes[0].Value, "changed")
	if _, err := m.Commit(ctx, write("k", "retried", 0)); err != nil {
		t.Fatal(err)
	}
	if n := m.Land(); n != 0 {
		t.Fatalf("%d writes landed on top of others", n)
	}
	if e, err := m.Get(ctx, "k"); err != nil || string(e.Value) != "retried" {
		t.Fatalf("%q, %v", e.Value, err)
	}
}

func TestRandomFaultsRepeat(t *testing.T) {
	run := func(seed uint64) (faults []store.Fault) {
		f := store.RandomFaults(seed, 0.3)
		for i := range 3000 {
			faults = append(faults, f(store.Op{Kind: store.OpCommit, Name: fmt.Sprint(i)}))
		}
		return faults
	}
	a := run(1)
	if !slices.Equal(a, run(1)) || slices.Equal(a, run(2)) {
		t.Fatal("the seed does not decide")
	}
	count := map[store.Fault]int{}
	for _, f := range a {
		count[f]++
	}
	for f := store.Refuse; f <= store.Delay; f++ {
		// 3000 * 0.3 / 5 = 180 expected, standard deviation 13.
		if count[f] < 110 || count[f] > 250 {
			t.Errorf("fault %d came %d times of 3000", f, count[f])
		}
	}
}

func TestClock(t *testing.T) {
	ctx := t.Context()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := store.NewMemory(store.WithClock(func() time.Time { return now }), store.WithLogAge(time.Hour))
	l, err := m.Acquire(ctx, "l", 9500*time.Millisecond) // rounded up to 10 s
	if err != nil {
		t.Fatal(err)
	}
	fenced := write("k", "v", 0)
	fenced.Fence = l
	revs, err := m.Commit(ctx, fenced)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := m.Get(ctx, "k"); err != nil || !e.Time.Equal(now) {
		t.Fatalf("stored at %v, %v", e.Time, err)
	}
	now = now.Add(10*time.Second - 1)
	if err := l.Renew(ctx); err != nil {
		t.Fatalf("a moment before the end: %v", err)
	}
	now = now.Add(10 * time.Second)
	fenced.Writes[0].Expect = revs[0]
	if _, err := m.Commit(ctx, fenced); !errors.Is(err, store.ErrFenced) {
		t.Fatalf("at the end: %v", err)
	}
	if _, err := m.Acquire(ctx, "l", time.Second); err != nil {
		t.Fatal(err)
	}

	first, err := m.Append(ctx, "p", "id", []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(store.DedupWindow)
	if again, err := m.Append(ctx, "p", "id", nil); err != nil || again != first {
		t.Fatalf("within the window: %d, %v", again, err)
	}
	now = now.Add(1)
	if again, err := m.Append(ctx, "p", "id", nil); err != nil || again == first {
		t.Fatalf("after the window: %d, %v", again, err)
	}
	now = now.Add(time.Hour)
	if f, last, err := m.Bounds(ctx, "p"); err != nil || f != 2 || last != 2 {
		t.Fatalf("%d to %d, %v: the first entry is too old, the second is not", f, last, err)
	}
}

func TestCapacity(t *testing.T) {
	ctx := t.Context()
	m := store.NewMemory(store.WithCapacity(10))
	revs, err := m.Commit(ctx, write("k", "12345678", 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Append(ctx, "p", "", []byte("123")); !errors.Is(err, store.ErrFull) {
		t.Fatalf("append: %v", err)
	}
	if _, err := m.PutBlob(ctx, "b", []byte("123"), 0); !errors.Is(err, store.ErrFull) {
		t.Fatalf("put blob: %v", err)
	}
	if _, err := m.Commit(ctx, write("k2", "123", 0)); !errors.Is(err, store.ErrFull) {
		t.Fatalf("commit: %v", err)
	}
	if _, err := m.Commit(ctx, write("k", "1", revs[0])); err != nil {
		t.Fatalf("a smaller value: %v", err)
	}
	if _, err := m.Append(ctx, "p", "", []byte("123456789")); err != nil {
		t.Fatalf("into the room that is free: %v", err)
	}
	if err := m.Trim(ctx, "p", 2); err != nil {
		t.Fatal(err)
	}
	if _, err := m.PutBlob(ctx, "b", []byte("123456789"), 0); err != nil {
		t.Fatalf("into the room of the trimmed: %v", err)
	}
}

// Waiting costs nothing: in a bubble of synctest a follower, a watcher and their writer come to
// rest, and two watchers do not keep each other awake.
func TestWaitersRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := store.NewMemory()
		var seen, read atomic.Int64
		for range 2 {
			go func() {
				for range m.Watch(ctx, "k") {
					seen.Add(1)
				}
			}()
		}
		go func() {
			for range m.Read(ctx, "p", 0, true) {
				read.Add(1)
			}
		}()
		synctest.Wait()
		if _, err := m.Commit(ctx, write("k", "v", 0)); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Append(ctx, "p", "", nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if seen.Load() != 2 || read.Load() != 1 {
			t.Errorf("%d values seen, %d entries read", seen.Load(), read.Load())
		}
		cancel()
		synctest.Wait()
	})
}

func TestLimits(t *testing.T) {
	if d, err := store.LeaseTTL("l", time.Millisecond); err != nil || d != time.Second {
		t.Errorf("%v, %v", d, err)
	}
	if d, err := store.LeaseTTL("l", 2*time.Second); err != nil || d != 2*time.Second {
		t.Errorf("%v, %v", d, err)
	}
	var big store.Batch
	for i := range 17 {
		big.Writes = append(big.Writes, store.Write{Key: fmt.Sprint(i), Value: make([]byte, store.MaxValue)})
	}
	if err := big.Check(); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("17 values of the largest size: %v", err)
	}
	big.Writes = big.Writes[:16]
	if err := big.Check(); err != nil {
		t.Error(err)
	}
}
