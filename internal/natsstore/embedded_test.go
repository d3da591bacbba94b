package natsstore

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice.dev/sluice/internal/store"
	"sluice.dev/sluice/internal/store/storetest"
)

// trimmed gives a store the method by which storetest plays retention.
type trimmed struct{ *Store }

func (t trimmed) Trim(ctx context.Context, log string, before store.Seq) error {
	stream, err := t.stream(ctx, t.logConfig(log))
	if err != nil {
		return err
	}
	return stream.Purge(ctx, jetstream.WithPurgeSequence(uint64(before)))
}

// openDir opens an embedded store that the test closes at its end.
func openDir(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := OpenEmbedded(t.Context(), Options{Dir: dir, Namespace: "test", MinFree: 1, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func TestEmbedded(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return trimmed{openDir(t, t.TempDir())} })
}

func TestEmbeddedReopen(t *testing.T) {
	storetest.RunReopen(t, func(t *testing.T) (store.Store, func() store.Store) {
		dir := t.TempDir()
		s := openDir(t, dir)
		return s, func() store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openDir(t, dir)
			return s
		}
	})
}

func TestEmbeddedModel(t *testing.T) {
	storetest.RunModel(t, func(t *testing.T) store.Store { return openDir(t, t.TempDir()) })
}

// Whoever wants to know when the disk is waited for is told so by each way to write, and when it is over.
func TestWaits(t *testing.T) {
	var begun, ended atomic.Int32
	s, err := OpenEmbedded(t.Context(), Options{
		Dir: t.TempDir(), Namespace: "test", MinFree: 1, Timeout: time.Minute,
		Waits: func() func() {
			begun.Add(1)
			return func() { ended.Add(1) }
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for _, c := range []struct {
		name  string
		write func() error
	}{
		{"log", func() error { _, err := s.Append(t.Context(), "events", "id", []byte("x")); return err }},
		{"keys", func() error {
			_, err := s.Commit(t.Context(), store.Batch{Writes: []store.Write{{Key: "a.b", Value: []byte("x")}, {Key: "a.c", Value: []byte("x")}}})
			return err
		}},
		{"blob", func() error { _, err := s.PutBlob(t.Context(), "b", []byte("x"), 0); return err }},
	} {
		before := begun.Load()
		if err := c.write(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if b, e := begun.Load(), ended.Load(); b == before || b != e {
			t.Errorf("%s: %d waits before it, then %d begun and %d ended", c.name, before, b, e)
		}
	}
}
