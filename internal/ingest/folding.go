package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// folding is one partition's reader. mu guards what Folder's views read as well.
type folding struct {
	f      *Folder
	number int

	mu      sync.Mutex
	seq     uint64 // of the last entry that was read
	bytes   uint64 // of the entries that were
	tallies map[ID]*folded

	// The reading goroutine's own.
	batch   release.Batch
	ids     []ID             // releases that the batch mentions
	unknown map[ID]time.Time // releases that were not known, and when that was last asked
	gap     string           // the latest gap, in words
	gapTo   int64            // the log's time until which a release that shows up may have begun in it

	saver saver
}

// folded is one release's tally with what is known of its telemetry.
type folded struct {
	tally *tally.Tally
	gap   gap
	count uint64    // exposures since the process began
	last  time.Time // when the latest exposure was folded
	size  int       // of its latest snapshot
}

// gap is a hole in the telemetry that makes a stratum incomplete. It is over when the next one opens.
type gap struct {
	words   string // "": none
	stratum uint16 // the incomplete one; 0: the first to show up after the hole
}

// now returns the words of the gap while it matters.
func (x *folded) now() string {
	if x.gap.words != "" && (x.gap.stratum == 0 || x.gap.stratum == x.tally.LastStratum()) {
		return x.gap.words
	}
	return ""
}

func newFolding(f *Folder, number int) *folding {
	p := &folding{f: f, number: number, tallies: map[ID]*folded{}, unknown: map[ID]time.Time{}}
	p.saver.p = p
	return p
}

// again is how long a store that is away is left alone.
const again = 500 * time.Millisecond

