package tally

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sluice.dev/sluice/internal/release"
)

// plain is an exposure of the partition's first bin.
func plain(cfg Config, id, unit uint64, at int64) release.Exposure {
	return release.Exposure{
		ID: id, Unit: unit, Time: at, Model: cfg.Key, Release: cfg.Number, Stratum: 1,
		Bin: uint16(cfg.Partition*partBins + int(mix(unit)%partBins)), Arm: uint8(unit % 2), N: testSignals,
	}
}

type feeder struct {
	t   testing.TB
	tl  *Tally
	seq uint64
}

func (f *feeder) fold(b release.Batch) {
	f.t.Helper()
	f.seq++
	b.Producer, b.Incarnation, b.Seq = "gw", 1, f.seq
	if b.Dict == nil {
		b.Dict = testDict
	}
	if err := f.tl.Fold(f.seq, &b); err != nil {
		f.t.Fatal(err)
	}
}

// R1: a full set thins itself and keeps what it counted; units that were dropped are not counted again.
func TestUnitSetThinsAndKeepsCounters(t *testing.T) {
	cfg := testConfig(0)
	cfg.Limits.Units = 1000
	f := &feeder{t: t, tl: mustNew(t, cfg)}
	const all = 20_000
	var newUnits uint64
	for i := range all {
		f.fold(release.Batch{Exposures: []release.Exposure{plain(cfg, uint64(i+1), uint64(i+1), 1000)}})
		if n := f.tl.units.len(); n > 1000 {
			t.Fatalf("%d units in a set of 1000", n)
		}
		if i%100 != 99 {
			continue
		}
		v := f.tl.View().Strata[0]
		if now := v.Arms[0].NewUnits + v.Arms[1].NewUnits; now < newUnits {
			t.Fatalf("new units fell from %d to %d", newUnits, now)
		} else {
			newUnits = now
		}
	}
	v := f.tl.View().Strata[0]
	if f.tl.units.level != 5 {
		t.Errorf("level %d after %d units in a set of 1000, want 5", f.tl.units.level, all)
	}
	if newUnits < 1000 || newUnits > 4000 {
		t.Errorf("%d first exposures were counted: the set thinned too much or too little", newUnits)
	}
	units := float64(v.Arms[0].Units + v.Arms[1].Units)
	if math.Abs(units/all-1) > 0.1 {
		t.Errorf("estimated %v units, want %d within 10 %%", units, all)
	}
	for i := range all {
		f.fold(release.Batch{Exposures: []release.Exposure{plain(cfg, uint64(all+i+1), uint64(i+1), 1001)}})
	}
	v = f.tl.View().Strata[0]
	if now := v.Arms[0].NewUnits + v.Arms[1].NewUnits; now != newUnits {
		t.Errorf("units that came back were counted as new: %d, before %d", now, newUnits)
	}
	if n := v.Arms[0].Exposures + v.Arms[1].Exposures; n != 2*all {
		t.Errorf("%d exposures, want %d", n, 2*all)
	}
}

// R3: the sample of a stratum is fixed when it opens: below the limit that the set may still reach.
func TestSampleOfAStratumIsFixed(t *testing.T) {
	cfg := testConfig(0)
	cfg.Limits.Units = 1000
	f := &feeder{t: t, tl: mustNew(t, cfg)}
	for i := range 800 {
		f.fold(release.Batch{Exposures: []release.Exposure{plain(cfg, uint64(i+1), uint64(i+1), 1000)}})
	}
	for i := range 800 { // a new stratum, with the set more than half full, in which the set thins once
		e := plain(cfg, uint64(10_000+i), uint64(401+i), 2000)
		e.Stratum = 2
		f.fold(release.Batch{Exposures: []release.Exposure{e}})
	}
	f.fold(release.Batch{Exposures: []release.Exposure{plain(cfg, 99_999, 99_999, 10_000)}})
	s := f.tl.strata[1]
	if f.tl.units.level != 1 || s.level != 1 {
		t.Fatalf("level of the set %d, of the stratum's sample %d, want 1 and 1", f.tl.units.level, s.level)
	}
	want := uint64(0)
	for u := uint64(401); u <= 1200; u++ {
		if under(u, 1) {
			want++
		}
	}
	if got := s.arms[0].metrics[0].closed + s.arms[1].metrics[0].closed; got != want {
		t.Errorf("%d records of errors closed in the second stratum, want %d: every unit of the sample once", got, want)
	}
}

