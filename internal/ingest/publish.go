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
	Ring        int // exposures per partition that may wait in memory; default 8,192
	// Every is the time between two batches of a partition that have room left; default 500 ms. A crash loses the exposures of at most
	// that long. Each batch is made durable by itself, so this is what telemetry costs; a verdict is that much later, feedback is not: it
	// is never kept waiting. The partitions' batches are stored at the same moment: sixteen syncs at once cost half of sixteen in turn.
	Every      time.Duration
	Attempt    time.Duration // that one attempt to store a batch may take; default 5 s
	Patience   time.Duration // before a batch that the log does not take is spooled; default 1 s
	SpoolDir   string        // folder for what the log does not take; "": none, the ring is all there is
	SpoolBytes int64         // that the spool may hold in all; default 1 GiB
}

// Publisher brings exposures, feedback and marks into the log. Record and Category never block; the
// rest is done by one goroutine per partition, which Run starts.
type Publisher struct {
	o          Options
	partitions [release.Partitions]*partition
	dropped    atomic.Uint64
}

// NewPublisher returns a publisher; nothing reaches the log before Run.
func NewPublisher(o Options) *Publisher {
	o.defaults()
	p := &Publisher{o: o}
	free := make(builders, 2)
	for i := range p.partitions {
		p.partitions[i] = newPartition(i, o, free)
	}
	return p
}

func (o *Options) defaults() {
	if o.Ring <= 0 {
		o.Ring = 8192
	}
	if o.Every <= 0 {
		o.Every = 500 * time.Millisecond
	}
	if o.Attempt <= 0 {
		o.Attempt = 5 * time.Second
	}
	if o.Patience <= 0 {
		o.Patience = time.Second
	}
	if o.SpoolBytes <= 0 {
		o.SpoolBytes = 1 << 30
	}
	if o.Interner == nil {
		o.Interner = NewInterner()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
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
	if pos%part.look == 0 && pos-part.taken.Load() >= uint64(part.full) {
		p.flush()
	}
}

// flush wakes all partitions before their time, because the ring of one of them fills: what the others have by now is better stored at
// the same moment, see Options.Every.
func (p *Publisher) flush() {
	for _, part := range p.partitions {
		part.nudge()
	}
}

// State is how full the publisher is.
type State struct {
	Queued   int    // exposures in memory
	Capacity int    // of them
	Dropped  uint64 // exposures that found no room
	Recorded uint64
	Spooled  int64 // bytes that wait on disk
}

// State reports how full the publisher is. Safe for concurrent use.
func (p *Publisher) State() State {
	s := State{Dropped: p.dropped.Load()}
	for _, part := range p.partitions {
		taken := part.taken.Load() // before the tail, which never lies behind it
		tail := part.ring.tail.Load()
		s.Recorded += tail
		s.Capacity += len(part.ring.slots)
		s.Queued += int(tail - taken)
		s.Dropped += part.lost.Load()
		s.Spooled += part.spooled.Load()
	}
	return s
}

// Run publishes until ctx ends, and then what is left, for as long as drain allows; the rest goes to the
// spool. What an earlier process spooled is sent first. The error is of a spool that can't be opened.
func (p *Publisher) Run(ctx context.Context, drain time.Duration) error {
	if p.o.SpoolDir != "" {
		for i, part := range p.partitions {
			s, err := openSpool(p.o.SpoolDir, i, p.o.SpoolBytes/release.Partitions)
			if err != nil {
				return err
			}
			part.spool = s
			part.spooled.Store(s.size())
		}
	}
	errs := make([]error, len(p.partitions))
	var wg sync.WaitGroup
	for i, part := range p.partitions {
		wg.Go(func() {
			part.run(ctx, drain)
			errs[i] = part.spool.close()
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// partition publishes one partition's telemetry.
type partition struct {
	number int
	o      Options
	ring   *ring
	full   int    // exposures that are not kept waiting any longer
	look   uint64 // after how many a writer compares; a power of two
	wake   chan struct{}
	asks   chan *ask

	taken   atomic.Uint64 // ring.head, for State
	lost    atomic.Uint64 // exposures that were taken out of the ring and found no room, for State
	spooled atomic.Int64  // bytes, for State

	mu    sync.Mutex // held to count a drop
	drops map[armKey]uint64

	// The publishing goroutine's own.
	seq       uint64
	accounts  map[armKey]*account
	latest    *account // the one that was asked for last; nil: none
	latestKey armKey
	free      builders
	data      []byte // the present batch, encoded
	exposures int    // in it
	pending   []*ask
	spool     *spool
	away      error     // why the log did not take a spooled batch
	retry     time.Time // when it is asked again
	wait      time.Duration
}

func newPartition(n int, o Options, free builders) *partition {
	p := &partition{
		number: n, o: o, ring: newRing(o.Ring), free: free,
		wake: make(chan struct{}, 1), asks: make(chan *ask, 1024),
		drops: map[armKey]uint64{}, accounts: map[armKey]*account{},
	}
	p.full = max(1, len(p.ring.slots)/4)
	p.look = uint64(max(1, p.full/16))
	return p
}

func (p *partition) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// linger is how long feedback waits for company before it is made durable.
const linger = 5 * time.Millisecond

// run publishes until ctx ends and what is left after it. A batch that is under way when ctx ends has the
// time of the drain as well.
func (p *partition) run(ctx context.Context, drain time.Duration) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		pause(work, drain)
		cancel()
	})()
	begin := time.Now()
	ticker := time.NewTicker(p.o.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			p.finish(work)
			return
		case <-ticker.C:
		case <-p.wake:
			if p.backlog() < p.full/2 {
				continue // another partition was full, or this one has been emptied meanwhile
			}
		case a := <-p.asks:
			p.pending = append(p.pending, a)
			pause(ctx, linger-time.Since(begin)%linger) // so that partitions with feedback are stored at the same moment, too
		}
		for p.publish(work) && ctx.Err() == nil {
		}
	}
}

// finish publishes what is left after a stop, until the ring is empty or the time is over; then what
// is still there is spooled.
func (p *partition) finish(work context.Context) {
	p.retry = time.Time{}
	for more := true; more; {
		p.publish(work)
		more = p.backlog() > 0 || len(p.pending) > 0
	}
	p.refuseAsks(errors.New("the gateway stops"))
}

// backlog is how many exposures wait.
func (p *partition) backlog() int {
	return int(p.ring.tail.Load() - p.ring.head)
}

// publish makes and stores one batch, if there is anything to tell, and says whether there is enough
// for another at once.
func (p *partition) publish(ctx context.Context) bool {
	p.sendSpooled(ctx)
	p.collectAsks()
	if p.spool.waiting() {
		// Batches must arrive in the order of their numbers: new ones go behind the spooled ones, which
		// can't be called durable.
		p.refuseAsks(p.away)
	}
	told, err := p.make()
	if p.exposures == 0 && len(told) == 0 {
		return false
	}
	if err == nil {
		err = p.store(ctx)
	}
	for _, a := range told {
		a.done <- err
	}
	return (err == nil || p.spool.waiting()) && (p.backlog() >= p.full || len(p.pending) > 0)
}

// make encodes a batch of what waits. A batch that can't be encoded is lost.
func (p *partition) make() ([]*ask, error) {
	w := p.free.get()
	defer p.free.put(w)
	told := p.fill(w)
	b := &w.batch
	p.exposures = len(b.Exposures)
	if p.exposures == 0 && len(told) == 0 {
		return nil, nil
	}
	b.Producer, b.Incarnation, b.Seq = p.o.Producer, p.o.Incarnation, p.seq+1
	data, err := b.AppendBinary(p.data[:0])
	p.data = data
	if err != nil {
		p.o.Logger.Error("a batch of telemetry can't be encoded and is lost", "partition", p.number, "events", p.exposures, "error", err)
		p.lose()
	}
	return told, err
}

// store makes the present batch durable, or spools it when the log stays away. Its error is nil only if the log
// has it.
func (p *partition) store(ctx context.Context) (err error) {
	id := fmt.Sprintf("%s/%x/%d/%d", p.o.Producer, p.o.Incarnation, p.number, p.seq+1)
	if !p.spool.waiting() {
		if err = p.append(ctx, id, p.data); err == nil {
			p.seq++
			return nil
		}
		p.away = err
	}
	if p.spool == nil {
		p.lose() // only at the end: without a spool append tries for ever
		return p.away
	}
	if err := p.spool.put(id, p.data); err != nil {
		if !errors.Is(err, errSpoolFull) {
			p.o.Logger.Error("telemetry can't be spooled and is lost", "partition", p.number, "events", p.exposures, "error", err)
		}
		p.lose()
		return errors.Join(p.away, err)
	}
	p.seq++
	p.spooled.Store(p.spool.size())
	return p.away
}

// append stores a batch, trying again with the same id: for ever, or until the spool may take it.
func (p *partition) append(ctx context.Context, id string, data []byte) error {
	start := time.Now()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := p.attempt(ctx, id, data)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if p.spool != nil && time.Since(start) >= p.o.Patience {
			p.o.Logger.Warn("telemetry can't be stored and is spooled", "partition", p.number, "error", err)
			p.retry, p.wait = time.Now().Add(wait), wait
			return err
		}
		p.o.Logger.Debug("telemetry can't be stored, trying again", "partition", p.number, "error", err)
		p.refuseAsks(err)
		pause(ctx, wait)
	}
}

