package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"sluice.dev/sluice/internal/release"
)

// Feedback is one outcome with its strings, before they have numbers.
type Feedback struct {
	Feedback release.Feedback // Name and Value.Cat are not used
	Name     string
	Text     string // the value as text
}

// ask is something that waits until it is durable.
type ask struct {
	ctx      context.Context
	feedback []Feedback
	size     int // bytes in a batch, at most
	mark     *release.Mark
	done     chan error // receives once; buffered
}

// acceptTime bounds how long an application waits for its feedback to be durable.
const acceptTime = 2 * time.Second

// Accept returns nil when all items are durable. Any error means that the application should send all
// of them again: repeated feedback on an exposure counts once. Errors are of kind unavailable, or
// invalid when an item can never be stored; then none was.
func (p *Publisher) Accept(ctx context.Context, items []Feedback) error {
	ctx, cancel := context.WithTimeout(ctx, acceptTime)
	defer cancel()
	var byPartition [release.Partitions][]Feedback
	for i, f := range items {
		if err := f.check(); err != nil {
			return release.Invalid("store feedback", "item %d: %v", i, err)
		}
		n := release.Partition(f.Feedback.Bin % release.Bins)
		byPartition[n] = append(byPartition[n], f)
	}
	var asks []*ask
	for n, list := range byPartition {
		for len(list) > 0 {
			a := &ask{ctx: ctx, done: make(chan error, 1)}
			list = a.take(list)
			if err := p.ask(ctx, n, a); err != nil {
				return err
			}
			asks = append(asks, a)
		}
	}
	return await(ctx, asks)
}

// take moves as many items into the ask as fit into one batch, at least one, and returns the others.
func (a *ask) take(list []Feedback) []Feedback {
	n := 0
	for n < len(list) && n < release.MaxBatchEvents {
		size := list[n].size()
		if n > 0 && a.size+size > maxFeedbackBytes {
			break
		}
		a.size += size
		n++
	}
	a.feedback = list[:n]
	return list[n:]
}

// size is how many bytes the item takes in a batch at most.
func (f *Feedback) size() int {
	return feedbackBytes + len(f.Name) + min(len(f.Text), release.MaxDictLen) + 2*dictionaryExtra
}

// check says why an item could not be stored: such an item must not take others with it.
func (f *Feedback) check() error {
	switch v := &f.Feedback.Value; {
	case f.Name == "" || len(f.Name) > release.MaxDictLen:
		return fmt.Errorf("its name has %d bytes, 1 to %d are allowed", len(f.Name), release.MaxDictLen)
	case v.Kind == release.ValueCategory && f.Text == "":
		return errors.New("its text is empty")
	case v.Kind == release.ValueNumber && (math.IsNaN(v.Num) || math.IsInf(v.Num, 0)):
		return errors.New("its value is not a finite number")
	case v.Kind > release.ValueCategory || f.Feedback.Bin >= release.Bins || f.Feedback.Arm >= release.MaxArms:
		return errors.New("a field is out of its range")
	}
	return nil
}

// Mark writes a mark into every partition's log. It returns nil when all have it; repeating a mark
// does no harm.
func (p *Publisher) Mark(ctx context.Context, m release.Mark) error {
	text, err := json.Marshal(m.Baseline)
	if err != nil || len(text) > maxMarkBytes {
		// It could never be stored, and would take the telemetry of its batch with it.
		return release.Invalid("store a mark", "its baseline has no JSON form, or one of more than %d bytes: %v", maxMarkBytes, err)
	}
	var asks []*ask
	for n := range p.partitions {
		a := &ask{ctx: ctx, mark: &m, size: len(text) + markBytes, done: make(chan error, 1)}
		if err := p.ask(ctx, n, a); err != nil {
			return err
		}
		asks = append(asks, a)
	}
	return await(ctx, asks)
}

func (p *Publisher) ask(ctx context.Context, n int, a *ask) error {
	select {
	case p.partitions[n].asks <- a:
		return nil
	case <-ctx.Done():
		return release.Unavailable("store telemetry", ctx.Err(), "the log does not take it").Fix("send it again in a few seconds")
	}
}

func await(ctx context.Context, asks []*ask) error {
	for _, a := range asks {
		select {
		case err := <-a.done:
			if err != nil {
				return release.Unavailable("store telemetry", err, "the log does not take it").Fix("send it again in a few seconds")
			}
		case <-ctx.Done():
			return release.Unavailable("store telemetry", ctx.Err(), "the log does not answer").Fix("send it again in a few seconds")
		}
	}
	return nil
}

// collectAsks takes over what waits, without waiting.
func (p *partition) collectAsks() {
	for {
		select {
		case a := <-p.asks:
			p.pending = append(p.pending, a)
		default:
			return
		}
	}
}

// takeAsks puts as much as fits of what waits into a batch. Who has given up is passed over: the
// application was told to send it again.
func (p *partition) takeAsks(w *builder) []*ask {
	var taken []*ask
	b := &w.batch
	for len(p.pending) > 0 {
		a := p.pending[0]
		if a.ctx.Err() == nil {
			if len(b.Feedback)+len(a.feedback) > release.MaxBatchEvents || w.size+a.size > maxFillBytes || a.mark != nil && len(b.Marks) >= release.MaxBatchMarks {
				break
			}
			w.addAsk(a)
			taken = append(taken, a)
		}
		p.pending = p.pending[1:]
	}
	if len(p.pending) == 0 {
		p.pending = nil
	}
	return taken
}

func (w *builder) addAsk(a *ask) {
	b := &w.batch
	w.size += feedbackBytes * len(a.feedback)
	if a.mark != nil {
		w.size += a.size
		b.Marks = append(b.Marks, *a.mark)
	}
	for _, f := range a.feedback {
		e := f.Feedback
		e.Name = w.word(f.Name)
		if e.Value.Kind == release.ValueCategory {
			// The answer that it may be compared with was cut at the same length.
			e.Value.Cat = w.word(release.PeekText(f.Text, false).Text)
		}
		b.Feedback = append(b.Feedback, e)
	}
}

// refuseAsks tells those who came meanwhile that the log is away, so that they don't all wait for
// their own time to run out.
func (p *partition) refuseAsks(cause error) {
	if cause == nil {
		cause = errors.New("the log is behind")
	}
	p.collectAsks()
	for _, a := range p.pending {
		a.done <- cause
	}
	p.pending = nil
}