// R1: a unit that stays in the set when it thins keeps its past: its event is not its first again.
func TestThinningKeepsTheUnitsPast(t *testing.T) {
	cfg := testConfig(0)
	cfg.Limits.Units = 64
	f := &feeder{t: t, tl: mustNew(t, cfg)}
	fail := func(unit uint64) {
		e := plain(cfg, f.seq+1, unit, 1000)
		e.Fault = release.FaultUpstream
		f.fold(release.Batch{Exposures: []release.Exposure{e}})
	}
	firsts := func() (n uint64) {
		for _, a := range f.tl.View().Strata[0].Arms {
			n += a.Metrics[0].Event.First
		}
		return n
	}
	want := uint64(0)
	for unit := uint64(1); unit <= 64; unit++ {
		if unit%3 == 0 {
			fail(unit)
			want++
			continue
		}
		f.fold(release.Batch{Exposures: []release.Exposure{plain(cfg, f.seq+1, unit, 1000)}})
		if under(unit, 1) {
			want++ // it stays, and fails for the first time below
		}
	}
	if f.tl.units.level != 0 {
		t.Fatalf("level %d with 64 units in a set of 64", f.tl.units.level)
	}
	for unit := uint64(1000); f.tl.units.level == 0; unit++ {
		f.fold(release.Batch{Exposures: []release.Exposure{plain(cfg, f.seq+1, unit, 1000)}})
	}
	for unit := uint64(1); unit <= 64; unit++ {
		fail(unit)
	}
	if firsts() != want {
		t.Errorf("%d first events, want %d: each unit's first, but for those that the set forgot", firsts(), want)
	}
}

// A window is over at its last millisecond: what is due then is done, and what comes then is late.
func TestWindowsEndExactly(t *testing.T) {
	cfg := testConfig(0)
	f := &feeder{t: t, tl: mustNew(t, cfg)}
	at := func(ms int64) release.Exposure { return plain(cfg, f.seq+1, 500+f.seq, ms) }
	unit := at(1000) // thumbs: one second; errors: one and a half
	f.fold(release.Batch{Exposures: []release.Exposure{unit}})
	sums := func() (thumbs float64, closed uint64) {
		for _, a := range f.tl.View().Strata[0].Arms {
			closed += a.Metrics[0].Event.Closed
			for _, n := range a.Metrics[6].N {
				thumbs += n
			}
		}
		return thumbs, closed
	}
	for _, step := range []struct {
		ms     int64
		thumbs float64
		closed uint64
	}{{1999, 0, 0}, {2000, 1, 0}, {2499, 1, 0}, {2500, 1, 1}} {
		f.fold(release.Batch{Exposures: []release.Exposure{at(step.ms)}})
		if thumbs, closed := sums(); thumbs != step.thumbs || closed != step.closed {
			t.Errorf("at %d ms: %v exposures in thumbs and %d closed units, want %v and %d", step.ms, thumbs, closed, step.thumbs, step.closed)
		}
	}
	late := f.tl.Counters().LateExposures
	f.fold(release.Batch{Exposures: []release.Exposure{at(1500)}}) // its second is over at 2500, now
	if f.tl.Counters().LateExposures != late+1 {
		t.Error("an exposure whose window ended at this very moment is not late")
	}
	f.fold(release.Batch{Exposures: []release.Exposure{at(1501)}})
	if f.tl.Counters().LateExposures != late+1 {
		t.Error("an exposure whose window has a millisecond left is late")
	}
}

