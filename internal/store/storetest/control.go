package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"sluice.dev/sluice/internal/store"
)

var controlCases = []testCase{
	{"a missing key is not found", func(t *T) {
		t.missing("state/credit/1")
		t.commit(put("state/credit/10", "x", 0))
		t.missing("state/credit/1")
		t.missing("state/credit")
		t.history("log/credit/1", 0)
	}},
	{"a write is read back", func(t *T) {
		r1 := t.commit(put("k", "one", 0))[0]
		t.value("k", "one", r1)
		r2 := t.commit(put("k", "", r1))[0]
		t.value("k", "", r2)
		if r1 == 0 || r2 <= r1 {
			t.Fatalf("revisions %d, %d do not grow", r1, r2)
		}
	}},
	{"bytes are not shared", func(t *T) {
		v := []byte("right")
		r, err := t.s.Commit(t.ctx, store.Batch{Writes: []store.Write{{Key: "k", Value: v}}})
		if err != nil {
			t.Fatal(err)
		}
		copy(v, "wrong")
		e, err := t.s.Get(t.ctx, "k")
		if err != nil {
			t.Fatal(err)
		}
		copy(e.Value, "wrong")
		t.value("k", "right", r[0])
	}},
	{"a wrong expectation conflicts", func(t *T) {
		r1 := t.commit(put("k", "1", 0))[0]
		t.refused(store.ErrConflict, store.Batch{Writes: []store.Write{put("k", "2", 0)}})
		t.refused(store.ErrConflict, store.Batch{Writes: []store.Write{put("k", "2", r1+1)}})
		t.refused(store.ErrConflict, store.Batch{Writes: []store.Write{put("other", "2", r1)}})
		r2 := t.commit(put("k", "2", r1))[0]
		t.refused(store.ErrConflict, store.Batch{Writes: []store.Write{put("k", "3", r1)}})
		t.value("k", "2", r2)
		t.missing("other")
	}},
	{"a batch is all or nothing", func(t *T) {
		r := t.commit(put("b", "old", 0), add("log", "first", 0))
		for i, bad := range [][]store.Write{
			{put("a", "new", 0), put("b", "new", 0)},
			{put("b", "new", r[0]), add("log", "second", 0)},
			{add("log", "second", r[1]), put("b", "new", 0)},
			{put("a", "new", 0), put("b", "new", r[0]), add("log", "second", r[1]), put("c", "new", 7)},
		} {
			t.refused(store.ErrConflict, store.Batch{Writes: bad})
			t.missing("a")
			t.value("b", "old", r[0])
			t.value("log", "first", r[1])
			t.history("log", 0, "first")
			t.Logf("case %d refused", i)
		}
		n := t.commit(put("a", "new", 0), put("b", "new", r[0]), add("log", "second", r[1]), put("c", "new", 0))
		if !slices.IsSorted(append(r, n...)) || len(slices.Compact(append(r, n...))) != 6 {
			t.Fatalf("revisions %d then %d do not grow strictly", r, n)
		}
		for i, key := range []string{"a", "b", "log", "c"} {
			want := map[string]string{"log": "second"}[key]
			t.value(key, cmp.Or(want, "new"), n[i])
		}
		t.history("log", 0, "first", "second")
	}},
	{"the largest batch is stored", func(t *T) {
		var writes []store.Write
		for i := range store.MaxWrites {
			w := put(fmt.Sprintf("key/%03d", i), strconv.Itoa(i), 0)
			w.Append = i%2 == 1
			writes = append(writes, w)
		}
		revs := t.commit(writes...)
		list, err := t.s.List(t.ctx, "key/")
		if err != nil || len(list) != len(writes) {
			t.Fatalf("list: %d entries, %v", len(list), err)
		}
		for i, e := range list {
			if e.Key != writes[i].Key || string(e.Value) != strconv.Itoa(i) || e.Revision != revs[i] {
				t.Fatalf("entry %d: %+v", i, e)
			}
		}
		t.refused(store.ErrInvalid, store.Batch{Writes: append(writes, put("key/100", "", 0))})
	}},
	{"a large value is stored", func(t *T) {
		big := strings.Repeat("0123456789abcdef", store.MaxValue/16)
		r := t.commit(put("big", big, 0), add("log", big, 0), put("big2", big, 0))
		t.value("big", big, r[0])
		t.value("log", big, r[1])
		t.history("log", 0, big)
	}},
	{"a batch of large values is stored", func(t *T) {
		big := strings.Repeat("0123456789abcdef", store.MaxValue/16)
		var writes []store.Write
		for i := range store.MaxBatch / store.MaxValue {
			writes = append(writes, put(fmt.Sprint("k", i), big, 0))
		}
		revs := t.commit(writes...)
		for i, w := range writes {
			t.value(w.Key, big, revs[i])
		}
	}},
	{"what breaks the limits is invalid", func(t *T) {
		for name, b := range map[string]store.Batch{
			"empty batch": {},
			"empty key":   {Writes: []store.Write{put("", "v", 0)}},
			"long key":    {Writes: []store.Write{put(strings.Repeat("k", store.MaxName+1), "v", 0)}},
			"key twice":   {Writes: []store.Write{put("k", "v", 0), add("k", "v", 0)}},
			"long value":  {Writes: []store.Write{put("k", strings.Repeat("v", store.MaxValue+1), 0)}},
		} {
			t.Log(name)
			t.refused(store.ErrInvalid, b)
		}
		if _, err := t.s.Get(t.ctx, ""); !errors.Is(err, store.ErrInvalid) {
			t.Fatalf("get of no key: %v", err)
		}
		t.missing("k")
	}},
	{"any bytes make a key", oddKeys},
	{"a history keeps all that was appended", func(t *T) {
		var rev store.Revision
		var revs []store.Revision
		var want []string
		for i := range 12 {
			want = append(want, fmt.Sprintf("record %d", i))
			rev = t.commit(add("log/credit/3", want[i], rev), put(fmt.Sprint("noise/", i), "", 0))[0]
			revs = append(revs, rev)
		}
		list := t.history("log/credit/3", 0, want...)
		for i, e := range list {
			if e.Revision != revs[i] {
				t.Fatalf("entry %d is at %d, was committed at %d", i, e.Revision, revs[i])
			}
			t.history("log/credit/3", e.Revision, want[i+1:]...)
			t.history("log/credit/3", e.Revision-1, want[i:]...)
		}
		t.value("log/credit/3", want[11], rev)
		t.history("log/credit", 0)
		t.history("log/credit/3", rev+100)
	}},
	{"a plain key has no history", func(t *T) {
		r := t.commit(put("k", "1", 0))[0]
		r = t.commit(put("k", "2", r))[0]
		t.history("k", 0)
		// Mixing is allowed: the present value is the latest, the history what was appended.
		a := t.commit(add("k", "3", r))[0]
		b := t.commit(put("k", "4", a))[0]
		t.value("k", "4", b)
		t.history("k", 0, "3")
		c := t.commit(add("k", "5", b))[0]
		t.history("k", 0, "3", "5")
		t.history("k", a, "5")
		t.history("k", b, "5")
		t.history("k", c)
	}},
	{"concurrent commits never lose an update", concurrentCommits},
	{"a cancelled context writes nothing", func(t *T) {
		ctx, cancel := context.WithCancel(t.ctx)
		cancel()
		if _, err := t.s.Commit(ctx, store.Batch{Writes: []store.Write{put("k", "v", 0)}}); !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Fatalf("commit: %v", err)
		}
		if _, err := t.s.Append(ctx, "log", "", nil); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("append: %v", err)
		}
		if _, err := t.s.Get(ctx, "k"); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("get: %v", err)
		}
		t.missing("k")
		t.bounds("log", 0, 0)
	}},
}

