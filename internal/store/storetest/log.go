package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"sluice.dev/sluice/internal/store"
)

var logCases = []testCase{
	{"an empty log reads as nothing", func(t *T) {
		t.bounds("p0", 0, 0)
		if got := t.read("p0", 0); len(got) != 0 {
			t.Fatalf("%v", got)
		}
		t.bounds("p0", 0, 0)
	}},
	{"entries come in order", func(t *T) {
		for i := range 50 {
			if seq := t.append("p0", fmt.Sprint("id", i), fmt.Sprint("entry ", i)); seq != store.Seq(i+1) {
				t.Fatalf("entry %d got sequence %d", i, seq)
			}
		}
		t.append("p1", "id0", "elsewhere")
		t.bounds("p0", 1, 50)
		t.bounds("p1", 1, 1)
		for _, after := range []store.Seq{0, 1, 20, 49, 50} {
			got := t.read("p0", after)
			if len(got) != 50-int(after) {
				t.Fatalf("%d entries after %d", len(got), after)
			}
			for i, r := range got {
				n := int(after) + i
				if r.Seq != store.Seq(n+1) || string(r.Data) != fmt.Sprint("entry ", n) || r.Time.IsZero() {
					t.Fatalf("entry %d after %d: %d %q %v", i, after, r.Seq, r.Data, r.Time)
				}
			}
		}
	}},
	{"a repeated id is stored once", func(t *T) {
		a := t.append("p0", "a", "first")
		b := t.append("p0", "b", "second")
		if again := t.append("p0", "a", "repeated"); again != a {
			t.Fatalf("a repeated: %d, at first %d", again, a)
		}
		if c := t.append("p0", "c", "third"); c != b+1 {
			t.Fatalf("sequence %d after %d", c, b)
		}
		if other := t.append("p1", "a", "another log"); other != 1 {
			t.Fatalf("the id of one log counts in another: %d", other)
		}
		if got := t.read("p0", 0); len(got) != 3 || string(got[0].Data) != "first" {
			t.Fatalf("%v", got)
		}
		x, y := t.append("p0", "", "no id"), t.append("p0", "", "no id")
		if x == y {
			t.Fatal("entries without id are one")
		}
	}},
	{"a read goes on where the log ends", func(t *T) {
		ctx, cancel := context.WithCancel(t.ctx)
		defer cancel()
		t.append("p0", "", "0")
		n := 0
		for r, err := range t.s.Read(ctx, "p0", 0, true) {
			if err != nil || string(r.Data) != fmt.Sprint(n) || r.Seq != store.Seq(n+1) {
				t.Fatalf("%d %q, %v; want entry %d", r.Seq, r.Data, err, n)
			}
			if n++; n == 20 {
				cancel() // which ends the read without an error
				continue
			}
			t.append("p0", "", fmt.Sprint(n))
		}
		if n != 20 {
			t.Fatalf("the read ended after %d entries", n)
		}
	}},
	{"a read waits for a log", func(t *T) {
		got := make(chan string, 1)
		go func() {
			for r, err := range t.s.Read(t.ctx, "p9", 0, true) {
				got <- fmt.Sprint(string(r.Data), err)
				return
			}
			got <- "ended"
		}()
		t.append("p9", "", "v")
		if v := <-got; v != "v<nil>" {
			t.Fatal(v)
		}
	}},
	{"a read ends with the store", func(t *T) {
		t.append("p0", "", "v")
		var last error
		for _, err := range t.s.Read(t.ctx, "p0", 0, true) {
			if last = err; err == nil {
				go func() { _ = t.s.Close() }() // its error is for another case
			}
		}
		if !errors.Is(last, store.ErrUnavailable) {
			t.Fatalf("the read ended with %v", last)
		}
	}},
	{"a reader beyond the end is told so", func(t *T) {
		t.readError(store.ErrGap, "p0", 1)
		t.append("p0", "", "v")
		t.read("p0", 1)
		t.readError(store.ErrGap, "p0", 2)
		for _, err := range t.s.Read(t.ctx, "p0", 2, true) {
			if !errors.Is(err, store.ErrGap) {
				t.Fatalf("a read that follows: %v", err)
			}
			return
		}
		t.Fatal("a read that follows ended")
	}},
	{"what retention removed is a gap", removed},
	{"bytes are not shared", func(t *T) {
		v := []byte("right")
		if _, err := t.s.Append(t.ctx, "p0", "", v); err != nil {
			t.Fatal(err)
		}
		copy(v, "wrong")
		copy(t.read("p0", 0)[0].Data, "wrong")
		if got := t.read("p0", 0)[0].Data; string(got) != "right" {
			t.Fatalf("%q", got)
		}
	}},
	{"concurrent appends get one sequence each", concurrentAppends},
	{"sizes and names within the limits", func(t *T) {
		big := strings.Repeat("0123456789abcdef", store.MaxValue/16)
		t.append("p0", "big", big)
		t.append("p0", "empty", "")
		got := t.read("p0", 0)
		if len(got) != 2 || !bytes.Equal(got[0].Data, []byte(big)) || len(got[1].Data) != 0 {
			t.Fatalf("%d entries", len(got))
		}
		for _, bad := range []struct{ log, id, data string }{
			{"", "id", ""}, {"p0", strings.Repeat("i", store.MaxID+1), ""}, {"p0", "a\r\nb: c", ""}, {"p0", "a b", ""}, {"p0", "", big + "!"},
		} {
			if _, err := t.s.Append(t.ctx, bad.log, bad.id, []byte(bad.data)); !errors.Is(err, store.ErrInvalid) {
				t.Errorf("log %q, id %q, %d bytes: %v", bad.log, bad.id, len(bad.data), err)
			}
		}
		t.bounds("p0", 1, 2)
	}},
	{"odd names are different logs", func(t *T) {
		names := []string{"a", "A", "a.b", "a/b", "a_b", "a b", "a=b", "*", ">", "模", "..", "/"}
		for _, name := range names {
			t.append(name, "id", name)
		}
		for _, name := range names {
			if got := t.read(name, 0); len(got) != 1 || string(got[0].Data) != name {
				t.Fatalf("log %q: %v", name, got)
			}
		}
	}},
}