// What waits is bounded; what is left out is chosen by a hash of its id and counted.
func TestHeldThinsByID(t *testing.T) {
	cfg := testConfig(0)
	cfg.Limits.Held = 500
	f := &feeder{t: t, tl: mustNew(t, cfg)}
	const all = 4000
	for i := range all {
		f.fold(release.Batch{Exposures: []release.Exposure{plain(cfg, uint64(i+1), uint64(i+1), 1000)}})
		if n := f.tl.held.len(); n > 500 {
			t.Fatalf("%d entries in a map of 500", n)
		}
	}
	held := f.tl.held.len()
	if held < 100 || uint64(held)+f.tl.counters.Thinned != all {
		t.Fatalf("%d held, %d left out, want %d together", held, f.tl.counters.Thinned, all)
	}
	level := f.tl.held.level
	for i := range held {
		if e := f.tl.held.all[f.tl.held.heap[i]]; !under(e.id, f.tl.held.level) {
			t.Fatalf("entry %d lies above the limit", e.id)
		}
	}
	f.fold(release.Batch{Exposures: []release.Exposure{plain(cfg, 1<<40, 1, 1_000_000)}})
	var zeros float64
	for a := range 2 {
		for _, n := range f.tl.View().Strata[0].Arms[a].Metrics[6].N {
			zeros += n
		}
	}
	if int(zeros) != held {
		t.Errorf("%v exposures without thumbs counted as 0, want the %d that were held", zeros, held)
	}
	if f.tl.held.level != level-1 {
		t.Error("the limit never widens again")
	}
}

func TestDictionaryIsCapped(t *testing.T) {
	cfg := testConfig(0)
	f := &feeder{t: t, tl: mustNew(t, cfg)}
	for i := range 500 {
		e := plain(cfg, uint64(i+1), 1, 1000)
		e.Values[sigDecision] = release.Value{Kind: release.ValueCategory}
		f.fold(release.Batch{Dict: []string{fmt.Sprint("answer ", i), "x"}, Exposures: []release.Exposure{e}})
	}
	v := f.tl.View()
	if names := v.Categories[3]; len(names) != maxDictNames+1 || names[maxDictNames] != Other {
		t.Fatalf("%d names, the last %q", len(names), names[len(names)-1])
	}
	var other float64
	for _, n := range v.Strata[0].Arms[1].Metrics[3].Category[maxDictNames] {
		other += n
	}
	if other != 500-maxDictNames {
		t.Errorf("%v answers are other, want %d", other, 500-maxDictNames)
	}
}

// A view before the baseline merges different dictionaries by name.
func TestMergeByName(t *testing.T) {
	var ts []*Tally
	for p, words := range []string{"b a", "c a"} {
		cfg := testConfig(p)
		f := &feeder{t: t, tl: mustNew(t, cfg)}
		for i, word := range strings.Fields(words) {
			e := plain(cfg, uint64(i+1), 1, 1000)
			e.Values[sigDecision] = release.Value{Kind: release.ValueCategory}
			f.fold(release.Batch{Dict: []string{word}, Exposures: []release.Exposure{e}})
		}
		ts = append(ts, f.tl)
	}
	v := Merge(ts[1], ts[0])
	if got := fmt.Sprint(v.Categories[3]); got != "[a b c other]" {
		t.Fatalf("names %s", got)
	}
	for c, want := range []float64{2, 1, 1, 0} {
		var n float64
		for _, x := range v.Strata[0].Arms[1].Metrics[3].Category[c] {
			n += x
		}
		if n != want {
			t.Errorf("category %d: %v observations, want %v", c, n, want)
		}
	}
	if v.Hash() != Merge(ts...).Hash() {
		t.Error("the order in which partitions are given changes the hash")
	}
}

// The cache gives what merging from scratch gives, whatever was asked before.
func TestCacheEqualsMerge(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		parts := []int{0, 7}
		var c Cache
		var ts []*Tally
		var logs [][]release.Batch
		for _, p := range parts {
			ts = append(ts, mustNew(rt, testConfig(p)))
			logs = append(logs, drawLog(rt, p))
		}
		for i := range max(len(logs[0]), len(logs[1])) {
			for p := range parts {
				if i < len(logs[p]) {
					if err := ts[p].Fold(uint64(i+1), &logs[p][i]); err != nil {
						rt.Fatal(err)
					}
				}
			}
			if rapid.Bool().Draw(rt, "look") {
				for _, tl := range ts {
					c.Add(tl)
				}
				got, hash := c.View()
				want := Merge(ts...)
				if hash != want.Hash() || got.Hash() != hash {
					rt.Fatalf("hash %s, the view's own %s, from scratch %s", hash, got.Hash(), want.Hash())
				}
			}
		}
	})
}