// oddNames are names that a mapping to subjects, files or patterns could confuse.
var oddNames = []string{
	"a", "A", "ab", "a/b", "a/b/c", "a/b/", "a//b", "/a", "/", "//", "a.b", "a.b/c", "a b", "*", ">", "a/*", "a/>", "=", "=2F", "=61",
	"\x00", "\n", "\r\n", "\xff\xfe", "模型/一", "模型/二", "é", "e\u0301", "$JS", "..", "../a", "%2F", "_", "-", "a/0", "a/5", "a/b/0", "con", "CTRL",
	strings.Repeat("x", store.MaxName), strings.Repeat("界", store.MaxName/3), strings.Repeat("/", store.MaxName),
}

func oddKeys(t *T) {
	revs := map[string]store.Revision{}
	for i, key := range oddNames {
		w := put(key, key, 0)
		w.Append = i%3 == 0
		revs[key] = t.commit(w)[0]
	}
	for i, key := range oddNames {
		t.value(key, key, revs[key])
		if i%3 == 0 {
			t.history(key, 0, key)
		} else {
			t.history(key, 0)
		}
	}
	prefixes := map[string]bool{"": true, "nothing": true}
	for _, key := range oddNames {
		for n := 1; n <= min(len(key), 6); n++ {
			prefixes[key[:n]] = true
		}
	}
	for p := range prefixes {
		var want, got []string
		for _, key := range oddNames {
			if strings.HasPrefix(key, p) {
				want = append(want, key)
			}
		}
		slices.Sort(want)
		list, err := t.s.List(t.ctx, p)
		if err != nil {
			t.Fatalf("list %q: %v", p, err)
		}
		for _, e := range list {
			got = append(got, e.Key)
			if string(e.Value) != e.Key || e.Revision != revs[e.Key] {
				t.Fatalf("list %q: %q = %q at %d", p, e.Key, e.Value, e.Revision)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("list %q:\n got %q\nwant %q", p, got, want)
		}
	}
}

// concurrentCommits lets several writers add to one counter and to the history that explains it.
func concurrentCommits(t *T) {
	const writers, rounds = 4, 8
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range rounds {
				if err := increment(t); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	e, err := t.s.Get(t.ctx, "counter")
	if err != nil || string(e.Value) != strconv.Itoa(writers*rounds) {
		t.Fatalf("counter: %q, %v", e.Value, err)
	}
	list, err := t.s.History(t.ctx, "log", 0)
	if err != nil || len(list) != writers*rounds {
		t.Fatalf("history: %d entries, %v", len(list), err)
	}
	for i, e := range list {
		if string(e.Value) != strconv.Itoa(i+1) {
			t.Fatalf("entry %d of the history says %q", i, e.Value)
		}
	}
}

// increment adds one to the counter by compare-and-swap and logs the sum in the same batch.
func increment(t *T) error {
	for {
		counter, err := t.s.Get(t.ctx, "counter")
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		log, err := t.s.Get(t.ctx, "log")
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		n, _ := strconv.Atoi(string(counter.Value)) // empty at first
		sum := strconv.Itoa(n + 1)
		_, err = t.s.Commit(t.ctx, store.Batch{Writes: []store.Write{
			put("counter", sum, counter.Revision), add("log", sum, log.Revision),
		}})
		if err == nil || !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}
