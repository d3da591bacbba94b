package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

const (
	testModel  = "credit"
	testNumber = uint32(3)
)

var testKey = release.ModelKeyOf(testModel)

func aModel() *release.Model {
	return &release.Model{
		Metadata: release.Metadata{Name: testModel},
		Spec: release.Spec{Metrics: []release.Metric{
			{Name: "errors", Source: "error", Kind: release.MetricEvent, Window: release.Duration(time.Second)},
			{Name: "decision", Source: "json:decision", Kind: release.MetricCategory},
			{Name: "thumbs", Source: "feedback:thumb", Kind: release.MetricProportion, Window: release.Duration(time.Second)},
		}},
	}
}

// memory is the log and the blobs in memory, with faults on demand.
type memory struct {
	mu        sync.Mutex
	changed   chan struct{} // closed and replaced when the log grows
	logs      [release.Partitions][]Entry
	first     [release.Partitions]uint64 // sequence of the oldest entry that is kept
	ids       map[string]bool
	snapshots [release.Partitions][]byte
	revisions [release.Partitions]uint64
	model     *release.Model

	appendFault  func(partition int, id string) (stored bool, err error) // nil: none
	putFault     func(partition int) (stored bool, err error)
	releaseFault func() error
	ended        bool
	appends      int
}

func newMemory() *memory {
	return &memory{changed: make(chan struct{}), ids: map[string]bool{}, model: aModel()}
}

var errAway = errors.New("the store is away")

func (m *memory) Append(ctx context.Context, partition int, id string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	m.appends++
	stored, err := true, error(nil)
	if m.appendFault != nil {
		stored, err = m.appendFault(partition, id)
	}
	if stored && !m.ids[id] {
		m.ids[id] = true
		l := m.logs[partition]
		m.logs[partition] = append(l, Entry{Seq: uint64(len(l)) + 1, Data: bytes.Clone(data)})
		close(m.changed)
		m.changed = make(chan struct{})
	}
	return err
}

func (m *memory) Read(ctx context.Context, partition int, after uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for {
			m.mu.Lock()
			l, first, changed := m.logs[partition], m.first[partition], m.changed
			m.mu.Unlock()
			if after+1 < first {
				yield(Entry{}, ErrGap)
				return
			}
			for after < uint64(len(l)) {
				if !yield(l[after], nil) {
					return
				}
				after++
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
		}
	}
}

func (m *memory) First(_ context.Context, partition int) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.first[partition], nil
}

func (m *memory) Snapshot(_ context.Context, partition int) ([]byte, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.revisions[partition] == 0 {
		return nil, 0, ErrNoSnapshot
	}
	return m.snapshots[partition], m.revisions[partition], nil
}

func (m *memory) PutSnapshot(ctx context.Context, partition int, data []byte, expect uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if m.revisions[partition] != expect {
		return 0, fmt.Errorf("revision %d: %w", m.revisions[partition], ErrConflict)
	}
	stored, err := true, error(nil)
	if m.putFault != nil {
		stored, err = m.putFault(partition)
	}
	if stored {
		m.revisions[partition]++
		m.snapshots[partition] = bytes.Clone(data)
	}
	if err != nil {
		return 0, err
	}
	return m.revisions[partition], nil
}

func (m *memory) Release(_ context.Context, key release.ModelKey, number uint32) (*release.Model, int, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.releaseFault != nil {
		if err := m.releaseFault(); err != nil {
			return nil, 0, false, err
		}
	}
	return m.model, 2, key == testKey && number == testNumber && !m.ended, nil
}

func (m *memory) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// naive folds all logs from their beginnings.
func (m *memory) naive() *tally.View {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ts []*tally.Tally
	for p := range m.logs {
		t, err := tally.New(tally.Config{Model: m.model, Key: testKey, Number: testNumber, Arms: 2, Partition: p})
		if err != nil {
			panic(err)
		}
		opened := false
		for _, e := range m.logs[p] {
			var b release.Batch
			if err := release.DecodeBatch(e.Data, &b); err != nil {
				panic(err)
			}
			opened = opened || tally.Concerns(&b, testKey, testNumber)
			if opened {
				if err := t.Fold(e.Seq, &b); err != nil {
					panic(err)
				}
			}
		}
		if opened {
			ts = append(ts, t)
		}
	}
	return tally.Merge(ts...)
}

// batches decodes everything in a partition's log.
func (m *memory) batches(partition int) (out []release.Batch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.logs[partition] {
		var b release.Batch
		if err := release.DecodeBatch(e.Data, &b); err != nil {
			panic(err)
		}
		out = append(out, b)
	}
	return out
}

// exposure is the n-th of a made-up traffic of returning units.
func exposure(n int) release.Exposure {
	unit := uint64(n % 97)
	e := release.Exposure{
		ID: uint64(n) + 1, Unit: unit + 1, Time: time.Now().UnixMilli(), Model: testKey, Release: testNumber, Stratum: 1,
		Bin: uint16(unit * 11 % release.Bins), Arm: uint8(unit % 2), Latency: uint32(100 + n%50), N: 1,
	}
	if n%13 == 0 {
		e.Fault = release.FaultUpstream
	}
	return e
}

func totals(v *tally.View) (exposures, seen, dropped uint64) {
	if v == nil {
		return 0, 0, 0
	}
	for _, s := range v.Strata {
		for _, a := range s.Arms {
			exposures, seen, dropped = exposures+a.Exposures, seen+a.Seen, dropped+a.Dropped
		}
	}
	return exposures, seen, dropped
}
