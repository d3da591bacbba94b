package ingest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice.dev/sluice/internal/release"
)

// written is a memory whose logs hold the traffic of n exposures with feedback on every third, from
// a publisher; stratum 2 begins in the middle.
func written(t *testing.T, n int) *memory {
	m := newMemory()
	p, stop := publishing(t, m, Options{})
	traffic(t, p, 0, n)
	stop()
	return m
}

func traffic(t *testing.T, p *Publisher, from, to int) {
	for i := from; i < to; i++ {
		e := exposure(i)
		e.Values[0] = release.Value{Kind: release.ValueCategory, Cat: p.Category(testKey, 0, fmt.Append(nil, "class ", i%3))}
		if i >= (from+to)/2 {
			e.Stratum, e.Epoch = 2, 1
		}
		p.Record(&e)
		if i%3 == 0 {
			f := told(i)
			f.Feedback.Exposed, f.Feedback.Time = e.Time, e.Time
			if err := p.Accept(t.Context(), []Feedback{f}); err != nil {
				t.Error(err)
			}
		}
	}
}

func running(t *testing.T, m *memory) (*Folder, func() error) {
	f := NewFolder(m, nil, time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	return f, func() error {
		cancel()
		return <-done
	}
}

func TestFolderFoldsWhatWasPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := written(t, 900)
		f, stop := running(t, m)
		if e := f.View(testModel, testNumber+1, time.Now()); e.View != nil {
			t.Error("a release without telemetry has a view")
		}
		synctest.Wait()
		e := f.View(testModel, testNumber, time.Now())
		if e.View == nil || e.Hash != m.naive().Hash() || e.Gap != "" || !e.Arriving {
			t.Fatalf("evidence %+v", e)
		}
		if n, _, _ := totals(e.View); n != 900 {
			t.Errorf("%d exposures, want 900", n)
		}
		time.Sleep(time.Minute)
		again := f.View(testModel, testNumber, time.Now())
		if again.View != e.View || again.Arriving {
			t.Errorf("a minute later without telemetry: same view %t, arriving %t", again.View == e.View, again.Arriving)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A long snapshot is written when it spares something, and now and then; a short one each time.
func TestLongSnapshotsAreRarer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, stopPublishing := publishing(t, m, Options{})
		_, stop := running(t, m)
		n := 0
		record := func(each int, bin uint16) {
			for range each {
				n++
				p.Record(&release.Exposure{
					ID: uint64(n), Unit: uint64(n) << 40, Bin: bin, Time: time.Now().UnixMilli(), Model: testKey, Release: testNumber, Stratum: 1,
				})
			}
		}
		written := func(partition, seconds, each int) (n uint64) {
			m.set(func() { n = m.revisions[partition] })
			for range seconds {
				record(each, uint16(partition*release.Bins/release.Partitions))
				time.Sleep(time.Second)
			}
			m.set(func() { n = m.revisions[partition] - n })
			return n
		}
		if n := written(1, 60, 1); n < 30 {
			t.Errorf("%d short snapshots in a minute, want one each time there is something new", n)
		}
		written(0, 10, 1500)
		time.Sleep(10 * time.Second)
		var long int
		m.set(func() { long = len(m.snapshots[0]) })
		if long < longSnapshot {
			t.Fatalf("a snapshot of %d bytes: the test tests nothing", long)
		}
		if n := written(0, 60, 1); n < 9 || n > 11 {
			t.Errorf("%d long snapshots in a minute, want one each %d seconds", n, longest)
		}
		var bytes, before int
		m.set(func() { before = len(m.logs[0]) })
		busy := written(0, 60, 8000)
		m.set(func() {
			long = len(m.snapshots[0])
			for _, e := range m.logs[0][before:] {
				bytes += len(e.Data)
			}
		})
		if spared := bytes / (worthwhile * long); spared < 15 || int(busy) < spared/2 || int(busy) > spared+1 {
			t.Errorf("%d long snapshots while the log grew by %d bytes, worth at least %d", busy, bytes, spared)
		}
		stopPublishing()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if s, err := readSnapshot(m.snapshots[0]); err != nil || s.seq != uint64(len(m.logs[0])) {
			t.Errorf("%v; a stop writes the last entry down, whatever it is worth", err)
		}
	})
}

