package natsstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice.dev/sluice/internal/store"
)

// purpose is what a write is for. Control outlives telemetry when room gets short.
type purpose uint8

const (
	forControl purpose = iota
	forBulk            // logs and blobs
)

// spaceAge is how long a look at the room is good for. At 200 MB/s a quarter of a second is 50 MB,
// less than the default of Options.MinFree.
const spaceAge = 250 * time.Millisecond

// space refuses writes before the engine meets its limits. A server that hits the end of its disk
// switches JetStream off until the next start, and one above its own limit refuses control keys
// and telemetry alike; both are worse than a telemetry log that says it is full.
type space struct {
	dir     string // "" if the disk is not ours to watch
	minFree uint64
	limit   int64 // of all data; 0 for the account's
	js      jetstream.JetStream
	age     time.Duration // how long a look is good for

	mu    sync.Mutex // guards what is below
	at    time.Time
	free  uint64
	used  int64
	quota int64 // 0 for none
}

// check answers ErrFull if there is no room for that purpose.
func (s *space) check(ctx context.Context, p purpose) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.at) > s.age {
		s.look(ctx)
		s.at = now
	}
	need := s.minFree
	if p == forControl {
		need /= 4
	}
	if s.dir != "" && s.free < need {
		return fmt.Errorf("%w: %d MiB are free on the disk of %s, %d MiB have to stay free: free some, or move the folder", store.ErrFull, s.free>>20, s.dir, need>>20)
	}
	if p == forBulk && s.quota > 0 && s.used > s.quota-s.quota/8 {
		return fmt.Errorf("%w: %d of %d MiB are used, and the last eighth is kept for decisions: raise the limit, or keep logs for less long", store.ErrFull, s.used>>20, s.quota>>20)
	}
	return nil
}

// look reads the numbers. Where it can't, the old ones stand: the write itself will tell.
func (s *space) look(ctx context.Context) {
	if s.dir != "" {
		if free, err := freeBytes(s.dir); err == nil {
			s.free = free
		}
	}
	if info, err := s.js.AccountInfo(ctx); err == nil {
		s.used = int64(min(info.Store, 1<<62))
		s.quota = max(s.limit, info.Limits.MaxStore, 0)
		if s.limit > 0 && info.Limits.MaxStore > 0 {
			s.quota = min(s.limit, info.Limits.MaxStore)
		}
	}
}
