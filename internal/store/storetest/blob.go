package storetest

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"sluice.dev/sluice/internal/store"
)

// content returns n bytes that depend on the seed and on their place.
func content(seed byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = seed + byte(i) ^ byte(i>>8)*31 ^ byte(i>>16)*7
	}
	return b
}

var blobCases = []testCase{
	{"a missing blob is not found", func(t *T) {
		if _, _, err := t.s.GetBlob(t.ctx, "b"); !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
	}},
	{"blobs of all sizes replace each other", func(t *T) {
		var rev store.Revision
		for i, n := range []int{1, store.MaxBlob, 0, 512 << 10, 1<<20 + 1, 512<<10 + 1, 17, 256 << 10, store.MaxBlob - 1} {
			data := content(byte(i), n)
			next := t.putBlob("snap/p0", data, rev)
			if next <= rev {
				t.Fatalf("revision %d after %d", next, rev)
			}
			rev = next
			clear(data)
			t.blob("snap/p0", content(byte(i), n), rev)
		}
	}},
	{"a wrong expectation conflicts", func(t *T) {
		big, small := content(1, 1<<20), content(2, 10)
		r := t.putBlob("b", big, 0)
		for _, data := range [][]byte{big, small} {
			for _, expect := range []store.Revision{0, r + 1, r - 1} {
				if _, err := t.s.PutBlob(t.ctx, "b", data, expect); !errors.Is(err, store.ErrConflict) {
					t.Fatalf("put with %d: %v", expect, err)
				}
			}
			if _, err := t.s.PutBlob(t.ctx, "none", data, 1); !errors.Is(err, store.ErrConflict) {
				t.Fatalf("put of a new blob: %v", err)
			}
		}
		t.blob("b", big, r)
	}},
	{"too large is invalid", func(t *T) {
		if _, err := t.s.PutBlob(t.ctx, "b", make([]byte, store.MaxBlob+1), 0); !errors.Is(err, store.ErrInvalid) {
			t.Fatal(err)
		}
		if _, err := t.s.PutBlob(t.ctx, "", nil, 0); !errors.Is(err, store.ErrInvalid) {
			t.Fatal(err)
		}
	}},
	{"any bytes make a blob", func(t *T) {
		revs := map[string]store.Revision{}
		for _, name := range oddNames {
			revs[name] = t.putBlob(name, []byte(name), 0)
		}
		for _, name := range oddNames {
			t.blob(name, []byte(name), revs[name])
		}
	}},
	{"of concurrent replacements one succeeds", func(t *T) {
		rev := t.putBlob("b", content(0, 600<<10), 0)
		for round := range 3 {
			var wg sync.WaitGroup
			var mu sync.Mutex
			var won []byte
			var next store.Revision
			for w := range 4 {
				wg.Go(func() {
					data := content(byte(round*4+w), 600<<10+w)
					r, err := t.s.PutBlob(t.ctx, "b", data, rev)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil && won == nil:
						won, next = data, r
					case err == nil:
						t.Error("two replacements of one revision succeeded")
					case !errors.Is(err, store.ErrConflict):
						t.Errorf("put: %v", err)
					}
				})
			}
			wg.Wait()
			if t.Failed() || won == nil {
				t.Fatalf("round %d: no replacement succeeded, or two", round)
			}
			rev = next
			t.blob("b", won, rev)
		}
	}},
	{"a reader gets a whole version", wholeVersions},
}

// wholeVersions reads while a writer replaces large by small and small by large.
func wholeVersions(t *T) {
	ctx, stop := context.WithCancel(t.ctx)
	defer stop()
	sizes := []int{1 << 20, 100, 700 << 10, 512<<10 + 1}
	rev := t.putBlob("b", content(0, sizes[0]), 0)
	done := make(chan error, 1)
	go func() {
		for {
			data, r, err := t.s.GetBlob(ctx, "b")
			switch {
			case ctx.Err() != nil:
				done <- nil
				return
			case err != nil:
				done <- err
				return
			case len(data) == 0 || !bytes.Equal(data, content(data[0], len(data))):
				done <- errors.New("a torn blob was read")
				return
			case r == 0:
				done <- errors.New("no revision")
				return
			}
		}
	}()
	for i := range 12 {
		rev = t.putBlob("b", content(byte(i), sizes[i%len(sizes)]), rev)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