// run folds until ctx ends. Its error wraps ErrConflict.
func (p *folding) run(ctx context.Context) error {
	if p.load(ctx) != nil {
		return nil // stopped before anything was folded
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var conflict error
	var saving sync.WaitGroup
	saving.Go(func() {
		conflict = p.saver.run(ctx)
		cancel()
	})
	for ctx.Err() == nil {
		err := p.read(ctx)
		if errors.Is(err, ErrGap) {
			err = p.skipGap(ctx)
		}
		if err != nil && ctx.Err() == nil {
			p.f.log.Warn("the log can't be read, trying again", "partition", p.number, "error", err)
			pause(ctx, again)
		}
	}
	saving.Wait()
	if conflict != nil {
		return fmt.Errorf("partition %d: another process folds it: %w", p.number, conflict)
	}
	return nil
}

// read folds what comes until ctx ends or the log fails.
func (p *folding) read(ctx context.Context) error {
	for e, err := range p.f.source.Read(ctx, p.number, p.position()) {
		if err != nil {
			return err
		}
		if err := p.fold(ctx, e); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (p *folding) position() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seq
}

// fold adds one entry. An entry that can't be decoded is passed over and told: it never can be.
func (p *folding) fold(ctx context.Context, e Entry) error {
	before := p.position()
	if e.Seq <= before {
		return nil
	}
	damaged := release.DecodeBatch(e.Data, &p.batch)
	opened := map[ID]*folded{}
	if damaged == nil {
		clampTimes(&p.batch, e.Time)
		p.mentions()
		if err := p.open(ctx, opened); err != nil {
			return err
		}
	}
	var latest int64
	if damaged == nil {
		latest = tally.TimeOf(&p.batch)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if before > 0 && e.Seq != before+1 {
		p.tellGap(latest, "entries %d to %d of partition %d are missing", before+1, e.Seq-1, p.number)
	}
	p.seq, p.bytes = e.Seq, p.bytes+uint64(len(e.Data))
	if damaged != nil {
		p.tellGap(latest, "entry %d of partition %d can't be read: %v", e.Seq, p.number, damaged)
		return nil
	}
	if p.gapTo == gapOpen {
		p.gapTo = latest + beganInGap
	}
	for id, x := range opened {
		if latest <= p.gapTo {
			x.gap = gap{words: p.gap}
		}
		p.tallies[id] = x
	}
	p.foldAll(e.Seq, latest)
	return nil
}

func (p *folding) foldAll(seq uint64, latest int64) {
	now := time.Now()
	for id, x := range p.tallies {
		if !slices.Contains(p.ids, id) {
			if err := x.tally.Skip(seq, &p.batch, latest); err != nil {
				p.f.log.Error("a batch can't be passed over", "partition", p.number, "seq", seq, "error", err)
			}
			continue
		}
		if err := x.tally.Fold(seq, &p.batch); err != nil {
			p.f.log.Error("a batch can't be folded", "partition", p.number, "seq", seq, "error", err)
			continue
		}
		if n := exposuresOf(&p.batch, id); n > 0 {
			x.count, x.last = x.count+n, now
			if x.gap.words != "" && x.gap.stratum == 0 {
				x.gap.stratum = x.tally.LastStratum()
			}
		}
	}
}

func exposuresOf(b *release.Batch, id ID) (n uint64) {
	for i := range b.Exposures {
		if x := &b.Exposures[i]; x.Model == id.Key && x.Release == id.Number {
			n++
		}
	}
	return n
}

// maxAhead is how far a gateway's clock may run ahead of the log's.
const maxAhead = time.Minute

// clampTimes pulls times that a gateway with a wrong clock wrote into the future back to when the log
// stored them: they would end every other exposure's window at once. The same entry is always clamped
// in the same way.
func clampTimes(b *release.Batch, stored time.Time) {
	if stored.IsZero() {
		return
	}
	now := stored.UnixMilli()
	most := now + maxAhead.Milliseconds()
	for i := range b.Exposures {
		if b.Exposures[i].Time > most {
			b.Exposures[i].Time = now
		}
	}
	for i := range b.Feedback {
		if f := &b.Feedback[i]; f.Time > most {
			f.Time, f.Exposed = now, min(f.Exposed, now)
		}
	}
}

// mentions lists the releases that the batch has events, counts or marks of.
func (p *folding) mentions() {
	p.ids = p.ids[:0]
	var last ID
	mention := func(key release.ModelKey, number uint32) {
		id := ID{key, number}
		if id != last && number != 0 && !slices.Contains(p.ids, id) {
			p.ids = append(p.ids, id)
		}
		last = id
	}
	for i := range p.batch.Exposures {
		mention(p.batch.Exposures[i].Model, p.batch.Exposures[i].Release)
	}
	for i := range p.batch.Feedback {
		mention(p.batch.Feedback[i].Model, p.batch.Feedback[i].Release)
	}
	for i := range p.batch.Counts {
		mention(p.batch.Counts[i].Model, p.batch.Counts[i].Release)
	}
	for i := range p.batch.Marks {
		mention(p.batch.Marks[i].Model, p.batch.Marks[i].Release)
	}
}

// askAgain is how long a release that was not known is not asked for again.
const askAgain = 2 * time.Second

// open begins a tally for each running release that the batch is the first to mention. It waits for a
// store that is away, because events that are passed over are lost.
func (p *folding) open(ctx context.Context, into map[ID]*folded) error {
	for _, id := range p.ids {
		p.mu.Lock()
		known := p.tallies[id] != nil
		p.mu.Unlock()
		if known || time.Since(p.unknown[id]) < askAgain {
			continue
		}
		t, err := p.newTally(ctx, id)
		if err != nil {
			return err
		}
		if t == nil {
			if len(p.unknown) > 4096 {
				clear(p.unknown)
			}
			p.unknown[id] = time.Now()
			continue
		}
		into[id] = &folded{tally: t}
	}
	return nil
}

// newTally returns an empty tally; nil for a release that is not counted. The error is ctx's.
func (p *folding) newTally(ctx context.Context, id ID) (*tally.Tally, error) {
	for {
		m, arms, ok, err := p.f.source.Release(ctx, id.Key, id.Number)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			p.f.log.Warn("a release can't be read, trying again", "partition", p.number, "release", id.Number, "error", err)
			pause(ctx, again)
			continue
		case !ok:
			return nil, nil //nolint:nilnil // nothing to count is no fault
		}
		t, err := tally.New(tally.Config{Model: m, Key: id.Key, Number: id.Number, Arms: arms, Partition: p.number})
		if err != nil {
			p.f.log.Error("a release can't be counted", "model", m.Metadata.Name, "release", id.Number, "error", err)
			return nil, nil //nolint:nilnil // it never can be: told once per askAgain
		}
		return t, nil
	}
}

// beganInGap is how long after a gap, in the log's time (ms), a release that shows up first is taken to
// have begun in it.
const beganInGap = 60_000

// gapOpen says that nothing was read since the gap.
const gapOpen = -1

// tellGap remembers a hole for every release that is being counted. p.mu is held.
func (p *folding) tellGap(latest int64, format string, args ...any) {
	p.gap, p.gapTo = fmt.Sprintf(format, args...), gapOpen
	if latest > 0 {
		p.gapTo = latest + beganInGap
	}
	p.f.log.Error("telemetry is incomplete", "partition", p.number, "gap", p.gap)
	for _, x := range p.tallies {
		x.gap = gap{words: p.gap}
	}
}

// skipGap goes on behind entries that are gone.
func (p *folding) skipGap(ctx context.Context) error {
	first, err := p.f.source.First(ctx, p.number)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if first > p.seq+1 {
		p.tellGap(0, "entries %d to %d of partition %d were removed before they were read", p.seq+1, first-1, p.number)
		p.seq = first - 1
	}
	return nil
}
