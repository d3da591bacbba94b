package sim

import (
	"context"
	"errors"
	"fmt"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
	"sluice.dev/sluice/internal/tally"
)

// cell is what exposures are counted by.
type cell struct {
	stratum uint16
	arm     uint8
}

// recount is what one partition's log says of one release up to an entry, counted the obvious way.
type recount struct {
	number uint32
	seq    uint64
	counts map[cell]uint64
	last   map[string]uint64 // highest batch by producer and incarnation
}

// advance counts the log up to an entry.
func (r *recount) advance(ctx context.Context, s store.Store, p int, number uint32, to uint64) error {
	if r.number != number || to < r.seq {
		*r = recount{number: number, counts: map[cell]uint64{}, last: map[string]uint64{}}
	}
	var b release.Batch
	for e, err := range s.Read(ctx, logName(p), store.Seq(r.seq), false) {
		if err != nil {
			return err
		}
		if uint64(e.Seq) > to {
			break
		}
		r.seq = uint64(e.Seq)
		if err := release.DecodeBatch(e.Data, &b); err != nil {
			return fmt.Errorf("entry %d of partition %d: %w", e.Seq, p, err)
		}
		r.add(&b)
	}
	if r.seq != to {
		return fmt.Errorf("partition %d was folded up to entry %d, its log ends at %d", p, to, r.seq)
	}
	return nil
}

func (r *recount) add(b *release.Batch) {
	producer := fmt.Sprintf("%s/%d", b.Producer, b.Incarnation)
	if b.Seq <= r.last[producer] {
		return // it is in the log twice
	}
	r.last[producer] = b.Seq
	for i := range b.Exposures {
		e := &b.Exposures[i]
		if e.Release == r.number && (e.Kind == release.ExposureServe || e.Kind == release.ExposureWouldBe) {
			r.counts[cell{e.Stratum, e.Arm}]++
		}
	}
}

// compareRunning compares what the folder has now with the log up to the same entry.
func (w *world) compareRunning(ctx context.Context) error {
	f, n := w.folder.Load(), len(w.checks.releases)
	if f == nil || n == 0 {
		return nil
	}
	s := w.checks.release(uint32(n))
	tallies, err := f.Final(ctx, modelName, s.Number)
	if err != nil {
		return err
	}
	return w.compare(ctx, s, tallies)
}

// compareFinal compares the tallies that are kept of an ended release.
func (w *world) compareFinal(ctx context.Context, s rollout.State) error {
	tallies := map[int][]byte{}
	for p := range release.Partitions {
		data, _, err := w.clean.GetBlob(ctx, finalName(s.Model, s.Number, p))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		tallies[p] = data
	}
	if err := w.compare(ctx, s, tallies); err != nil {
		return err
	}
	if w.checks.ended[s.Number].folder != w.folderStarts() {
		return nil // a folder does not take up what ended before it came
	}
	for p := range release.Partitions {
		var r recount
		_, last, err := w.clean.Bounds(ctx, logName(p))
		if err == nil {
			err = r.advance(ctx, w.clean, p, s.Number, uint64(last))
		}
		if err != nil {
			return err
		}
		if len(r.counts) > 0 && tallies[p] == nil {
			return fmt.Errorf("release %d is %s and its final tally of partition %d is not kept", s.Number, s.Phase, p)
		}
	}
	return nil
}

// folderStarts is how often the folder was started.
func (w *world) folderStarts() int { return w.processes[folderNumber].starts }

func (w *world) compare(ctx context.Context, s rollout.State, tallies map[int][]byte) error {
	for p, data := range tallies {
		t, err := tally.New(tally.Config{Model: &s.Spec, Key: release.ModelKeyOf(s.Model), Number: s.Number, Arms: 2, Partition: p})
		if err != nil {
			return err
		}
		if err := t.UnmarshalBinary(data); err != nil {
			return fmt.Errorf("partition %d: %w", p, err)
		}
		if err := w.checks.recount[p].advance(ctx, w.clean, p, s.Number, t.Seq()); err != nil {
			return err
		}
		if err := w.sameCounts(t, p); err != nil {
			return fmt.Errorf("release %d, partition %d, entry %d: %w", s.Number, p, t.Seq(), err)
		}
	}
	return nil
}

func (w *world) sameCounts(t *tally.Tally, p int) error {
	var c tally.Cache
	c.Add(t)
	view, _ := c.View()
	have := map[cell]uint64{}
	for _, st := range view.Strata {
		for arm := range st.Arms {
			if n := st.Arms[arm].Exposures; n > 0 {
				have[cell{st.ID, uint8(arm)}] = n
			}
		}
	}
	want := w.checks.recount[p].counts
	if len(have) != len(want) {
		return fmt.Errorf("the tally has exposures in %v, the log in %v", have, want)
	}
	for k, n := range want {
		if have[k] != n {
			return fmt.Errorf("stratum %d, arm %d: the tally has %d exposures, the log %d", k.stratum, k.arm, have[k], n)
		}
		w.result.Exposures += n
	}
	w.result.Recounts++
	return nil
}