func removed(t *T) {
	trimmer, ok := t.s.(Trimmer)
	if !ok {
		t.Skip("the store has no Trim")
	}
	for i := range 10 {
		t.append("p0", "", fmt.Sprint(i))
	}
	if err := trimmer.Trim(t.ctx, "p0", 5); err != nil {
		t.Fatal(err)
	}
	t.bounds("p0", 5, 10)
	for _, after := range []store.Seq{0, 1, 3} {
		if got := t.readError(store.ErrGap, "p0", after); len(got) != 0 {
			t.Fatalf("after %d came %v", after, got)
		}
	}
	if got := t.read("p0", 4); len(got) != 6 || got[0].Seq != 5 || string(got[0].Data) != "4" {
		t.Fatalf("%v", got)
	}
	if err := trimmer.Trim(t.ctx, "p0", 11); err != nil {
		t.Fatal(err)
	}
	t.bounds("p0", 11, 10)
	t.readError(store.ErrGap, "p0", 9)
	if got := t.read("p0", 10); len(got) != 0 {
		t.Fatalf("%v", got)
	}
	if seq := t.append("p0", "", "next"); seq != 11 {
		t.Fatalf("sequence %d", seq)
	}
	t.bounds("p0", 11, 11)
	if got := t.read("p0", 10); len(got) != 1 {
		t.Fatalf("%v", got)
	}
}

func concurrentAppends(t *T) {
	const writers, each = 4, 25
	var mu sync.Mutex
	var wg sync.WaitGroup
	bySeq := map[store.Seq]string{}
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				data := fmt.Sprintf("%d/%d", w, i)
				seq, err := t.s.Append(t.ctx, "p0", data, []byte(data))
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				mu.Lock()
				bySeq[seq] = data
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	got := t.read("p0", 0)
	if len(got) != writers*each || len(bySeq) != writers*each {
		t.Fatalf("%d entries, %d sequences", len(got), len(bySeq))
	}
	if !slices.IsSortedFunc(got, func(a, b store.Record) int { return int(a.Seq) - int(b.Seq) }) {
		t.Fatal("not in order")
	}
	for _, r := range got {
		if bySeq[r.Seq] != string(r.Data) {
			t.Fatalf("entry %d is %q, was acknowledged as %q", r.Seq, r.Data, bySeq[r.Seq])
		}
	}
}
