package natsstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"sluice.dev/sluice/internal/store"
)

func mustCommit(t *testing.T, s *Store, fence store.Lease, writes ...store.Write) []store.Revision {
	t.Helper()
	revs, err := s.Commit(t.Context(), store.Batch{Writes: writes, Fence: fence})
	if err != nil {
		t.Fatal(err)
	}
	return revs
}

// The server itself refuses a batch whose fence is not the lease's present sequence, both where
// the fence is a message of its own and where it rides on an appended entry: a process that does
// not know yet that its lease is over can't write.
func TestServerFences(t *testing.T) {
	s := openDir(t, t.TempDir())
	held, err := s.Acquire(t.Context(), "leader", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	l := held.(*lease)
	stale := l.revision
	if err := l.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, writes := range map[string][]store.Write{
		"own message": {{Key: "a", Value: []byte("x")}, {Key: "b", Value: []byte("x")}},
		"on an entry": {{Key: "a", Value: []byte("x")}, {Key: "b", Value: []byte("x"), Append: true}},
		"single":      {{Key: "a", Value: []byte("x")}},
	} {
		for _, revision := range []uint64{stale, 0, l.revision + 1} {
			if _, err := s.publish(t.Context(), s.batch(writes, l, revision)...); !errors.Is(err, store.ErrConflict) {
				t.Errorf("%s with lease revision %d: %v", name, revision, err)
			}
		}
		for _, key := range []string{"a", "b"} {
			if _, err := s.Get(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s: %q was written: %v", name, key, err)
			}
		}
	}
	// With the right lease each write's own expectation still holds.
	bad := []store.Write{{Key: "b", Value: []byte("x"), Append: true}, {Key: "a", Value: []byte("x"), Expect: 3}}
	if _, err := s.publish(t.Context(), s.batch(bad, l, l.revision)...); !errors.Is(err, store.ErrConflict) {
		t.Errorf("right lease, wrong expectation: %v", err)
	}
	bad = []store.Write{{Key: "b", Value: []byte("x"), Append: true, Expect: 3}}
	if _, err := s.publish(t.Context(), s.batch(bad, l, l.revision)...); !errors.Is(err, store.ErrConflict) {
		t.Errorf("right lease, wrong expectation of an append: %v", err)
	}
	mustCommit(t, s, l, store.Write{Key: "b", Value: []byte("x"), Append: true}, store.Write{Key: "a", Value: []byte("x")})
}

// The message with the lease's expectation must be the first of its batch: the server checks it
// again when it finishes a batch after a crash, and then the lease may be over.
func TestFenceComesFirst(t *testing.T) {
	s := &Store{names: names{"x"}}
	l := &lease{s: s, name: "leader"}
	writes := []store.Write{{Key: "a"}, {Key: "b", Append: true}, {Key: "c"}, {Key: "d", Append: true}}
	for n := 1; n <= len(writes); n++ {
		msgs := s.batch(writes[:n], l, 7)
		for i, m := range msgs {
			fenced := m.Header.Get("Nats-Expected-Last-Subject-Sequence-Subject") == s.names.lease("leader")
			if fenced != (i == 0) {
				t.Errorf("%d writes: message %d of %d: fenced %v", n, i, len(msgs), fenced)
			}
			if ttl := m.Header.Get("Nats-TTL"); (ttl != "") != (i == 0 && n == 1) {
				t.Errorf("%d writes: message %d has time to live %q; only a fence of its own has one", n, i, ttl)
			}
		}
	}
}

// A renewal whose answer was lost has changed the lease's revision. It is still ours.
func TestLostRenewal(t *testing.T) {
	for name, use := range map[string]func(*Store, *lease) error{
		"commit":  func(s *Store, l *lease) error { mustCommit(t, s, l, store.Write{Key: "k"}); return nil },
		"renew":   func(_ *Store, l *lease) error { return l.Renew(t.Context()) },
		"release": func(_ *Store, l *lease) error { return l.Release(t.Context()) },
	} {
		s := openDir(t, t.TempDir())
		held, err := s.Acquire(t.Context(), "leader", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		l := held.(*lease)
		late := &lease{s: s, name: l.name, ttl: l.ttl, token: l.token, revision: l.revision}
		if err := late.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := use(s, l); err != nil {
			t.Errorf("%s after a renewal that we don't know of: %v", name, err)
		}
		if l.revision < late.revision {
			t.Errorf("%s: the lease is at %d, the server had %d", name, l.revision, late.revision)
		}
	}
}

// A lease of any length is over with its process, because the folder's lock is.
func TestDeadHoldersLease(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	if _, err := s.Acquire(t.Context(), "leader", time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openDir(t, dir)
	l, err := s.Acquire(t.Context(), "leader", time.Hour)
	if err != nil {
		t.Fatalf("the lease of a process that is gone: %v", err)
	}
	if _, err := s.Acquire(t.Context(), "leader", time.Hour); !errors.Is(err, store.ErrHeld) {
		t.Fatalf("the lease of a process that is here: %v", err)
	}
	mustCommit(t, s, l, store.Write{Key: "k", Value: []byte("v")})
}

// A process that dies between the chunks of a blob and its manifest leaves the old blob, and the
// next replacement removes its remains.
func TestHalfABlob(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	old := make([]byte, 2<<20)
	old[7] = 7
	rev, err := s.PutBlob(t.Context(), "snap", old, 0)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := s.stream(t.Context(), s.blobConfig())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.putChunks(t.Context(), stream, "snap", make([]byte, 3<<20), uint64(rev)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openDir(t, dir)
	data, r, err := s.GetBlob(t.Context(), "snap")
	if err != nil || r != rev || len(data) != len(old) || data[7] != 7 {
		t.Fatalf("%d bytes at %d, %v", len(data), r, err)
	}
	if _, err := s.PutBlob(t.Context(), "snap", make([]byte, 1<<20), rev); err != nil {
		t.Fatal(err)
	}
	if stream, err = s.stream(t.Context(), s.blobConfig()); err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil || info.State.Msgs != 3 { // two chunks and the manifest
		t.Fatalf("%d messages are left, %v", info.State.Msgs, err)
	}
}

// A blob whose chunk is gone is damaged, not missing: a reader must not start from nothing.
func TestDamagedBlob(t *testing.T) {
	s := openDir(t, t.TempDir())
	if _, err := s.PutBlob(t.Context(), "snap", make([]byte, 1<<20), 0); err != nil {
		t.Fatal(err)
	}
	stream, err := s.stream(t.Context(), s.blobConfig())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.GetBlob(t.Context(), "snap"); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Fatalf("%v", err)
	}
}

// An entry that is missing in the middle is a gap, wherever the reader meets it.
func TestMissingEntry(t *testing.T) {
	s := openDir(t, t.TempDir())
	for range 5 {
		if _, err := s.Append(t.Context(), "p0", "", nil); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := s.stream(t.Context(), s.logConfig("p0"))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.DeleteMsg(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	for _, follow := range []bool{false, true} {
		var got []store.Seq
		var end error
		for r, err := range s.Read(ctx, "p0", 0, follow) {
			if end = err; err == nil {
				got = append(got, r.Seq)
			}
		}
		if !errors.Is(end, store.ErrGap) || len(got) != 2 {
			t.Errorf("follow %v: read %v, then %v", follow, got, end)
		}
	}
}

func TestTranslate(t *testing.T) {
	for _, c := range []struct {
		err, want error
	}{
		{nats.ErrTimeout, store.ErrUnknown},
		{nats.ErrConnectionClosed, store.ErrUnknown},
		{nats.ErrNoResponders, store.ErrUnavailable},
		{nats.ErrReconnectBufExceeded, store.ErrUnavailable},
		{nil, nil},
		{errors.New("anything else"), store.ErrUnknown},
		{fmt.Errorf("x: %w", store.ErrFull), store.ErrFull},
		{ackError(10071, ""), store.ErrConflict},
		{ackError(10164, ""), store.ErrConflict},
		{ackError(10077, "maximum bytes exceeded"), store.ErrFull},
		{ackError(10077, "no space left on device"), store.ErrFull},
		{ackError(10023, ""), store.ErrFull},
		{ackError(10047, ""), store.ErrFull},
		{ackError(10158, ""), store.ErrUnknown},
		{ackError(10176, ""), store.ErrUnavailable},
		{ackError(10009, ""), store.ErrUnavailable},
	} {
		if got := translate(c.err, store.ErrUnknown); !errors.Is(got, c.want) || !errors.Is(got, c.err) {
			t.Errorf("%v became %v, want %v", c.err, got, c.want)
		}
	}
	// Another reason of the code that a full stream has is not "full".
	if got := translate(ackError(10077, "something else"), store.ErrUnknown); errors.Is(got, store.ErrFull) {
		t.Errorf("any store failure counts as full: %v", got)
	}
}

func ackError(code int, text string) error {
	_, err := parseAck(fmt.Appendf(nil, `{"error":{"code":503,"err_code":%d,"description":%q},"stream":"S","seq":0}`, code, text), "", 1)
	return err
}

// A batch of which a part got lost on the way is sent again as another batch, and whole.
func TestIncompleteBatchIsSentAgain(t *testing.T) {
	s := openDir(t, t.TempDir())
	var mu sync.Mutex
	came := map[string]int{}
	sub, err := s.nc.Subscribe("lost.>", func(m *nats.Msg) {
		mu.Lock()
		defer mu.Unlock()
		id := m.Header.Get(batchID)
		came[id]++
		if m.Header.Get(batchCommit) == "" {
			return
		}
		answer := `{"error":{"code":400,"err_code":10176,"description":"atomic publish batch is incomplete"},"stream":"S","seq":0}`
		if len(came) > 1 {
			answer = fmt.Sprintf(`{"stream":"S","seq":9,"batch":%q,"count":%d}`, id, came[id])
		}
		_ = m.Respond([]byte(answer))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	a, err := s.publish(t.Context(), message("lost.a", nil), message("lost.b", nil))
	if err != nil || a.Sequence != 9 || a.Count != 2 || len(came) != 2 {
		t.Errorf("%+v, %v, batches %v", a, err, came)
	}
}

func TestParseAck(t *testing.T) {
	for answer, ok := range map[string]bool{
		`{"stream":"S","seq":7,"batch":"b","count":3}`: true,
		`{"stream":"S","seq":7,"batch":"c","count":3}`: false,
		`{"stream":"S","seq":7,"batch":"b","count":2}`: false,
		`{"stream":"S","seq":7}`:                       false,
		`{"stream":"S"}`:                               false,
		`{}`:                                           false,
		``:                                             false,
		`no JSON`:                                      false,
	} {
		a, err := parseAck([]byte(answer), "b", 3)
		if (err == nil) != ok || ok && a.Sequence != 7 {
			t.Errorf("%s: %+v, %v", answer, a, err)
		}
	}
}
