package records

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/looks"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
)

func looksBlob(name string, n uint32) string { return fmt.Sprintf("looks/%s/%09d", name, n) }

func chunkBlob(name string, n uint32, level int, number uint64) string {
	return fmt.Sprintf("looks/%s/%09d/%d/%d", name, n, level, number)
}

// maxPending bounds the looks of one release that wait in memory for a store that is away. Then every second
// one goes: a picture with fewer points is better than one that ends.
const maxPending = 1024

// recorder gathers the looks of the releases that this process judges until KeepLooks stores them.
type recorder struct {
	mu   sync.Mutex
	open map[string]*gathered // by stateKey; guarded by mu, contents too

	keeping sync.Mutex // one KeepLooks at a time
}

// gathered is the part of one release's history that is not stored yet.
type gathered struct {
	model   string
	number  uint32
	count   uint64 // looks that are stored, as far as is known
	last    looks.Look
	pending []looks.Look
	ended   bool
}

// see notes what a tick knew of a release. Looks that say nothing new are further apart than looks at which
// something was decided or a verdict's state changed.
func (r *recorder) see(before, after rollout.State, in rollout.Input, decided bool) {
	if in.Tick == nil || in.Tick.Assessment == nil || len(in.Tick.Assessment.Verdicts) == 0 {
		if after.Phase.Ended() {
			r.end(after)
		}
		return
	}
	look := lookOf(in.Now, in.Tick.Assessment)
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.of(before)
	if !decided && !g.wants(look) {
		return
	}
	if len(g.pending) == maxPending {
		g.pending = halve(g.pending)
	}
	g.pending, g.last, g.ended = append(g.pending, look), look, after.Phase.Ended()
}

// end lets KeepLooks forget a release that a person ended.
func (r *recorder) end(s rollout.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g := r.open[stateKey(s.Model, s.Number)]; g != nil {
		g.ended = true
	}
}

// of is called with mu held.
func (r *recorder) of(s rollout.State) *gathered {
	key := stateKey(s.Model, s.Number)
	g := r.open[key]
	if g == nil {
		g = &gathered{model: s.Model, number: s.Number}
		r.open[key] = g
	}
	return g
}

// wants says whether a look that decided nothing is worth keeping.
func (g *gathered) wants(l looks.Look) bool {
	if g.last.Time == 0 {
		return true
	}
	after := time.Duration(l.Time-g.last.Time) * time.Millisecond
	if after <= 0 || len(l.Points) != len(g.last.Points) {
		return after > 0
	}
	news := l.Live != g.last.Live || l.Candidate != g.last.Candidate
	for i, p := range l.Points {
		was := g.last.Points[i]
		if p.State != was.State {
			return true
		}
		news = news || p.LiveN != was.LiveN || p.CandidateN != was.CandidateN
	}
	return news && after >= looks.Spacing(g.count)
}

// halve drops every second look but the latest.
func halve(all []looks.Look) []looks.Look {
	out := make([]looks.Look, 0, maxPending)
	for i := (len(all) - 1) % 2; i < len(all); i += 2 {
		out = append(out, all[i])
	}
	return out
}

func lookOf(now time.Time, a *judge.Assessment) looks.Look {
	out := looks.Look{Time: now.UnixMilli(), Points: make([]looks.Point, 0, len(a.Verdicts))}
	for arm, n := range a.Total {
		if arm == 0 {
			out.Live = n
		} else {
			out.Candidate += n
		}
	}
	for i := range a.Verdicts {
		out.Points = append(out.Points, pointOf(&a.Verdicts[i]))
	}
	return out
}

func pointOf(v *judge.Verdict) looks.Point {
	p := looks.Point{
		Metric: v.Metric, Arm: v.Arm, State: string(v.State), Unit: v.Unit, Estimate: v.Estimate, Lo: v.Lo, Hi: v.Hi,
		Live: v.Live.Value, Candidate: v.Candidate.Value, LnHarm: v.LnHarm, LnNoWorse: v.LnNoWorse, LnBetter: v.LnBetter,
		LiveN: v.Live.Exposures, CandidateN: v.Candidate.Exposures,
	}
	if v.Level == 0 {
		p.Lo, p.Hi = math.NaN(), math.NaN()
	}
	return p
}

