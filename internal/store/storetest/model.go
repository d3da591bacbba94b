package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"sluice.dev/sluice/internal/store"
)

// RunModel runs random operations on a store and on the memory store: both must answer alike.
// Revisions need not be equal, only in one order; the twin keeps the table. open is called once,
// the runs are kept apart by names.
func RunModel(t *testing.T, open func(t *testing.T) store.Store) {
	s := open(t)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		tw := &twin{
			t: rt, ctx: t.Context(), model: store.NewMemory(), real: s, ns: fmt.Sprintf("run%d/", run),
			table: map[store.Revision]store.Revision{0: 0},
			known: map[string][]store.Revision{},
		}
		rt.Repeat(map[string]func(*rapid.T){
			"commit":  tw.commit,
			"get":     tw.get,
			"list":    tw.list,
			"history": tw.history,
			"acquire": tw.acquire,
			"renew":   tw.renew,
			"release": tw.release,
			"append":  tw.append,
			"read":    tw.read,
			"putblob": tw.putBlob,
			"getblob": tw.getBlob,
		})
	})
}

// twin is the model and the real store with what the test learnt from both.
type twin struct {
	t           *rapid.T
	ctx         context.Context
	model, real store.Store
	ns          string
	table       map[store.Revision]store.Revision // model's revision -> real revision
	last        store.Revision                    // the latest real revision of a control key
	known       map[string][]store.Revision       // model's revisions of a key or blob
	leases      [2][]store.Lease
}

var classes = []error{
	store.ErrNotFound, store.ErrConflict, store.ErrFenced, store.ErrHeld, store.ErrUnknown,
	store.ErrFull, store.ErrGap, store.ErrUnavailable, store.ErrInvalid,
}

// same fails unless both errors are of one class, and says whether there was none.
func (tw *twin) same(op string, model, real error) bool {
	tw.t.Helper()
	for _, c := range classes {
		if errors.Is(model, c) != errors.Is(real, c) {
			tw.t.Fatalf("%s: model %v, store %v", op, model, real)
		}
	}
	if (model == nil) != (real == nil) {
		tw.t.Fatalf("%s: model %v, store %v", op, model, real)
	}
	return model == nil
}

func (tw *twin) key(t *rapid.T) string {
	return tw.ns + rapid.SampledFrom([]string{"a", "a/b", "ab", "log/1", "log/2"}).Draw(t, "key")
}

// expect draws a revision that is right, outdated or none.
func (tw *twin) expect(t *rapid.T, key string) store.Revision {
	known := append([]store.Revision{0}, tw.known[key]...)
	if rapid.IntRange(0, 4).Draw(t, "right") > 0 {
		return known[len(known)-1]
	}
	return rapid.SampledFrom(known).Draw(t, "expect")
}

func (tw *twin) commit(t *rapid.T) {
	keys := rapid.SliceOfNDistinct(rapid.Custom(tw.key), 1, 3, rapid.ID).Draw(t, "keys")
	var b [2]store.Batch
	for _, key := range keys {
		w := store.Write{
			Key: key, Expect: tw.expect(t, key), Append: rapid.Bool().Draw(t, "append"),
			Value: rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "value"),
		}
		b[0].Writes = append(b[0].Writes, w)
		w.Expect = tw.table[w.Expect]
		b[1].Writes = append(b[1].Writes, w)
	}
	if n := len(tw.leases[0]); n > 0 && rapid.Bool().Draw(t, "fenced") {
		i := rapid.IntRange(0, n-1).Draw(t, "fence")
		b[0].Fence, b[1].Fence = tw.leases[0][i], tw.leases[1][i]
	}
	m, merr := tw.model.Commit(tw.ctx, b[0])
	r, rerr := tw.real.Commit(tw.ctx, b[1])
	if !tw.same("commit", merr, rerr) {
		return
	}
	for i, key := range keys {
		if r[i] <= tw.last {
			t.Fatalf("revision %d of %q after %d", r[i], key, tw.last)
		}
		tw.last = r[i]
		tw.table[m[i]] = r[i]
		tw.known[key] = append(tw.known[key], m[i])
	}
}

func (tw *twin) equal(op string, m, r store.Entry) {
	tw.t.Helper()
	if m.Key != r.Key || !bytes.Equal(m.Value, r.Value) || tw.table[m.Revision] != r.Revision {
		tw.t.Fatalf("%s: model %+v, store %+v, want revision %d", op, m, r, tw.table[m.Revision])
	}
}

func (tw *twin) equals(op string, m, r []store.Entry) {
	tw.t.Helper()
	if len(m) != len(r) {
		tw.t.Fatalf("%s: model %v, store %v", op, m, r)
	}
	for i := range m {
		tw.equal(op, m[i], r[i])
	}
}

