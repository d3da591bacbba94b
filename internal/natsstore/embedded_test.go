package natsstore

import (
	"context"
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
