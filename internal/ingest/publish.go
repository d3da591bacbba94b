package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"sluice.dev/sluice/internal/release"
)

// Log is where batches become durable. Append returns nil only then; a repeated id within a minute
// or more is stored once. Safe for concurrent use.
type Log interface {
	Append(ctx context.Context, partition int, id string, data []byte) error
}

// Options of a publisher. Log, Producer and Incarnation are required.
type Options struct {
	Log         Log
	Producer    string // name of this gateway, the same after a restart
	Incarnation uint64 // different after each restart
	Interner    *Interner
	Logger      *slog.Logger
	Ring        int           // exposures per partition that may wait; default 8,192
	Every       time.Duration // between two batches of a partition that have room left; default 100 ms
}

// Publisher brings exposures, feedback and marks into the log. Record and Category never block; the
// rest is done by one goroutine per partition, which Run starts.
type Publisher struct {
	o          Options
	partitions [release.Partitions]*partition
	dropped    atomic.Uint64
	recorded   atomic.Uint64
}

// NewPublisher returns a publisher; nothing reaches the log before Run.
func NewPublisher(o Options) *Publisher {
	if o.Ring <= 0 {
		o.Ring = 8192
	}
	if o.Every <= 0 {
		o.Every = 100 * time.Millisecond
	}
	if o.Interner == nil {
		o.Interner = NewInterner()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Publisher{o: o}
	for i := range p.partitions {
		p.partitions[i] = newPartition(i, o)
	}
	return p
}

// Category numbers the text of a category; see Interner.
func (p *Publisher) Category(model release.ModelKey, signal int, text []byte) uint32 {
	return p.o.Interner.Category(model, signal, text)
}

// Record takes one exposure, or drops and counts it when its partition is too far behind. It copies
// e, never blocks and allocates nothing.
func (p *Publisher) Record(e *release.Exposure) {
	part := p.partitions[release.Partition(e.Bin%release.Bins)]
	pos, ok := part.ring.put(e)
	if !ok {
		p.dropped.Add(1)
		part.drop(e)
		return
	}
	p.recorded.Add(1)
	if pos%wakeEvery == wakeEvery-1 {
		part.nudge()
	}
}

// wakeEvery is after how many exposures a publisher is woken before its time.
const wakeEvery = release.MaxBatchEvents / 2

// State is how full the publisher is.
type State struct {
	Queued   int
	Capacity int
	Dropped  uint64
	Recorded uint64
}

// State reports how full the publisher is.
func (p *Publisher) State() State {
	s := State{Dropped: p.dropped.Load(), Recorded: p.recorded.Load()}
	for _, part := range p.partitions {
		s.Capacity += len(part.ring.slots)
		s.Queued += int(part.ring.tail.Load() - part.taken.Load())
	}
	return s
}

// Run publishes until ctx ends, and then what is left, for as long as drain allows.
func (p *Publisher) Run(ctx context.Context, drain time.Duration) {
	var wg sync.WaitGroup
	for _, part := range p.partitions {
		wg.Go(func() { part.run(ctx, drain) })
	}
	wg.Wait()
}

// partition publishes one partition's telemetry.
type partition struct {
	number int
	o      Options
	ring   *ring
	wake   chan struct{}
	asks   chan *ask
	taken  atomic.Uint64 // ring.head, for State

	mu    sync.Mutex // held to count a drop
	drops map[armKey]uint64

	// The publishing goroutine's own.
	seq      uint64
	accounts map[armKey]*release.ArmCount
	buf      []release.Exposure
	batch    release.Batch
	data     []byte
	dict     map[uint32]uint32 // interned number -> number in the batch
	words    map[string]uint32
	pending  []*ask
}

type armKey struct {
	model   release.ModelKey
	release uint32
	stratum uint16
	arm     uint8
}

func keyOf(e *release.Exposure) armKey { return armKey{e.Model, e.Release, e.Stratum, e.Arm} }

func newPartition(n int, o Options) *partition {
	return &partition{
		number: n, o: o, ring: newRing(o.Ring),
		wake: make(chan struct{}, 1), asks: make(chan *ask, 1024),
		drops: map[armKey]uint64{}, accounts: map[armKey]*release.ArmCount{},
		buf:  make([]release.Exposure, release.MaxBatchEvents),
		dict: map[uint32]uint32{}, words: map[string]uint32{},
	}
}

func (p *partition) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *partition) drop(e *release.Exposure) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drops[keyOf(e)]++
}

// linger is how long feedback waits for company before it is made durable.
const linger = 5 * time.Millisecond

