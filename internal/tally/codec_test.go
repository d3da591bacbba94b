package tally

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"sluice.dev/sluice/internal/release"
)

func mustNew(t interface{ Fatal(...any) }, cfg Config) *Tally {
	tl, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tl
}

func snapshot(t interface{ Fatal(...any) }, tl *Tally) []byte {
	b, err := tl.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// smallLimits make every bounded structure thin itself within a few batches.
func smallConfig(partition int) Config {
	c := testConfig(partition)
	c.Limits = Limits{Units: minLimit, Held: minLimit, Halves: minLimit}
	return c
}

// A snapshot and the rest of the log give the same bytes as the whole log; so does the whole log
// again, and folding entries a second time.
func TestSnapshotAndRestEqualReplay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := testConfig(2)
		if rapid.Bool().Draw(rt, "small") {
			cfg = smallConfig(2)
		}
		log := drawLog(rt, 2)
		if len(log) == 0 {
			return
		}
		full := mustNew(rt, cfg)
		cut := rapid.IntRange(0, len(log)-1).Draw(rt, "cut")
		var saved []byte
		for i := range log {
			if i == cut {
				saved = snapshot(rt, full)
			}
			if err := full.Fold(uint64(i+1), &log[i]); err != nil {
				rt.Fatal(err)
			}
		}
		want := snapshot(rt, full)

		resumed := mustNew(rt, cfg)
		if err := resumed.UnmarshalBinary(saved); err != nil {
			rt.Fatal(err)
		}
		if got := snapshot(rt, resumed); !bytes.Equal(got, saved) {
			rt.Fatal("a restored tally has other bytes than the snapshot it came from")
		}
		for i := range log { // from the start: what the snapshot holds must be passed over
			if err := resumed.Fold(uint64(i+1), &log[i]); err != nil {
				rt.Fatal(err)
			}
		}
		if got := snapshot(rt, resumed); !bytes.Equal(got, want) {
			rt.Fatal("snapshot and rest of the log differ from the whole log")
		}
		if full.View().Hash() != resumed.View().Hash() {
			rt.Fatal("equal tallies have different views")
		}
	})
}

// Skip is Fold for batches without events of the release.
func TestSkipEqualsFold(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, b := mustNew(rt, testConfig(2)), mustNew(rt, testConfig(2))
		log := drawLog(rt, 2)
		for i := range log {
			if rapid.Bool().Draw(rt, "foreign") {
				log[i] = foreign(log[i])
			}
			if err := a.Fold(uint64(i+1), &log[i]); err != nil {
				rt.Fatal(err)
			}
			var err error
			if Concerns(&log[i], testKey, testNumber) {
				err = b.Fold(uint64(i+1), &log[i])
			} else {
				err = b.Skip(uint64(i+1), &log[i], TimeOf(&log[i]))
			}
			if err != nil {
				rt.Fatal(err)
			}
		}
		if !bytes.Equal(snapshot(rt, a), snapshot(rt, b)) {
			rt.Fatal("skipping differs from folding")
		}
	})
}

func foreign(b release.Batch) release.Batch {
	out := b
	out.Exposures = append([]release.Exposure(nil), b.Exposures...)
	out.Feedback = append([]release.Feedback(nil), b.Feedback...)
	out.Counts, out.Marks = nil, nil
	for i := range out.Exposures {
		out.Exposures[i].Model++
	}
	for i := range out.Feedback {
		out.Feedback[i].Model++
	}
	return out
}

func TestSnapshotRefusesOthers(t *testing.T) {
	tl := mustNew(t, testConfig(2))
	data := snapshot(t, tl)
	other := testConfig(2)
	other.Model.Spec.Metrics[0].Window = ms(1)
	arms := testConfig(2)
	arms.Arms = 3
	number := testConfig(2)
	number.Number++
	for name, cfg := range map[string]Config{
		"other window": other, "other arms": arms, "other number": number, "other partition": testConfig(3),
	} {
		if err := mustNew(t, cfg).UnmarshalBinary(data); release.KindOf(err) != release.KindInvalid {
			t.Errorf("%s: %v, want an invalid error", name, err)
		}
	}
	for n := range data {
		if err := mustNew(t, testConfig(2)).UnmarshalBinary(data[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are taken for a snapshot", n, len(data))
		}
	}
	if err := mustNew(t, testConfig(2)).UnmarshalBinary(append(data, 0)); err == nil {
		t.Error("a byte behind the end is passed over")
	}
}

// FuzzSnapshot: any bytes are refused or give a tally that can be folded into and written again.
func FuzzSnapshot(f *testing.F) {
	gen := rapid.Custom(func(t *rapid.T) []release.Batch { return drawLog(t, 2) })
	var log []release.Batch
	for seed := range 6 {
		log = gen.Example(seed)
		tl := mustNew(f, smallConfig(2))
		for i := range log {
			if err := tl.Fold(uint64(i+1), &log[i]); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(snapshot(f, tl))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		tl := mustNew(t, smallConfig(2))
		if tl.UnmarshalBinary(data) != nil {
			return
		}
		seq := tl.Seq()
		if seq > 1<<60 {
			return
		}
		for i := range log {
			if err := tl.Fold(seq+uint64(i)+1, &log[i]); err != nil {
				t.Fatal(err)
			}
		}
		tl.View()
		again := mustNew(t, smallConfig(2))
		saved := snapshot(t, tl)
		if err := again.UnmarshalBinary(saved); err != nil {
			t.Fatalf("its own snapshot is refused: %v", err)
		}
		if !bytes.Equal(snapshot(t, again), saved) {
			t.Fatal("a restored tally has other bytes")
		}
	})
}
