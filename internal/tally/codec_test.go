package tally

import (
	"bytes"
	"runtime"
	"strings"
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

// TestSnapshotOfAnotherVersion: the first version kept segments without strata; it is refused with what to do.
func TestSnapshotOfAnotherVersion(t *testing.T) {
	data := snapshot(t, mustNew(t, testConfig(2)))
	data[0] = 1
	err := mustNew(t, testConfig(2)).UnmarshalBinary(data)
	if release.KindOf(err) != release.KindInvalid || !strings.Contains(err.Error(), "version 1") {
		t.Errorf("%v, want an invalid error that names the version", err)
	}
}

// TestSegmentsAddUpOverServingStrata: the view's totals leave the pairs of shadow strata out.
func TestSegmentsAddUpOverServingStrata(t *testing.T) {
	tl := mustNew(t, testConfig(2))
	b := release.Batch{Producer: "g", Incarnation: 1, Seq: 1, Dict: []string{"old", "young"}}
	add := func(stratum uint16, kind release.ExposureKind, arm uint8, age uint32, flags uint16, id uint64) {
		e := release.Exposure{
			ID: id, Unit: 9 + id, Time: 1000, Model: testKey, Release: testNumber, Stratum: stratum, Kind: kind, Arm: arm,
			Bin: 2 * partBins, N: testSignals, Flags: flags,
		}
		e.Values[sigAge] = release.Value{Kind: release.ValueCategory, Cat: age}
		e.Values[sigShort] = release.Value{Kind: release.ValueNumber, Num: float64(age)}
		b.Exposures = append(b.Exposures, e)
	}
	add(1, release.ExposureWouldBe, 1, 0, release.FlagMirrored, 1)
	add(1, release.ExposureCopy, 1, 0, 0, 1)
	add(1, release.ExposureWouldBe, 0, 1, 0, 2) // not mirrored: no pair, nothing to show
	add(2, release.ExposureServe, 0, 0, 0, 3)
	add(2, release.ExposureServe, 1, 1, 0, 4)
	add(3, release.ExposureServe, 1, 1, 0, 5)
	if err := tl.Fold(1, &b); err != nil {
		t.Fatal(err)
	}
	v := tl.View()
	if got := v.Strata[0].Segments; len(got) != 1 || got[0].Value != "old" || got[0].Arms[0].Exposures != 1 || got[0].Arms[1].Exposures != 1 {
		t.Errorf("pairs by segment: %+v", got)
	}
	if len(v.Segments) != 2 || v.Segments[0].Value != "old" || v.Segments[1].Value != "young" {
		t.Fatalf("segments %+v", v.Segments)
	}
	old, young := v.Segments[0].Arms, v.Segments[1].Arms
	if old[0].Exposures != 1 || old[1].Exposures != 0 || young[1].Exposures != 2 || young[1].N[4] != 2 || young[1].Y[4] != 2 {
		t.Errorf("old %+v, young %+v", old, young)
	}
}

// TestSizeAtTheCap holds the encoded size of a tally of ten metrics in six strata with a full unit set, over all partitions. What
// it takes in memory, and with a full set of pending answers, is logged.
func TestSizeAtTheCap(t *testing.T) {
	for _, held := range []bool{false, true} {
		before := heapInUse()
		tl := full(t, 4, held)
		used := float64(heapInUse()-before) * release.Partitions / 1e6
		encoded := float64(len(snapshot(t, tl))) * release.Partitions / 1e6
		t.Logf("%d units, %d pending: encoded %.1f MB, in memory %.1f MB", tl.units.len(), tl.held.len(), encoded, used)
		if !held && encoded > 8 {
			t.Errorf("encoded %.1f MB, promised 8", encoded)
		}
		runtime.KeepAlive(tl)
	}
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