func (p *partition) attempt(ctx context.Context, id string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, p.o.Attempt)
	defer cancel()
	return p.o.Log.Append(ctx, p.number, id, data)
}

// sendSpooled sends spooled batches while the log takes them.
func (p *partition) sendSpooled(ctx context.Context) {
	for p.spool.waiting() && !time.Now().Before(p.retry) && p.backlog() < len(p.ring.slots)/2 {
		id, data, next, err := p.spool.oldest()
		if err != nil {
			p.o.Logger.Error("spooled telemetry can't be read and is lost", "partition", p.number, "bytes", p.spool.size(), "error", err)
			if err := p.spool.clear(); err != nil {
				p.o.Logger.Error("the spool can't be cut", "partition", p.number, "error", err)
			}
			break
		}
		if err := p.attempt(ctx, id, data); err != nil {
			p.away = err
			p.wait = min(max(2*p.wait, 50*time.Millisecond), 2*time.Second)
			p.retry = time.Now().Add(p.wait)
			break
		}
		p.wait = 0
		if err := p.spool.drop(next); err != nil {
			p.o.Logger.Error("the spool can't be cut", "partition", p.number, "error", err)
		}
		if !p.spool.waiting() {
			p.o.Logger.Info("spooled telemetry is stored", "partition", p.number)
		}
	}
	p.spooled.Store(p.spool.size())
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