// The process is killed at any moment, its snapshots' fates unknown: the sums are those of the log.
func TestFolderSurvivesKills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		rng := rand.New(rand.NewPCG(5, 6))
		flaky := func(int) (bool, error) {
			switch rng.IntN(3) {
			case 0:
				return false, errAway
			case 1:
				return true, errAway
			}
			return true, nil
		}
		m.putFault = flaky
		p, stopPublishing := publishing(t, m, Options{})
		restored := 0
		for round := range 12 {
			_, stop := running(t, m)
			traffic(t, p, round*300, (round+1)*300)
			var lived time.Duration
			m.set(func() { lived = time.Duration(rng.IntN(4000)) * time.Millisecond })
			time.Sleep(lived)
			m.set(func() { restored += int(m.revisions[0]) })
			// Killed: the last snapshot is not written.
			m.set(func() { m.putFault = func(int) (bool, error) { return false, errAway } })
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			m.set(func() { m.putFault = flaky })
		}
		if restored == 0 {
			t.Error("no snapshot was ever written: the test tests nothing")
		}
		stopPublishing()
		f, stop := running(t, m)
		time.Sleep(time.Minute)
		if e := f.View(testModel, testNumber, time.Now()); e.Hash != m.naive().Hash() {
			n, _, _ := totals(e.View)
			want, _, _ := totals(m.naive())
			t.Errorf("%d exposures after the kills, the log holds %d", n, want)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// Two folders of the same logs: the one that came first ends, the other goes on.
func TestZombieIsFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, stopPublishing := publishing(t, m, Options{})
		_, stopFirst := running(t, m)
		traffic(t, p, 0, 100)
		time.Sleep(5 * time.Second)
		second, stopSecond := running(t, m)
		time.Sleep(5 * time.Second)
		traffic(t, p, 100, 200)
		time.Sleep(10 * time.Second)
		if one, two := stopFirst(), stopSecond(); !errors.Is(one, ErrConflict) || two != nil {
			t.Errorf("the first ended with %v, the second with %v", one, two)
		}
		stopPublishing()
		if e := second.View(testModel, testNumber, time.Now()); e.Hash != m.naive().Hash() {
			t.Error("the second folder's sums are not those of the log")
		}
	})
}

// An acknowledgement that got lost is no conflict.
func TestOwnSnapshotIsNoConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.putFault = func(int) (bool, error) { return true, errAway }
		p, stopPublishing := publishing(t, m, Options{})
		_, stop := running(t, m)
		traffic(t, p, 0, 100)
		time.Sleep(10 * time.Second)
		m.set(func() { m.putFault = nil })
		traffic(t, p, 100, 200)
		time.Sleep(10 * time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		stopPublishing()
	})
}

