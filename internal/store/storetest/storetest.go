// Package storetest is the contract of package store as tests: every implementation runs them.
//
// Run checks one store, RunReopen what must outlast it, RunModel compares it with the memory store
// under random operations. A store may offer the method of Trimmer, and then more is checked.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"sluice.dev/sluice/internal/store"
)

// Trimmer is a store that can be told to remove log entries as its retention would.
type Trimmer interface {
	// Trim removes the entries of the log before the given sequence.
	Trim(ctx context.Context, log string, before store.Seq) error
}

// patience bounds what only a broken store waits for. It is no measure of speed.
const patience = 4 * time.Minute

// Run checks the contract. open returns an empty store; it arranges for the store to be closed and
// may be called many times, also at once.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"control", controlCases},
		{"watch", watchCases},
		{"lease", leaseCases},
		{"log", logCases},
		{"blob", blobCases},
		{"close", closeCases},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel() // most of the time goes by waiting for disks and for leases
					c.run(newT(t, open(t)))
				})
			}
		})
	}
}

type testCase struct {
	name string
	run  func(t *T)
}

// T is a test with its store and shorthands that fail the test.
type T struct {
	*testing.T
	ctx context.Context
	s   store.Store
}

func newT(t *testing.T, s store.Store) *T {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return &T{T: t, ctx: ctx, s: s}
}

func put(key, value string, expect store.Revision) store.Write {
	return store.Write{Key: key, Value: []byte(value), Expect: expect}
}

func add(key, value string, expect store.Revision) store.Write {
	return store.Write{Key: key, Value: []byte(value), Expect: expect, Append: true}
}

// commit stores the writes, which must succeed, and returns their revisions.
func (t *T) commit(writes ...store.Write) []store.Revision {
	t.Helper()
	revs, err := t.s.Commit(t.ctx, store.Batch{Writes: writes})
	if err != nil {
		t.Fatalf("commit of %q: %v", writes[0].Key, err)
	}
	if len(revs) != len(writes) {
		t.Fatalf("commit of %d writes returned %d revisions", len(writes), len(revs))
	}
	return revs
}

// refused commits the batch and wants the error.
func (t *T) refused(want error, b store.Batch) {
	t.Helper()
	revs, err := t.s.Commit(t.ctx, b)
	if !errors.Is(err, want) {
		t.Fatalf("commit answered %v, %v; want %v", revs, err, want)
	}
}

// value wants the key to hold value at revision rev.
func (t *T) value(key, value string, rev store.Revision) {
	t.Helper()
	e, err := t.s.Get(t.ctx, key)
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	if e.Key != key || string(e.Value) != value || e.Revision != rev {
		t.Fatalf("get %q: %q = %q at %d, want %q at %d", key, e.Key, e.Value, e.Revision, value, rev)
	}
	if e.Time.IsZero() {
		t.Fatalf("get %q: no time", key)
	}
}

func (t *T) missing(key string) {
	t.Helper()
	if e, err := t.s.Get(t.ctx, key); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("get %q: %q, %v; want ErrNotFound", key, e.Value, err)
	}
}

// history wants the values appended to key after the revision.
func (t *T) history(key string, after store.Revision, want ...string) []store.Entry {
	t.Helper()
	list, err := t.s.History(t.ctx, key, after)
	if err != nil {
		t.Fatalf("history of %q: %v", key, err)
	}
	var got []string
	for _, e := range list {
		got = append(got, string(e.Value))
		if e.Key != key || e.Revision <= after || e.Time.IsZero() {
			t.Fatalf("history of %q after %d holds %+v", key, after, e)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("history of %q after %d: %q, want %q", key, after, got, want)
	}
	return list
}

func (t *T) acquire(name string, ttl time.Duration) store.Lease {
	t.Helper()
	l, err := t.s.Acquire(t.ctx, name, ttl)
	if err != nil {
		t.Fatalf("acquire %q: %v", name, err)
	}
	return l
}

func (t *T) append(log, id, data string) store.Seq {
	t.Helper()
	seq, err := t.s.Append(t.ctx, log, id, []byte(data))
	if err != nil {
		t.Fatalf("append to %q: %v", log, err)
	}
	return seq
}

// read returns what the log holds after the sequence.
func (t *T) read(log string, after store.Seq) []store.Record {
	t.Helper()
	var list []store.Record
	for r, err := range t.s.Read(t.ctx, log, after, false) {
		if err != nil {
			t.Fatalf("read %q after %d: %v", log, after, err)
		}
		list = append(list, r)
	}
	if err := t.ctx.Err(); err != nil {
		t.Fatalf("read %q after %d: did not end", log, after)
	}
	return list
}

// readError wants a read that does not follow to end with the error and returns what came before.
func (t *T) readError(want error, log string, after store.Seq) []store.Record {
	t.Helper()
	var list []store.Record
	for r, err := range t.s.Read(t.ctx, log, after, false) {
		if err != nil {
			if !errors.Is(err, want) {
				t.Fatalf("read %q after %d: %v, want %v", log, after, err, want)
			}
			return list
		}
		list = append(list, r)
	}
	t.Fatalf("read %q after %d ended after %d entries, want %v", log, after, len(list), want)
	return nil
}

func (t *T) bounds(log string, first, last store.Seq) {
	t.Helper()
	f, l, err := t.s.Bounds(t.ctx, log)
	if err != nil || f != first || l != last {
		t.Fatalf("bounds of %q: %d to %d, %v; want %d to %d", log, f, l, err, first, last)
	}
}

func (t *T) putBlob(name string, data []byte, expect store.Revision) store.Revision {
	t.Helper()
	rev, err := t.s.PutBlob(t.ctx, name, data, expect)
	if err != nil {
		t.Fatalf("put blob %q: %v", name, err)
	}
	return rev
}

func (t *T) blob(name string, want []byte, rev store.Revision) {
	t.Helper()
	data, r, err := t.s.GetBlob(t.ctx, name)
	if err != nil {
		t.Fatalf("get blob %q: %v", name, err)
	}
	if !bytes.Equal(data, want) || r != rev {
		t.Fatalf("get blob %q: %d bytes at %d, want %d at %d (equal: %v)", name, len(data), r, len(want), rev, bytes.Equal(data, want))
	}
}