func (tw *twin) get(t *rapid.T) {
	key := tw.key(t)
	m, merr := tw.model.Get(tw.ctx, key)
	r, rerr := tw.real.Get(tw.ctx, key)
	if tw.same("get", merr, rerr) {
		tw.equal("get", m, r)
	}
}

func (tw *twin) list(t *rapid.T) {
	prefix := tw.ns + rapid.SampledFrom([]string{"", "a", "a/", "log/", "log/1", "none"}).Draw(t, "prefix")
	m, merr := tw.model.List(tw.ctx, prefix)
	r, rerr := tw.real.List(tw.ctx, prefix)
	if tw.same("list", merr, rerr) {
		tw.equals("list", m, r)
	}
}

func (tw *twin) history(t *rapid.T) {
	key := tw.key(t)
	after := rapid.SampledFrom(append([]store.Revision{0}, tw.known[key]...)).Draw(t, "after")
	m, merr := tw.model.History(tw.ctx, key, after)
	r, rerr := tw.real.History(tw.ctx, key, tw.table[after])
	if tw.same("history", merr, rerr) {
		tw.equals("history", m, r)
	}
}

func (tw *twin) acquire(*rapid.T) {
	m, merr := tw.model.Acquire(tw.ctx, tw.ns+"leader", longTTL)
	r, rerr := tw.real.Acquire(tw.ctx, tw.ns+"leader", longTTL)
	if tw.same("acquire", merr, rerr) {
		tw.leases[0], tw.leases[1] = append(tw.leases[0], m), append(tw.leases[1], r)
	}
}

// lease draws one of the leases ever held; most are lost.
func (tw *twin) lease(t *rapid.T) (m, r store.Lease) {
	if len(tw.leases[0]) == 0 {
		t.Skip("no lease yet")
	}
	i := rapid.IntRange(0, len(tw.leases[0])-1).Draw(t, "lease")
	return tw.leases[0][i], tw.leases[1][i]
}

func (tw *twin) renew(t *rapid.T) {
	m, r := tw.lease(t)
	tw.same("renew", m.Renew(tw.ctx), r.Renew(tw.ctx))
}

func (tw *twin) release(t *rapid.T) {
	m, r := tw.lease(t)
	tw.same("release", m.Release(tw.ctx), r.Release(tw.ctx))
}

func (tw *twin) append(t *rapid.T) {
	id := rapid.SampledFrom([]string{"", "", "1", "2", "3"}).Draw(t, "id")
	if id != "" {
		id = tw.ns + id
	}
	data := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "data")
	m, merr := tw.model.Append(tw.ctx, tw.ns+"log", id, data)
	r, rerr := tw.real.Append(tw.ctx, tw.ns+"log", id, data)
	if tw.same("append", merr, rerr) && m != r {
		t.Fatalf("append: model %d, store %d", m, r)
	}
}

func (tw *twin) read(t *rapid.T) {
	_, last, err := tw.model.Bounds(tw.ctx, tw.ns+"log")
	if err != nil {
		t.Fatal(err)
	}
	after := store.Seq(rapid.Uint64Range(0, uint64(last)+1).Draw(t, "after"))
	collect := func(s store.Store) (list []string, err error) {
		for r, err := range s.Read(tw.ctx, tw.ns+"log", after, false) {
			if err != nil {
				return list, err
			}
			list = append(list, fmt.Sprintf("%d:%x", r.Seq, r.Data))
		}
		return list, nil
	}
	m, merr := collect(tw.model)
	r, rerr := collect(tw.real)
	if tw.same("read", merr, rerr); !slices.Equal(m, r) {
		t.Fatalf("read after %d: model %v, store %v", after, m, r)
	}
}

func (tw *twin) putBlob(t *rapid.T) {
	name := tw.ns + "blob"
	expect := tw.expect(t, "blob")
	data := content(rapid.Byte().Draw(t, "seed"), rapid.SampledFrom([]int{0, 10, 1000, 600 << 10}).Draw(t, "size"))
	m, merr := tw.model.PutBlob(tw.ctx, name, data, expect)
	r, rerr := tw.real.PutBlob(tw.ctx, name, data, tw.table[expect])
	if tw.same("put blob", merr, rerr) {
		tw.known["blob"] = append(tw.known["blob"], m)
		tw.table[m] = r
	}
}

func (tw *twin) getBlob(*rapid.T) {
	m, mrev, merr := tw.model.GetBlob(tw.ctx, tw.ns+"blob")
	r, rrev, rerr := tw.real.GetBlob(tw.ctx, tw.ns+"blob")
	if tw.same("get blob", merr, rerr) && (!bytes.Equal(m, r) || tw.table[mrev] != rrev) {
		tw.t.Fatalf("get blob: model %d bytes at %d, store %d bytes at %d", len(m), mrev, len(r), rrev)
	}
}