// Entries that are gone make the stratum incomplete, until the next one opens.
func TestGapIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, stopPublishing := publishing(t, m, Options{})
		for i := range 300 {
			e := exposure(i)
			p.Record(&e)
			time.Sleep(10 * time.Millisecond)
		}
		stopPublishing()
		part := release.Partition(exposure(0).Bin)
		m.set(func() { m.first[part] = 2 })
		f, stop := running(t, m)
		synctest.Wait()
		e := f.View(testModel, testNumber, time.Now())
		if !strings.Contains(e.Gap, "entries 1 to 1 of partition") {
			t.Errorf("gap %q", e.Gap)
		}
		p, stopPublishing = publishing(t, m, Options{Incarnation: 2})
		x := exposure(0)
		x.Stratum, x.Epoch, x.ID = 3, 2, 99_999
		p.Record(&x)
		time.Sleep(time.Second)
		stopPublishing()
		if e := f.View(testModel, testNumber, time.Now()); e.Gap != "" {
			t.Errorf("gap %q in a stratum that began after it", e.Gap)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// An entry that can't be decoded is a gap and no end.
func TestDamagedEntryIsAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := written(t, 300)
		part := release.Partition(exposure(0).Bin)
		f, stop := running(t, m)
		synctest.Wait()
		m.set(func() {
			m.logs[part] = append(m.logs[part], Entry{Seq: uint64(len(m.logs[part])) + 1, Data: []byte("damaged")})
			close(m.changed)
			m.changed = make(chan struct{})
		})
		p, stopPublishing := publishing(t, m, Options{Incarnation: 2})
		x := exposure(0)
		x.Stratum, x.Epoch, x.ID = 2, 1, 99_999
		p.Record(&x)
		time.Sleep(time.Second)
		stopPublishing()
		e := f.View(testModel, testNumber, time.Now())
		if n, _, _ := totals(e.View); n != 301 || !strings.Contains(e.Gap, "can't be read") {
			t.Errorf("%d exposures, gap %q", n, e.Gap)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A release that can't be looked up now is waited for: nothing is passed over.
func TestLookupIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := written(t, 300)
		m.set(func() { m.releaseFault = func() error { return errAway } })
		f, stop := running(t, m)
		time.Sleep(10 * time.Second)
		if e := f.View(testModel, testNumber, time.Now()); e.View != nil {
			t.Error("a release that can't be looked up is counted")
		}
		m.set(func() { m.releaseFault = nil })
		time.Sleep(10 * time.Second)
		if e := f.View(testModel, testNumber, time.Now()); e.Hash != m.naive().Hash() {
			t.Error("events were passed over while the store was away")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}

		// The same when the snapshot is read.
		m.set(func() { m.releaseFault = func() error { return errAway } })
		f, stop = running(t, m)
		time.Sleep(10 * time.Second)
		m.set(func() { m.releaseFault = nil })
		time.Sleep(10 * time.Second)
		if e := f.View(testModel, testNumber, time.Now()); e.View == nil || e.Hash != m.naive().Hash() {
			t.Error("a tally was dropped while the store was away")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A snapshot of no use is replaced by folding the log again.
func TestDamagedSnapshotIsRebuilt(t *testing.T) {
	for name, spoil := range map[string]func(b []byte) []byte{
		"other version": func(b []byte) []byte { b[0]++; return b },
		"cut":           func(b []byte) []byte { return b[:len(b)-1] },
		"tally":         func(b []byte) []byte { b[len(b)/2] ^= 0xff; return b[:len(b)-5] },
		"empty":         func([]byte) []byte { return nil },
	} {
		synctest.Test(t, func(t *testing.T) {
			m := written(t, 300)
			_, stop := running(t, m)
			time.Sleep(5 * time.Second)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			for p := range m.snapshots {
				if m.snapshots[p] != nil {
					m.snapshots[p] = spoil(m.snapshots[p])
				}
			}
			f, stop := running(t, m)
			synctest.Wait()
			if e := f.View(testModel, testNumber, time.Now()); e.View == nil || e.Hash != m.naive().Hash() {
				t.Errorf("%s: not rebuilt", name)
			}
			time.Sleep(5 * time.Second)
			if err := stop(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// An ended release is handed out once more and then forgotten; its late events are passed over.
func TestEndedReleaseIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, stopPublishing := publishing(t, m, Options{})
		f, stop := running(t, m)
		traffic(t, p, 0, 300)
		synctest.Wait()
		final, err := f.Final(t.Context(), testModel, testNumber)
		if err != nil || len(final) < 2 {
			t.Fatalf("%d final tallies, %v", len(final), err)
		}
		m.set(func() { m.ended = true })
		f.Forget(testModel, testNumber)
		traffic(t, p, 300, 600)
		time.Sleep(5 * time.Second)
		if e := f.View(testModel, testNumber, time.Now()); e.View != nil {
			t.Error("a forgotten release is counted again")
		}
		if final, err = f.Final(t.Context(), testModel, testNumber); err != nil || len(final) != 0 {
			t.Errorf("%d final tallies of a forgotten release, %v", len(final), err)
		}
		stopPublishing()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A gateway whose clock runs a day ahead does not end everybody's windows.
func TestClockAheadIsClamped(t *testing.T) {
	stored := time.UnixMilli(1_000_000_000)
	b := release.Batch{
		Exposures: []release.Exposure{{Time: 1_000_000_000 - 5}, {Time: 1_000_000_000 + 59_000}, {Time: 2_000_000_000}},
		Feedback:  []release.Feedback{{Time: 2_000_000_000, Exposed: 1_999_999_000}, {Time: 2_000_000_000, Exposed: 999_000_000}},
	}
	clampTimes(&b, stored)
	want := []int64{1_000_000_000 - 5, 1_000_059_000, 1_000_000_000}
	for i, w := range want {
		if b.Exposures[i].Time != w {
			t.Errorf("exposure %d is at %d, want %d", i, b.Exposures[i].Time, w)
		}
	}
	if f := b.Feedback; f[0].Time != 1_000_000_000 || f[0].Exposed != 1_000_000_000 || f[1].Exposed != 999_000_000 {
		t.Errorf("feedback %+v", f)
	}
	clampTimes(&b, time.Time{})
}

func TestSnapshotIsReadBack(t *testing.T) {
	s := snapshot{seq: 7, tallies: []snapshotTally{
		{id: ID{1, 2}, data: []byte("one")}, {id: ID{1 << 31, 3}, gap: gap{"why", 4}, data: []byte("two")},
	}}
	data := s.append(nil)
	got, err := readSnapshot(data)
	if err != nil || fmt.Sprint(*got) != fmt.Sprint(s) {
		t.Fatalf("%v, %v", got, err)
	}
	for n := range data {
		if _, err := readSnapshot(data[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are taken for a snapshot", n, len(data))
		}
	}
	if _, err := readSnapshot(append(data, 0)); err == nil {
		t.Error("a byte behind the end is passed over")
	}
}

func FuzzReadSnapshot(f *testing.F) {
	s := snapshot{seq: 7, tallies: []snapshotTally{{id: ID{1, 2}, gap: gap{"why", 4}, data: []byte("one")}}}
	f.Add(s.append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := readSnapshot(data)
		if err != nil {
			return
		}
		again, err := readSnapshot(s.append(nil))
		if err != nil || fmt.Sprint(*again) != fmt.Sprint(*s) {
			t.Fatalf("%v becomes %v, %v", s, again, err)
		}
	})
}
