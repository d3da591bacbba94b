package natsstore

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice.dev/sluice/internal/store"
)

// hidden stores an entry whose answer nobody gets.
func hidden(t *testing.T, s *Store, log, id string, data []byte) {
	t.Helper()
	m := message(s.names.logSubject(log), data)
	if id != "" {
		m.Header.Set(jetstream.MsgIDHeader, id)
	}
	if _, err := s.publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// collected reads a log until it has that many entries after a sequence.
func collected(ctx context.Context, s *Store, log string, after, last store.Seq) ([]store.Record, error) {
	var out []store.Record
	for r, err := range s.Read(ctx, log, after, true) {
		if err != nil {
			return nil, err
		}
		if out = append(out, r); r.Seq >= last {
			return out, nil
		}
	}
	return nil, fmt.Errorf("the read ended after %d entries", len(out))
}

// Who follows sees what the log holds, in its order, once, with its times: whatever of it this process knows of, answers lost,
// attempts repeated, appends at the same time, readers that are slow or come late.
func TestFollowersSeeTheLog(t *testing.T) {
	s := openDir(t, t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	rng := rand.New(rand.NewPCG(7, 8))
	const rounds = 60
	var readers sync.WaitGroup
	var mu sync.Mutex
	seen := map[int][]store.Record{}
	start := map[int]store.Seq{}
	follow := func(n int, after store.Seq, slow bool) {
		start[n] = after
		readers.Go(func() {
			var got []store.Record
			for r, err := range s.Read(ctx, "p0", after, true) {
				if err != nil {
					t.Errorf("reader %d: %v", n, err)
					break
				}
				if bytes.Equal(r.Data, []byte("end")) {
					break
				}
				got = append(got, store.Record{Seq: r.Seq, Data: bytes.Clone(r.Data), Time: r.Time})
				clear(r.Data) // which is ours
				if slow {
					time.Sleep(time.Millisecond)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			seen[n] = got
		})
	}
	last := store.Seq(0)
	add := func(id string, data []byte) {
		seq, err := s.Append(ctx, "p0", id, data)
		if err != nil {
			t.Fatal(err)
		}
		last = max(last, seq)
	}
	for i := range rounds {
		if i%10 == 0 {
			follow(i, last, i%20 == 0)
		}
		data := fmt.Append(nil, "entry ", i)
		switch rng.IntN(7) {
		case 0: // stored, and the answer was lost
			hidden(t, s, "p0", "", data)
			s.tail("p0").unknown()
		case 1: // stored, the answer is late
			hidden(t, s, "p0", "", data)
		case 2: // stored, the answer was lost, sent again
			hidden(t, s, "p0", fmt.Sprint("id", i), data)
			s.tail("p0").unknown()
			add(fmt.Sprint("id", i), data)
		case 3: // at once
			var all sync.WaitGroup
			for j := range 8 {
				all.Go(func() {
					if _, err := s.Append(ctx, "p0", "", fmt.Append(nil, "entry ", i, ".", j)); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		case 4: // more than waits for one reader
			for range 4 {
				add("", bytes.Repeat(data, (300<<10)/len(data)))
			}
		default:
			add("", data)
		}
	}
	add("", []byte("end"))
	readers.Wait()
	var want []store.Record
	for r, err := range s.Read(ctx, "p0", 0, false) {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, r)
	}
	want = want[:len(want)-1]
	for n, got := range seen {
		if !slices.EqualFunc(got, want[start[n]:], func(a, b store.Record) bool {
			return a.Seq == b.Seq && bytes.Equal(a.Data, b.Data) && a.Time.Equal(b.Time)
		}) {
			t.Errorf("reader %d saw %d entries of %d, or others", n, len(got), len(want)-int(start[n]))
		}
	}
	if len(seen) != rounds/10 {
		t.Errorf("%d readers", len(seen))
	}
}

// An entry of an append that was never answered comes without another one after it.
func TestUnansweredAppendIsFollowed(t *testing.T) {
	s := openDir(t, t.TempDir())
	if _, err := s.Append(t.Context(), "p0", "", []byte("first")); err != nil {
		t.Fatal(err)
	}
	got := make(chan []store.Record)
	go func() {
		r, err := collected(t.Context(), s, "p0", 1, 3)
		if err != nil {
			t.Error(err)
		}
		got <- r
	}()
	s.tail("p0").unknown() // before it is carried out
	hidden(t, s, "p0", "", []byte("late"))
	hidden(t, s, "p0", "", []byte("later"))
	if r := <-got; len(r) != 2 || string(r[0].Data) != "late" || string(r[1].Data) != "later" {
		t.Errorf("%v", r)
	}
	if _, _, look := s.tail("p0").take(s.tail("p0").join()); look != lookInDoubt {
		t.Errorf("in doubt the log is looked at every %v", look)
	}
	if _, err := s.Append(t.Context(), "p0", "", []byte("known")); err != nil {
		t.Fatal(err)
	}
	if _, _, look := s.tail("p0").take(s.tail("p0").join()); look != lookAfter {
		t.Errorf("after an answer the log is looked at every %v", look)
	}
}

func atTheEnd(t *tail) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for f := range t.followers {
		return !f.behind
	}
	return false
}

// What a follower is given, and when it has to read the log instead.
func TestTail(t *testing.T) {
	tail := &tail{followers: map[*follower]struct{}{}}
	f := tail.join()
	stored := func(seqs ...store.Seq) {
		for _, seq := range seqs {
			tail.stored(tail.begin(), store.Record{Seq: seq, Data: fmt.Append(nil, seq), Time: time.Unix(int64(seq), 0)})
		}
	}
	expect := func(what string, behind bool, seqs ...store.Seq) {
		t.Helper()
		queue, late, _ := tail.take(f)
		var got []store.Seq
		for _, r := range queue {
			if string(r.Data) != fmt.Sprint(r.Seq) || r.Time.Unix() != int64(r.Seq) {
				t.Errorf("%s: %+v", what, r)
			}
			got = append(got, r.Seq)
		}
		if late != behind || !slices.Equal(got, seqs) {
			t.Errorf("%s: %v, behind %t; want %v, %t", what, got, late, seqs, behind)
		}
	}
	stored(1, 2)
	expect("who has not read the log is behind", true)
	if tail.resume(f, 1) {
		t.Error("it resumes before the end")
	}
	if !tail.resume(f, 2) {
		t.Error("it does not resume at the end")
	}
	stored(3, 4)
	expect("entries in order", false, 3, 4)
	stored(2, 5)
	expect("a late answer", false, 5)
	stored(7, 6)
	expect("answers out of order", true)
	tail.resume(f, 7)
	tail.stored(tail.begin(), store.Record{Seq: 5})
	stored(8)
	expect("a repeated entry that was read", false, 8)
	tail.stored(tail.begin(), store.Record{Seq: 9})
	stored(10)
	expect("a repeated entry that was not", true)
	tail.resume(f, 10)
	stored(11)
	tail.unknown()
	expect("an append without an answer", true, 11)
	tail.resume(f, 11)
	tail.stored(tail.begin(), store.Record{Seq: 12, Data: make([]byte, maxTail)})
	stored(13)
	if queue, behind, _ := tail.take(f); len(queue) != 1 || !behind {
		t.Errorf("%d entries, behind %t, with more than waits for a follower", len(queue), behind)
	}
	tail.resume(f, 13)
	for seq := range store.Seq(3) {
		tail.stored(tail.begin(), store.Record{Seq: 14 + seq, Data: make([]byte, maxTail)})
		if queue, behind, _ := tail.take(f); len(queue) != 1 || behind {
			t.Errorf("%d entries, behind %t: what was taken waits no more", len(queue), behind)
		}
	}
	tail.leave(f)
	stored(17)
	expect("who has left", false)
}

// Followers of what this process appends need nothing of the server.
func TestFollowersAskNobody(t *testing.T) {
	s := openDir(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	add := func() {
		if _, err := s.Append(ctx, "p0", "", []byte("entry")); err != nil {
			t.Fatal(err)
		}
	}
	consumers := func() int {
		stream, err := s.js.Stream(ctx, s.names.logStream("p0"))
		if err != nil {
			t.Fatal(err)
		}
		return stream.CachedInfo().State.Consumers
	}
	add()
	go func() {
		for t.Context().Err() == nil { // once it follows
			if atTheEnd(s.tail("p0")) {
				break
			}
			runtime.Gosched()
		}
		if _, err := s.Append(ctx, "p0", "", []byte("entry")); err != nil {
			t.Error(err)
		}
	}()
	n := 0
	for r, err := range s.Read(ctx, "p0", 1, true) {
		if err != nil || r.Seq != store.Seq(n+2) {
			t.Fatalf("%+v, %v", r, err)
		}
		if n++; n == 10 {
			break
		}
		if c := consumers(); c != 0 {
			t.Fatalf("%d consumers while entry %d comes", c, r.Seq)
		}
		add()
	}
}
