package natsstore

import (
	"bytes"
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"sluice.dev/sluice/internal/store"
)

// tail hands what this process appends to a log to those who follow it, who need not ask the server for what it has just been given:
// no consumer, no second copy through the connection, no waking of four goroutines per entry. It is right only where nobody else
// writes, which is the embedded engine. The log stays the truth: an entry is handed on with the sequence that the server gave it, after it
// is durable, and only to a follower who has seen the one before it. Whoever misses one reads the log again.
type tail struct {
	mu        sync.Mutex
	begun     uint64    // appends that were begun
	doubt     uint64    // the latest of those begun when one ended without an answer; 0: none, or a later one was answered
	last      store.Seq // the highest sequence that was answered
	followers map[*follower]struct{}
}

// follower is one reader at the end of a log. The tail's mu guards it.
type follower struct {
	wake   chan struct{} // holds one when there is news
	next   store.Seq     // of the entry that it waits for
	queue  []store.Record
	size   int  // bytes in queue
	behind bool // the log holds something that does not come through queue
}

const (
	// maxTail bounds the bytes that wait for one follower: a slower one reads the log.
	maxTail = 1 << 20
	// lookAfter is when a follower to whom nothing came looks at the log itself, lookInDoubt while an append without an answer may yet
	// be carried out.
	lookAfter   = 10 * time.Second
	lookInDoubt = time.Second
)

// timeHeader says when the embedded engine was given an entry, in nanoseconds since 1970: what follows an entry from memory and what
// reads it later must see the same time.
const timeHeader = "Sluice-Time"

func stamp(m *nats.Msg, at time.Time) { m.Header.Set(timeHeader, strconv.FormatInt(at.UnixNano(), 10)) }

// stamped returns the time of an entry, which is when the server stored it unless it says itself.
func stamped(h nats.Header, stored time.Time) time.Time {
	if n, err := strconv.ParseInt(h.Get(timeHeader), 10, 64); err == nil {
		return time.Unix(0, n).UTC()
	}
	return stored
}

// tail returns the tail of a log, nil where others may write to it.
func (s *Store) tail(log string) *tail {
	if s.opts.Dir == "" {
		return nil
	}
	t, _ := s.tails.LoadOrStore(log, &tail{followers: map[*follower]struct{}{}})
	return t.(*tail)
}

// begin numbers an append.
func (t *tail) begin() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun++
	return t.begun
}

// stored takes note of an entry that is durable; of a repeated one, which the log has since its first attempt, r.Data is nil.
func (t *tail) stored(number uint64, r store.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if number > t.doubt {
		t.doubt = 0 // the server answers in order
	}
	t.last = max(t.last, r.Seq)
	for f := range t.followers {
		switch {
		case f.behind || r.Seq < f.next:
			continue
		case r.Seq > f.next || r.Data == nil || f.size+len(r.Data) > maxTail:
			f.behind = true
		default:
			// Each follower may change its bytes, and the caller keeps his.
			f.queue = append(f.queue, store.Record{Seq: r.Seq, Data: bytes.Clone(r.Data), Time: r.Time})
			f.size += len(r.Data)
			f.next++
		}
		f.nudge()
	}
}

// unknown takes note of an append that may or may not have been carried out, or may be later.
func (t *tail) unknown() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.doubt = t.begun
	for f := range t.followers {
		f.behind = true
		f.nudge()
	}
}

func (f *follower) nudge() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// join makes a follower, who is behind until resume.
func (t *tail) join() *follower {
	f := &follower{wake: make(chan struct{}, 1), behind: true}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.followers[f] = struct{}{}
	return f
}

func (t *tail) leave(f *follower) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.followers, f)
}

// resume makes what comes behind a sequence go to the follower; false when something has come already.
func (t *tail) resume(f *follower, after store.Seq) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.queue, f.size, f.next = nil, 0, after+1
	f.behind = t.last > after
	return !f.behind
}

// take returns what has come to the follower, whether the log holds something else, and how long to wait before looking there anyway.
func (t *tail) take(f *follower) (queue []store.Record, behind bool, look time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	queue, f.queue, f.size = f.queue, nil, 0
	look = lookAfter
	if t.doubt > 0 {
		look = lookInDoubt
	}
	return queue, f.behind, look
}

// follow yields what the log holds and then what is appended, until ctx ends or the caller has enough.
func (r *reader) follow(ctx context.Context, t *tail) error {
	f := t.join()
	defer t.leave(f)
	for !r.over {
		if r.after < r.end {
			if err := r.consume(ctx, false); err != nil {
				return err
			}
			if r.over || ctx.Err() != nil {
				return nil
			}
		}
		if t.resume(f, r.after) {
			if err := r.fresh(ctx, t, f); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if err := r.locate(ctx); err != nil {
			return err
		}
	}
	return nil
}

// fresh yields what the tail hands over, until the log has to be looked at.
func (r *reader) fresh(ctx context.Context, t *tail, f *follower) error {
	var idle *time.Timer
	for {
		queue, behind, look := t.take(f)
		for _, e := range queue {
			r.after = e.Seq
			if !r.yield(e, nil) {
				r.over = true
				return nil
			}
		}
		if behind {
			return nil
		}
		if idle == nil {
			idle = time.NewTimer(look)
			defer idle.Stop()
		} else {
			idle.Reset(look)
		}
		select {
		case <-f.wake:
		case <-idle.C:
			return nil
		case <-ctx.Done():
			return nil
		case <-r.s.life.Done():
			return r.s.closedErr()
		}
	}
}