// KeepLooks stores the looks that were gathered since the last call. What can't be stored waits for the
// next. Safe for concurrent use; several processes on one store do not get into each other's way.
func (r *Records) KeepLooks(ctx context.Context) error {
	r.looks.keeping.Lock()
	defer r.looks.keeping.Unlock()
	r.looks.mu.Lock()
	var todo []*gathered
	for _, g := range r.looks.open {
		if len(g.pending) > 0 || g.ended {
			todo = append(todo, g)
		}
	}
	r.looks.mu.Unlock()
	var faults []error
	for _, g := range todo {
		faults = append(faults, r.keep(ctx, g))
	}
	return errors.Join(faults...)
}

// keep stores one release's pending looks; keeping is held.
func (r *Records) keep(ctx context.Context, g *gathered) error {
	r.looks.mu.Lock()
	pending := append([]looks.Look(nil), g.pending...)
	r.looks.mu.Unlock()
	head, rev, err := r.looksHead(ctx, g.model, g.number)
	if err != nil {
		return err
	}
	if fresh := after(pending, head); len(fresh) > 0 {
		if err := r.storeLooks(ctx, g, head, rev, fresh); err != nil {
			return translate("keep the looks of "+g.model, err)
		}
	}
	r.looks.mu.Lock()
	defer r.looks.mu.Unlock()
	g.count = head.Count
	g.pending = since(g.pending, pending)
	if g.ended && len(g.pending) == 0 {
		delete(r.looks.open, stateKey(g.model, g.number))
	}
	return nil
}

// since is what came to a list after a copy of it was taken.
func since(now, then []looks.Look) []looks.Look {
	if len(then) == 0 {
		return now
	}
	latest := then[len(then)-1].Time
	for i, l := range now {
		if l.Time > latest {
			return now[i:]
		}
	}
	return nil
}

// after returns the looks that are later than what is stored.
func after(pending []looks.Look, head *looks.Head) []looks.Look {
	for i, l := range pending {
		if l.Time > head.Last {
			return pending[i:]
		}
	}
	return nil
}

// storeLooks writes full chunks first and then the head that counts them. A crash in between leaves chunks that
// count for nothing and are replaced by the next attempt.
func (r *Records) storeLooks(ctx context.Context, g *gathered, head *looks.Head, rev store.Revision, fresh []looks.Look) error {
	for _, l := range fresh {
		for _, c := range head.Append(l) {
			data, err := looks.Encode(c.Looks)
			if err != nil {
				return err
			}
			if err := r.replaceBlob(ctx, chunkBlob(g.model, g.number, c.Level, c.Number), data); err != nil {
				return err
			}
		}
	}
	data, err := looks.EncodeHead(head)
	if err != nil {
		return err
	}
	_, err = r.store.PutBlob(ctx, looksBlob(g.model, g.number), data, rev)
	return err
}

func (r *Records) replaceBlob(ctx context.Context, name string, data []byte) error {
	_, err := r.store.PutBlob(ctx, name, data, 0)
	if !isConflict(err) {
		return err
	}
	_, rev, err := r.store.GetBlob(ctx, name)
	if err != nil {
		return err
	}
	_, err = r.store.PutBlob(ctx, name, data, rev)
	return err
}

func (r *Records) looksHead(ctx context.Context, name string, n uint32) (*looks.Head, store.Revision, error) {
	data, rev, err := r.store.GetBlob(ctx, looksBlob(name, n))
	if errors.Is(err, store.ErrNotFound) {
		return &looks.Head{}, 0, nil
	}
	if err != nil {
		return nil, 0, translate("read the looks of "+name, err)
	}
	head, err := looks.DecodeHead(data)
	if err != nil {
		return nil, 0, damaged("read the looks of "+name, err)
	}
	return head, rev, nil
}
