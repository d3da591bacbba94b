package ingest

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// Entry is one entry of a partition's log.
type Entry struct {
	Seq  uint64
	Data []byte
}

// Errors on which a folder branches; app's joint wraps the store's in them.
var (
	// ErrGap says that retention removed entries that were not read yet.
	ErrGap = errors.New("log entries are gone")
	// ErrConflict says that another process replaced a snapshot.
	ErrConflict = errors.New("snapshot conflict")
	// ErrNoSnapshot says that there is none yet.
	ErrNoSnapshot = errors.New("no snapshot")
)

// Source is where a folder reads. Safe for concurrent use.
type Source interface {
	// Read yields the entries of a partition's log after a sequence, then each new one, until ctx ends.
	// ErrGap: some are gone; First says where the rest begins.
	Read(ctx context.Context, partition int, after uint64) iter.Seq2[Entry, error]
	First(ctx context.Context, partition int) (uint64, error)
	// Snapshot and PutSnapshot keep one blob per partition under compare-and-swap.
	Snapshot(ctx context.Context, partition int) (data []byte, revision uint64, err error)
	PutSnapshot(ctx context.Context, partition int, data []byte, expect uint64) (uint64, error)
	// Release returns the frozen model of a release and its number of arms. ok is false for one that
	// is not known or has ended: its events are passed over.
	Release(ctx context.Context, key release.ModelKey, number uint32) (m *release.Model, arms int, ok bool)
}

// ID names a release in events.
type ID struct {
	Key    release.ModelKey
	Number uint32
}

// Folder folds all partitions' logs into tallies.
type Folder struct {
	source Source
	log    *slog.Logger
	every  time.Duration
	parts  [release.Partitions]*folding

	mu    sync.Mutex
	views map[ID]*evidence
}

// NewFolder returns a folder that writes snapshots at most that often, and only when something changed.
func NewFolder(source Source, log *slog.Logger, every time.Duration) *Folder {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f := &Folder{source: source, log: log, every: every, views: map[ID]*evidence{}}
	for i := range f.parts {
		f.parts[i] = &folding{f: f, number: i, tallies: map[ID]*tally.Tally{}, unknown: map[ID]time.Time{}}
	}
	return f
}