// Equal words are what release.Agree calls agreement.
func TestAgreementIsReleaseAgree(t *testing.T) {
	texts := []string{"", "1", "1.0", "1e0", "true", "false", "0", "-0", "0.0", "yes", "Yes", " yes", "01", "1e400", "-1", "NaN", "Inf", "0x1p0", "1_0", "TRUE", "٣"}
	for _, a := range texts {
		for _, b := range texts {
			if got, want := agreementWord(a) == agreementWord(b), release.Agree(a, b); got != want {
				t.Errorf("%q and %q: words equal %t, release.Agree says %t", a, b, got, want)
			}
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		x := rapid.Float64().Draw(rt, "x")
		if numberWord(x) != agreementWord(release.FormatOutcome(x)) {
			rt.Fatalf("%v told as a number is not what its text is", x)
		}
	})
}

// Events that can't belong here are counted and change nothing else.
func TestMalformedEvents(t *testing.T) {
	cfg := testConfig(3)
	f := &feeder{t: t, tl: mustNew(t, cfg)}
	good := plain(cfg, 1, 1, 1000)
	bad := []func(e *release.Exposure){
		func(e *release.Exposure) { e.Bin = 0 }, func(e *release.Exposure) { e.Bin = 1023 }, func(e *release.Exposure) { e.Arm = 2 },
		func(e *release.Exposure) { e.Stratum = 0 }, func(e *release.Exposure) { e.Epoch = 255 },
		func(e *release.Exposure) { e.Kind = release.ExposureOutside },
	}
	for _, spoil := range bad {
		e := good
		spoil(&e)
		f.fold(release.Batch{Exposures: []release.Exposure{e}})
	}
	if n := f.tl.Counters().Malformed; n != uint64(len(bad)) || len(f.tl.strata) != 0 {
		t.Errorf("%d of %d malformed events counted, %d strata opened", n, len(bad), len(f.tl.strata))
	}
	if err := f.tl.Fold(100, &release.Batch{Producer: "gw"}); release.KindOf(err) != release.KindInvalid {
		t.Errorf("a batch without a number: %v", err)
	}
}

// A gateway's clock that runs ahead or goes back moves the log's clock only forward.
func TestClockNeverFalls(t *testing.T) {
	cfg := testConfig(3)
	f := &feeder{t: t, tl: mustNew(t, cfg)}
	for i, at := range []int64{5000, 3000, 9000, 1000} {
		before := f.tl.LogTime()
		f.fold(release.Batch{Exposures: []release.Exposure{plain(cfg, uint64(i+1), 1, at)}})
		if f.tl.LogTime() != max(before, at) {
			t.Errorf("the log's time is %d after an event at %d, was %d", f.tl.LogTime(), at, before)
		}
	}
}

