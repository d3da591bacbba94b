package ingest

import (
	"context"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// stored yields what a memory's log holds, up to its end.
func (m *memory) stored(_ context.Context, partition int, after uint64) iter.Seq2[Entry, error] {
	m.mu.Lock()
	defer m.mu.Unlock()
	entries := slices.Clone(m.logs[partition])
	return func(yield func(Entry, error) bool) {
		for _, e := range entries {
			if e.Seq > after && !yield(e, nil) {
				return
			}
		}
	}
}

// A replay stops where a look was taken, wherever that is, and finds the hash of then.
func TestReplayFindsEveryFormerView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, stopPublishing := publishing(t, m, Options{})
		f, stop := running(t, m)
		var looks []Evidence
		for round := range 6 {
			traffic(t, p, round*200, (round+1)*200)
			time.Sleep(700 * time.Millisecond)
			synctest.Wait()
			looks = append(looks, f.View(testModel, testNumber, time.Now()))
		}
		stopPublishing()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		r := NewReplay(m.model, testNumber, 2, m.stored)
		seen := map[string]bool{}
		for i, l := range looks {
			v, hash, err := r.To(t.Context(), l.View.Positions[:])
			if err != nil || v == nil || hash != l.Hash {
				t.Errorf("look %d: hash %.12s, then %.12s, error %v", i, hash, l.Hash, err)
			}
			seen[hash] = true
		}
		if len(seen) < 4 {
			t.Errorf("only %d different looks", len(seen))
		}
	})
}

func TestReplayRefusesWhatTheLogDoesNotHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := written(t, 300)
		to := m.naive().Positions
		to[3]++
		if _, _, err := NewReplay(m.model, testNumber, 2, m.stored).To(t.Context(), to[:]); err == nil || !strings.Contains(err.Error(), "partition 3 ends") {
			t.Errorf("beyond the end: %v", err)
		}
		if _, _, err := NewReplay(m.model, testNumber, 2, m.stored).To(t.Context(), to[:3]); err == nil {
			t.Error("three positions are taken for all partitions")
		}
		if v, _, err := NewReplay(m.model, testNumber+1, 2, m.stored).To(t.Context(), m.naive().Positions[:]); err != nil || v != nil {
			t.Errorf("a release without telemetry: %v, %v", v, err)
		}
		whole := m.naive().Hash()
		m.logs[5][0].Data[0] ^= 0xff
		if _, hash, err := NewReplay(m.model, testNumber, 2, m.stored).To(t.Context(), newPositions(m)); err == nil && hash == whole {
			t.Error("a damaged entry goes unnoticed")
		}
	})
}

func newPositions(m *memory) []uint64 {
	var out []uint64
	for _, l := range m.logs {
		out = append(out, uint64(len(l)))
	}
	return out
}