// Run folds until ctx ends and then writes last snapshots. It returns the first error after which a
// partition can't go on.
func (f *Folder) Run(ctx context.Context) error {
	errs := make(chan error, len(f.parts))
	var wg sync.WaitGroup
	for _, p := range f.parts {
		wg.Go(func() {
			if err := p.run(ctx); err != nil && ctx.Err() == nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// folding is one partition's reader. mu guards what Folder's views read as well.
type folding struct {
	f      *Folder
	number int

	mu       sync.Mutex
	seq      uint64 // of the last entry that was read
	tallies  map[ID]*tally.Tally
	gap      string         // why the sums are incomplete; "" if they are not
	exposed  map[ID]arrival // of each release
	foldedAt time.Time

	// The reading goroutine's own.
	revision uint64
	saved    uint64 // seq of the last snapshot
	savedAt  time.Time
	batch    release.Batch
	unknown  map[ID]time.Time // releases that were not known, and when that was last asked
}

// arrival is when and how much arrived of a release.
type arrival struct {
	last  time.Time
	count uint64
}

// snapshot is a partition's tallies together with the place in the log that they stand for.
type snapshot struct {
	V       int
	Seq     uint64
	Gap     string
	Tallies []snapshotTally
}

type snapshotTally struct {
	ID   ID
	Data []byte
}

const snapshotVersion = 1

func (p *folding) run(ctx context.Context) error {
	if err := p.load(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		err := p.read(ctx)
		switch {
		case errors.Is(err, ErrGap):
			if err := p.skipGap(ctx); err != nil {
				return err
			}
		case errors.Is(err, ErrConflict):
			return fmt.Errorf("partition %d: another process folds it: %w", p.number, err)
		case err != nil && ctx.Err() == nil:
			p.f.log.Warn("the log can't be read, trying again", "partition", p.number, "error", err)
			pause(ctx, time.Second)
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return p.save(last)
}

// read folds what comes until ctx ends or the log fails. A snapshot is due by time, also while
// nothing comes.
func (p *folding) read(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := make(chan struct{})
	var saver sync.WaitGroup
	saver.Go(func() { p.saveRegularly(ctx, cancel, stop) })
	defer saver.Wait()
	defer close(stop)
	for e, err := range p.f.source.Read(ctx, p.number, p.position()) {
		if err != nil {
			if cause := context.Cause(ctx); errors.Is(cause, ErrConflict) {
				return cause
			}
			return err
		}
		if err := p.fold(ctx, e); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

func (p *folding) position() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seq
}

func (p *folding) saveRegularly(ctx context.Context, cancel context.CancelCauseFunc, stop <-chan struct{}) {
	ticker := time.NewTicker(p.f.every)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		err := p.save(ctx)
		if errors.Is(err, ErrConflict) {
			cancel(err)
			return
		}
		if err != nil && ctx.Err() == nil {
			p.f.log.Warn("a snapshot can't be written, trying again", "partition", p.number, "error", err)
		}
	}
}

// fold adds one entry. An entry that can't be read is passed over and told: it will never be readable.
func (p *folding) fold(ctx context.Context, e Entry) error {
	err := release.DecodeBatch(e.Data, &p.batch)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && e.Seq != p.seq+1 && p.seq != 0 {
		p.gap = fmt.Sprintf("entries %d to %d of partition %d are missing", p.seq+1, e.Seq-1, p.number)
	}
	p.seq = e.Seq
	if err != nil {
		p.gap = fmt.Sprintf("entry %d of partition %d can't be read", e.Seq, p.number)
		p.f.log.Error("an entry of the log can't be read", "partition", p.number, "seq", e.Seq, "error", err)
		return nil
	}
	now := time.Now()
	p.foldedAt = now
	p.open(ctx, now)
	latest := tally.TimeOf(&p.batch)
	for id, t := range p.tallies {
		if !tally.Concerns(&p.batch, id.Key, id.Number) {
			err = t.Skip(e.Seq, &p.batch, latest)
		} else {
			err = t.Fold(e.Seq, &p.batch)
			p.arrived(id, now)
		}
		if err != nil {
			p.f.log.Error("a batch can't be folded", "partition", p.number, "seq", e.Seq, "error", err)
		}
	}
	return nil
}

func (p *folding) arrived(id ID, now time.Time) {
	var n uint64
	for i := range p.batch.Exposures {
		if x := &p.batch.Exposures[i]; x.Model == id.Key && x.Release == id.Number {
			n++
		}
	}
	if n == 0 {
		return
	}
	if p.exposed == nil {
		p.exposed = map[ID]arrival{}
	}
	a := p.exposed[id]
	p.exposed[id] = arrival{last: now, count: a.count + n}
}

// askAgain is how long a release that was not known is not asked for again.
const askAgain = 2 * time.Second

// open begins a tally for each running release that the batch is the first to mention.
func (p *folding) open(ctx context.Context, now time.Time) {
	mention := func(key release.ModelKey, number uint32) {
		id := ID{key, number}
		if number == 0 || p.tallies[id] != nil || now.Sub(p.unknown[id]) < askAgain {
			return
		}
		m, arms, ok := p.f.source.Release(ctx, key, number)
		if !ok {
			if len(p.unknown) > 4096 {
				clear(p.unknown)
			}
			p.unknown[id] = now
			return
		}
		t, err := tally.New(tally.Config{Model: m, Key: key, Number: number, Arms: arms, Partition: p.number})
		if err != nil {
			p.f.log.Error("a release can't be counted", "model", m.Metadata.Name, "release", number, "error", err)
			p.unknown[id] = now
			return
		}
		p.tallies[id] = t
	}
	var last ID
	for i := range p.batch.Exposures {
		e := &p.batch.Exposures[i]
		if (ID{e.Model, e.Release}) != last {
			last = ID{e.Model, e.Release}
			mention(e.Model, e.Release)
		}
	}
	for i := range p.batch.Marks {
		mention(p.batch.Marks[i].Model, p.batch.Marks[i].Release)
	}
}

func (p *folding) load(ctx context.Context) error {
	data, revision, err := p.f.source.Snapshot(ctx, p.number)
	if errors.Is(err, ErrNoSnapshot) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("snapshot of partition %d: %w", p.number, err)
	}
	var s snapshot
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&s); err != nil || s.V != snapshotVersion {
		return release.Internal("read snapshot", err, "the snapshot of partition %d has version %d, this build reads %d", p.number, s.V, snapshotVersion)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, st := range s.Tallies {
		m, arms, ok := p.f.source.Release(ctx, st.ID.Key, st.ID.Number)
		if !ok {
			continue // it has ended meanwhile
		}
		t, err := tally.New(tally.Config{Model: m, Key: st.ID.Key, Number: st.ID.Number, Arms: arms, Partition: p.number})
		if err != nil {
			return err
		}
		if err := t.UnmarshalBinary(st.Data); err != nil {
			return fmt.Errorf("snapshot of partition %d, release %s/%d: %w", p.number, m.Metadata.Name, st.ID.Number, err)
		}
		p.tallies[st.ID] = t
	}
	p.seq, p.saved, p.revision, p.gap = s.Seq, s.Seq, revision, s.Gap
	return nil
}

// save writes a snapshot if there is anything new in it.
func (p *folding) save(ctx context.Context) error {
	s, err := p.freeze()
	if err != nil || s == nil {
		return err
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(s); err != nil {
		return err
	}
	revision, err := p.f.source.PutSnapshot(ctx, p.number, b.Bytes(), p.revision)
	if err != nil {
		return err
	}
	p.revision, p.saved = revision, s.Seq
	return nil
}

func (p *folding) freeze() (*snapshot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seq == p.saved {
		return nil, nil
	}
	s := &snapshot{V: snapshotVersion, Seq: p.seq, Gap: p.gap}
	for id, t := range p.tallies {
		data, err := t.AppendBinary(nil)
		if err != nil {
			return nil, err
		}
		s.Tallies = append(s.Tallies, snapshotTally{ID: id, Data: data})
	}
	return s, nil
}

// skipGap goes on behind entries that are gone, and remembers that the sums are incomplete.
func (p *folding) skipGap(ctx context.Context) error {
	first, err := p.f.source.First(ctx, p.number)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first > p.seq+1 {
		p.gap = fmt.Sprintf("entries %d to %d of partition %d were removed before they were read", p.seq+1, first-1, p.number)
		p.f.log.Error("telemetry was removed before it was read", "partition", p.number, "from", p.seq+1, "to", first-1)
		p.seq = first - 1
	}
	return nil
}