func TestProducersAreForgotten(t *testing.T) {
	var p producers
	for i := range maxProducers + 10 {
		b := release.Batch{Producer: "gw", Incarnation: uint64(i + 1), Seq: 1}
		if fresh, _ := p.admit(&b, int64(i)); !fresh {
			t.Fatalf("incarnation %d is taken for a repetition", i)
		}
		if fresh, _ := p.admit(&b, int64(i)); fresh {
			t.Fatalf("the same batch of incarnation %d is taken twice", i)
		}
	}
	if len(p.all) != maxProducers {
		t.Errorf("%d producers, want at most %d", len(p.all), maxProducers)
	}
	b := release.Batch{Producer: "gw", Incarnation: maxProducers + 11, Seq: 1}
	p.admit(&b, 3*forget)
	if len(p.all) != 1 {
		t.Errorf("%d producers left after a long silence, want 1", len(p.all))
	}
	b.Seq = 5
	if _, missing := p.admit(&b, 3*forget); missing != 3 {
		t.Errorf("%d batches missing, want 3", missing)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, spoil := range map[string]func(*Config){
		"no model":  func(c *Config) { c.Model = nil },
		"no number": func(c *Config) { c.Number = 0 },
		"one arm":   func(c *Config) { c.Arms = 1 },
		"partition": func(c *Config) { c.Partition = release.Partitions },
		"units":     func(c *Config) { c.Limits.Units = 1 << 16 },
		"metrics":   func(c *Config) { c.Model.Spec.Metrics = make([]release.Metric, maxMetrics+1) },
	} {
		cfg := testConfig(0)
		spoil(&cfg)
		if _, err := New(cfg); release.KindOf(err) != release.KindInvalid {
			t.Errorf("%s: %v, want an invalid error", name, err)
		}
	}
}

// A steady state allocates nothing.
func TestFoldAllocatesNothing(t *testing.T) {
	tl := full(t, 4, true)
	log := benchLog(20, 100_000, 1, 4, true)
	var b release.Batch
	seq := tl.Seq()
	i := 0
	n := testing.AllocsPerRun(100, func() {
		if err := release.DecodeBatch(log[i%len(log)], &b); err != nil {
			t.Fatal(err)
		}
		i++
		seq++
		b.Seq = seq
		for j := range b.Exposures {
			b.Exposures[j].Stratum, b.Exposures[j].Epoch = 6, 6
		}
		if err := tl.Fold(seq, &b); err != nil {
			t.Fatal(err)
		}
	})
	if n > 5 { // the maps of what waits grow now and then: per batch of 500 events
		t.Errorf("%v allocations per batch", n)
	}
}

// TestOutcomeToldByUnitTwice: with a key, an outcome that is sent again counts once; without one it can't be told from another.
func TestOutcomeToldByUnitTwice(t *testing.T) {
	for _, key := range []uint64{0, 77} {
		tl := mustNew(t, testConfig(2))
		seq := uint64(0)
		tell := func(at int64, key uint64, num float64) {
			seq++
			b := release.Batch{Producer: "g", Incarnation: 1, Seq: seq, Dict: testDict, Feedback: []release.Feedback{{
				Exposure: key, Unit: 9, Exposed: at, Time: at, Model: testKey, Release: testNumber, Stratum: 1, Bin: 2 * partBins, Arm: 1,
				Name: dictAt("thumb"), Value: release.Value{Kind: release.ValueNumber, Num: num},
			}}}
			if err := tl.Fold(seq, &b); err != nil {
				t.Fatal(err)
			}
		}
		tell(1000, key, 1)
		tell(1400, key, 1) // the answer to the first was lost
		if key != 0 {
			tell(1500, key+1, 0) // another outcome of the same unit
		}
		tell(9000, 5, 0) // time passes: windows are over
		m := tl.View().Strata[0].Arms[1].Metrics[6]
		if n := sumOf(m.N); n != 2 || sumOf(m.Y) != map[uint64]float64{0: 2, 77: 1}[key] {
			t.Errorf("key %d: %v observations with the sum %v", key, n, sumOf(m.Y))
		}
		if again := tl.Counters().Repeated; again != map[uint64]uint64{0: 0, 77: 1}[key] {
			t.Errorf("key %d: %d are known to be told again", key, again)
		}
	}
}

func sumOf(xs []float64) (s float64) {
	for _, x := range xs {
		s += x
	}
	return s
}

// TestWaitingFindsWhatIsThere compares the index of what waits with a map, under ids that collide.
func TestWaitingFindsWhatIsThere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w, want := newWaiting(1000, 1), map[uint64]bool{}
		for range rapid.IntRange(0, 400).Draw(rt, "steps") {
			id := uint64(rapid.IntRange(1, 90).Draw(rt, "id"))
			switch i, ok := w.get(id); {
			case ok != want[id]:
				rt.Fatalf("%d is there: %v, want %v", id, ok, want[id])
			case ok && w.all[i].id != id:
				rt.Fatalf("%d finds %d", id, w.all[i].id)
			case ok:
				w.remove(i)
				delete(want, id)
			default:
				w.add(id, int64(id%7))
				want[id] = true
			}
		}
		if w.len() != len(want) {
			rt.Fatalf("%d wait, want %d", w.len(), len(want))
		}
		for id := range want {
			if _, ok := w.get(id); !ok {
				rt.Fatalf("%d is lost", id)
			}
		}
	})
}
