package storetest

import (
	"context"
	"errors"
	"fmt"

	"sluice.dev/sluice/internal/store"
)

var watchCases = []testCase{
	{"a watch starts with the present value", func(t *T) {
		r := t.commit(put("k", "now", 0), put("k2", "other", 0))[0]
		for e, err := range t.s.Watch(t.ctx, "k") {
			if err != nil || string(e.Value) != "now" || e.Revision != r || e.Key != "k" || e.Time.IsZero() {
				t.Fatalf("%+v, %v", e, err)
			}
			return
		}
		t.Fatal("the watch ended")
	}},
	{"a watch brings each later value", func(t *T) {
		ctx, cancel := context.WithCancel(t.ctx)
		defer cancel()
		var rev store.Revision
		n := 0
		rev = t.commit(put("k", "0", 0))[0]
		for e, err := range t.s.Watch(ctx, "k") {
			if err != nil || string(e.Value) != fmt.Sprint(n) || e.Revision != rev {
				t.Fatalf("%q at %d, %v; want %d at %d", e.Value, e.Revision, err, n, rev)
			}
			if n++; n == 5 {
				cancel() // which ends the watch without an error
				continue
			}
			w := put("k", fmt.Sprint(n), rev)
			w.Append = n%2 == 1
			rev = t.commit(put(fmt.Sprint("noise/", n), "", 0), w)[1]
		}
		if n != 5 {
			t.Fatalf("the watch ended after %d values", n)
		}
	}},
	{"a watch waits for the key", func(t *T) {
		got := make(chan string, 1)
		go func() {
			for e, err := range t.s.Watch(t.ctx, "later") {
				got <- fmt.Sprint(string(e.Value), err)
				return
			}
			got <- "ended"
		}()
		t.commit(put("later/x", "", 0))
		t.commit(put("later", "v", 0))
		if v := <-got; v != "v<nil>" {
			t.Fatal(v)
		}
	}},
	{"a slow watch gets the last value", func(t *T) {
		const writes = 300
		rev := t.commit(put("k", "0", 0))[0]
		var seen store.Revision
		for e, err := range t.s.Watch(t.ctx, "k") {
			if err != nil || e.Revision <= seen {
				t.Fatalf("%d after %d, %v", e.Revision, seen, err)
			}
			if seen == 0 {
				for i := range writes {
					rev = t.commit(put("k", fmt.Sprint(i+1), rev))[0]
				}
			}
			if seen = e.Revision; seen == rev {
				if string(e.Value) != fmt.Sprint(writes) {
					t.Fatalf("%q at the last revision", e.Value)
				}
				return
			}
		}
		t.Fatal("the watch ended")
	}},
	{"a watch ends with its context", func(t *T) {
		ctx, cancel := context.WithCancel(t.ctx)
		cancel()
		for e, err := range t.s.Watch(ctx, "k") {
			t.Fatalf("%+v, %v", e, err)
		}
	}},
	{"a watch ends with the store", func(t *T) {
		t.commit(put("k", "v", 0))
		var last error
		for _, err := range t.s.Watch(t.ctx, "k") {
			if last = err; err == nil {
				go func() { _ = t.s.Close() }() // its error is for another case
			}
		}
		if !errors.Is(last, store.ErrUnavailable) {
			t.Fatalf("the watch ended with %v", last)
		}
	}},
}

var closeCases = []testCase{
	{"a closed store is unavailable", func(t *T) {
		l := t.acquire("lease", minTTL)
		t.commit(put("k", "v", 0))
		for range 2 {
			if err := t.s.Close(); err != nil {
				t.Fatalf("close: %v", err)
			}
		}
		ctx := t.ctx
		errs := map[string]error{"renew": l.Renew(ctx), "release": l.Release(ctx)}
		_, errs["get"] = t.s.Get(ctx, "k")
		_, errs["list"] = t.s.List(ctx, "")
		_, errs["history"] = t.s.History(ctx, "k", 0)
		_, errs["commit"] = t.s.Commit(ctx, store.Batch{Writes: []store.Write{put("k2", "v", 0)}})
		_, errs["acquire"] = t.s.Acquire(ctx, "lease2", minTTL)
		_, errs["append"] = t.s.Append(ctx, "log", "", nil)
		_, _, errs["bounds"] = t.s.Bounds(ctx, "log")
		_, errs["put blob"] = t.s.PutBlob(ctx, "b", nil, 0)
		_, _, errs["get blob"] = t.s.GetBlob(ctx, "b")
		for _, errs["watch"] = range t.s.Watch(ctx, "k") {
		}
		for _, errs["read"] = range t.s.Read(ctx, "log", 0, true) {
		}
		for op, err := range errs {
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s: %v", op, err)
			}
		}
	}},
}