func (p *partition) run(ctx context.Context, drain time.Duration) {
	ticker := time.NewTicker(p.o.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			p.finish(ctx, drain)
			return
		case <-ticker.C:
		case <-p.wake:
		case a := <-p.asks:
			p.pending = append(p.pending, a)
			pause(ctx, linger)
		}
		for p.publish(ctx) {
		}
	}
}

// finish publishes what is left after a stop.
func (p *partition) finish(ctx context.Context, drain time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	for p.publish(ctx) {
	}
}

// publish makes and appends one batch, and says whether there is more.
func (p *partition) publish(ctx context.Context) bool {
	p.collectAsks()
	b := &p.batch
	b.Exposures, b.Feedback, b.Marks = b.Exposures[:0], b.Feedback[:0], b.Marks[:0]
	b.Dict, b.Counts = b.Dict[:0], b.Counts[:0]
	clear(p.dict)
	clear(p.words)
	told := p.takeAsks(b)
	n := p.ring.take(p.buf[:release.MaxBatchEvents-len(b.Feedback)])
	p.taken.Store(p.ring.head)
	for i := range n {
		p.addExposure(b, &p.buf[i])
	}
	p.addDrops()
	if n == 0 && len(told) == 0 {
		return false
	}
	p.addCounts(b)
	err := p.append(ctx, b)
	for _, a := range told {
		a.done <- err
	}
	return err == nil && (n > 0 || len(p.pending) > 0)
}

func (p *partition) addExposure(b *release.Batch, e *release.Exposure) {
	for i := range e.Values[:e.N] {
		if v := &e.Values[i]; v.Kind == release.ValueCategory {
			v.Cat = p.local(b, v.Cat)
		}
	}
	b.Exposures = append(b.Exposures, *e)
	p.account(keyOf(e)).Seen++
}

// local returns the number of an interned text in this batch's dictionary.
func (p *partition) local(b *release.Batch, id uint32) uint32 {
	if n, ok := p.dict[id]; ok {
		return n
	}
	n := p.word(b, p.o.Interner.text(id))
	p.dict[id] = n
	return n
}

func (p *partition) word(b *release.Batch, text string) uint32 {
	if n, ok := p.words[text]; ok {
		return n
	}
	n := uint32(len(b.Dict))
	b.Dict = append(b.Dict, text)
	p.words[text] = n
	return n
}

func (p *partition) account(k armKey) *release.ArmCount {
	c := p.accounts[k]
	if c == nil {
		c = &release.ArmCount{Model: k.model, Release: k.release, Stratum: k.stratum, Arm: k.arm}
		p.accounts[k] = c
	}
	return c
}

// addDrops moves what was dropped since the last batch into the cumulative accounts.
func (p *partition) addDrops() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, n := range p.drops {
		c := p.account(k)
		c.Seen += n
		c.Dropped += n
		delete(p.drops, k)
	}
}

// addCounts tells the accounts of the arms that this batch is about, and of those that lost something:
// their losses must be known even if nothing of theirs arrives any more.
func (p *partition) addCounts(b *release.Batch) {
	about := map[armKey]bool{}
	for i := range b.Exposures {
		about[keyOf(&b.Exposures[i])] = true
	}
	for k, c := range p.accounts {
		if (about[k] || c.Dropped > 0) && len(b.Counts) < release.MaxBatchCounts {
			b.Counts = append(b.Counts, *c)
		}
	}
	if len(p.accounts) > maxAccounts {
		p.forget(about)
	}
}

// maxAccounts bounds the accounts of strata that are over.
const maxAccounts = 1024

func (p *partition) forget(about map[armKey]bool) {
	for k := range p.accounts {
		if !about[k] {
			delete(p.accounts, k)
		}
	}
}

// append makes the batch durable, trying again with the same id until it is or ctx ends. Only a batch
// that can never be encoded is given up, and counted.
func (p *partition) append(ctx context.Context, b *release.Batch) error {
	b.Producer, b.Incarnation, b.Seq = p.o.Producer, p.o.Incarnation, p.seq+1
	data, err := b.AppendBinary(p.data[:0])
	p.data = data
	if err != nil {
		p.o.Logger.Error("a batch of telemetry can't be encoded and is lost", "partition", p.number, "events", len(b.Exposures), "error", err)
		for i := range b.Exposures {
			p.account(keyOf(&b.Exposures[i])).Dropped++
		}
		return err
	}
	id := fmt.Sprintf("%s/%x/%d/%d", p.o.Producer, p.o.Incarnation, p.number, b.Seq)
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := p.o.Log.Append(ctx, p.number, id, data)
		if err == nil {
			p.seq++
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		p.o.Logger.Warn("telemetry can't be stored, trying again", "partition", p.number, "error", err)
		p.refuseAsks(err)
		pause(ctx, wait)
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
