package ingest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice.dev/sluice/internal/release"
)

// publishing runs a publisher until the returned function is called.
func publishing(t *testing.T, m *memory, o Options) (*Publisher, func()) {
	o.Log = m
	if o.Producer == "" {
		o.Producer = "gw"
	}
	if o.Incarnation == 0 {
		o.Incarnation = 1
	}
	p := NewPublisher(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx, 5*time.Second) }()
	return p, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// Faults before and after a batch was stored, at random: every exposure that was recorded is counted
// once, and seen and dropped add up.
func TestPublisherLosesAndRepeatsNothing(t *testing.T) {
	for _, spooled := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			rng := rand.New(rand.NewPCG(1, 2))
			m.appendFault = func(int, string) (bool, error) {
				switch rng.IntN(3) {
				case 0:
					return false, errAway
				case 1:
					return true, errAway // stored, but nobody learns
				}
				return true, nil
			}
			o := Options{Ring: 64}
			if spooled {
				o.SpoolDir, o.Patience = t.TempDir(), 60*time.Millisecond
			}
			p, stop := publishing(t, m, o)
			const n = 4000
			for i := range n {
				e := exposure(i)
				p.Record(&e)
				if i%200 == 0 {
					time.Sleep(300 * time.Millisecond)
				}
			}
			time.Sleep(time.Minute)
			m.set(func() { m.appendFault = nil })
			time.Sleep(time.Minute)
			stop()
			state := p.State()
			exposures, seen, dropped := totals(m.naive())
			if seen != n || exposures+dropped != n || dropped != state.Dropped || state.Queued != 0 || state.Spooled != 0 {
				t.Errorf("spool %t: %d counted and %d dropped (%d by the publisher) of %d seen, want %d; %+v", spooled, exposures, dropped, state.Dropped, seen, n, state)
			}
			if dropped == n || m.appends < 50 {
				t.Errorf("spool %t: %d dropped in %d appends: the test tests nothing", spooled, dropped, m.appends)
			}
		})
	}
}

// While the log is away for long, the spool takes what the ring can't hold; what a process leaves in it
// is sent by the next one.
func TestSpoolOutlivesTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		away := func(int, string) (bool, error) { return false, errAway }
		m.set(func() { m.appendFault = away })
		dir := t.TempDir()
		p, stop := publishing(t, m, Options{Ring: 64, SpoolDir: dir})
		n := 0
		for range 100 {
			for range 100 {
				e := exposure(n)
				p.Record(&e)
				n++
			}
			time.Sleep(2 * time.Second)
		}
		stop()
		if s := p.State(); s.Spooled == 0 || s.Dropped != 0 {
			t.Fatalf("%+v after an outage: want everything in the spool", s)
		}
		if got, _, _ := totals(m.naive()); got != 0 {
			t.Fatalf("%d exposures in a log that was away", got)
		}

		p, stop = publishing(t, m, Options{Ring: 64, SpoolDir: dir, Incarnation: 2})
		e := exposure(n)
		p.Record(&e)
		n++
		time.Sleep(10 * time.Second)
		m.set(func() { m.appendFault = nil })
		time.Sleep(time.Minute)
		stop()
		exposures, seen, dropped := totals(m.naive())
		if exposures != uint64(n) || seen != uint64(n) || dropped != 0 {
			t.Errorf("%d counted, %d seen, %d dropped, want all %d counted", exposures, seen, dropped, n)
		}
		if s := p.State(); s.Spooled != 0 {
			t.Errorf("%d bytes left in the spool", s.Spooled)
		}
	})
}

// A full spool drops, and says so.
func TestFullSpoolDropsAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.set(func() { m.appendFault = func(int, string) (bool, error) { return false, errAway } })
		p, stop := publishing(t, m, Options{SpoolDir: t.TempDir(), SpoolBytes: 16 * 2000})
		const n = 20_000
		for i := range n {
			e := exposure(i)
			p.Record(&e)
			if i%500 == 0 {
				time.Sleep(2 * time.Second)
			}
		}
		time.Sleep(10 * time.Second)
		m.set(func() { m.appendFault = nil })
		time.Sleep(time.Minute)
		for i := range 97 {
			e := exposure(n + i) // the next batches tell what was dropped
			p.Record(&e)
		}
		time.Sleep(time.Minute)
		stop()
		exposures, seen, dropped := totals(m.naive())
		if seen != n+97 || exposures+dropped != seen || dropped == 0 || dropped != p.State().Dropped {
			t.Errorf("%d counted and %d dropped (%d by the publisher) of %d seen, want %d", exposures, dropped, p.State().Dropped, seen, n+97)
		}
	})
}

func told(n int) Feedback {
	e := exposure(n)
	return Feedback{Name: "thumb", Text: "1", Feedback: release.Feedback{
		Exposure: e.ID, Unit: e.Unit, Exposed: e.Time, Time: e.Time, Model: e.Model, Release: e.Release, Stratum: e.Stratum,
		Bin: e.Bin, Arm: e.Arm, Value: release.Value{Kind: release.ValueNumber, Num: 1},
	}}
}

// Accepted means durable: at the moment of the answer the log holds the feedback.
func TestAcceptedFeedbackIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		rng := rand.New(rand.NewPCG(3, 4))
		m.set(func() {
			m.appendFault = func(int, string) (bool, error) {
				if rng.IntN(2) == 0 {
					return rng.IntN(2) == 0, errAway
				}
				return true, nil
			}
		})
		p, stop := publishing(t, m, Options{})
		refused := 0
		for i := range 200 {
			items := []Feedback{told(3 * i), told(3*i + 1)}
			if err := p.Accept(t.Context(), items); err != nil {
				if release.KindOf(err) != release.KindUnavailable {
					t.Fatal(err)
				}
				refused++
				continue
			}
			for _, it := range items {
				if !stored(m, it.Feedback.Exposure, it.Feedback.Bin) {
					t.Fatalf("feedback on %d was accepted but is not in the log", it.Feedback.Exposure)
				}
			}
		}
		if refused == 200 {
			t.Error("all feedback was refused: the test tests nothing")
		}
		stop()
	})
}

func stored(m *memory, exposure uint64, bin uint16) bool {
	for _, b := range m.batches(release.Partition(bin)) {
		for _, f := range b.Feedback {
			if f.Exposure == exposure {
				return true
			}
		}
	}
	return false
}

func TestFeedbackIsRefusedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.set(func() { m.appendFault = func(int, string) (bool, error) { return false, errAway } })
		p, stop := publishing(t, m, Options{SpoolDir: t.TempDir()})
		for range 5 {
			start := time.Now()
			err := p.Accept(t.Context(), []Feedback{told(1)})
			if release.KindOf(err) != release.KindUnavailable || time.Since(start) > acceptTime {
				t.Errorf("%v after %v, want unavailable within %v", err, time.Since(start), acceptTime)
			}
			e := exposure(1)
			p.Record(&e)
			time.Sleep(3 * time.Second)
		}
		stop()
		for name, spoil := range map[string]func(*Feedback){
			"no name":    func(f *Feedback) { f.Name = "" },
			"long name":  func(f *Feedback) { f.Name = strings.Repeat("x", release.MaxDictLen+1) },
			"not finite": func(f *Feedback) { f.Feedback.Value.Num = math.NaN() },
			"bin":        func(f *Feedback) { f.Feedback.Bin = release.Bins },
		} {
			f := told(1)
			spoil(&f)
			if err := p.Accept(t.Context(), []Feedback{f}); release.KindOf(err) != release.KindInvalid {
				t.Errorf("%s: %v, want an invalid error", name, err)
			}
		}
	})
}

// Many who tell at once share one append per partition.
func TestFeedbackIsCommittedInGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, stop := publishing(t, m, Options{})
		errs := make(chan error)
		const n = 300
		for i := range n {
			go func() { errs <- p.Accept(t.Context(), []Feedback{told(i)}) }()
		}
		for range n {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if m.appends > 2*release.Partitions {
			t.Errorf("%d appends for %d callers at once", m.appends, n)
		}
		stop()
	})
}

func TestMarkReachesEveryPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, stop := publishing(t, m, Options{})
		mark := release.Mark{Model: testKey, Release: testNumber, Baseline: &release.Baseline{Made: 5}}
		if err := p.Mark(t.Context(), mark); err != nil {
			t.Fatal(err)
		}
		for i := range release.Partitions {
			if b := m.batches(i); len(b) != 1 || len(b[0].Marks) != 1 || b[0].Marks[0].Baseline.Made != 5 {
				t.Errorf("partition %d has no mark", i)
			}
		}
		stop()
	})
}

// A batch never outgrows its limits, whatever texts the exposures bring, and texts arrive as they were.
func TestHugeDictionariesAreSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, stop := publishing(t, m, Options{})
		const n = 3000
		for i := range n {
			e := exposure(97 * i) // one unit: one partition
			e.N = release.MaxSignals
			for j := range e.Values {
				text := strings.Repeat("x", 50) + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676)) + string(rune('a'+j))
				e.Values[j] = release.Value{Kind: release.ValueCategory, Cat: p.Category(testKey, j, []byte(text))}
			}
			p.Record(&e)
			if i%500 == 499 {
				time.Sleep(time.Second) // all of them fit into a batch by their number, not by their texts
			}
		}
		stop()
		got := 0
		for _, b := range m.batches(0) {
			for _, e := range b.Exposures {
				for j := range e.Values {
					if text := b.Dict[e.Values[j].Cat]; !strings.HasSuffix(text, string(rune('a'+j))) {
						t.Fatalf("signal %d has the text %q", j, text)
					}
				}
				got++
			}
		}
		if got != n {
			t.Errorf("%d of %d exposures arrived", got, n)
		}
	})
}

// What is as large as it may be in every field still fits into batches, whatever of it comes together.
func TestLargestBatchesFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, stop := publishing(t, m, Options{Ring: 1 << 15})
		rng := rand.New(rand.NewPCG(5, 6))
		const n = 12_000
		for i := range n {
			e := release.Exposure{
				ID: math.MaxUint64, Unit: math.MaxUint64, Time: int64(i%2) * (1<<45 - 1), Model: math.MaxUint32, Release: math.MaxUint32,
				Latency: math.MaxUint32 * uint32(i%2), TTFB: math.MaxUint32 * uint32(1-i%2), ReqLen: math.MaxUint32, RespLen: math.MaxUint32,
				Stratum: uint16(i), Status: math.MaxUint16, Bin: 1, Flags: math.MaxUint16, Epoch: 255, Arm: 7,
			}
			switch i / (n / 4) {
			case 1: // many short texts
				e.N = release.MaxSignals
				for j := range e.Values {
					e.Values[j] = release.Value{Kind: release.ValueCategory, Cat: p.Category(testKey, j, fmt.Append(nil, 16*i+j))}
				}
			case 2: // long ones
				e.N = release.MaxSignals
				for j := range e.Values {
					text := fmt.Sprintf("%0*d", release.MaxCategoryLen, 16*i+j)
					e.Values[j] = release.Value{Kind: release.ValueCategory, Cat: p.Category(testKey, j, []byte(text))}
				}
			case 3:
				e.N = release.MaxSignals
				for j := range e.Values {
					e.Values[j] = release.Value{Kind: release.ValueNumber, Num: rng.NormFloat64()}
				}
			}
			p.Record(&e)
			if i%1500 == 1499 {
				time.Sleep(time.Second)
			}
		}
		var items []Feedback
		for i := range 5000 {
			f := told(97 * i)
			f.Name, f.Text = fmt.Sprintf("%0255d", i), fmt.Sprintf("%0255d", -i)
			f.Feedback.Value = release.Value{Kind: release.ValueCategory}
			items = append(items, f)
		}
		mark := release.Mark{Model: testKey, Release: testNumber, Baseline: &release.Baseline{Metrics: map[string]release.MetricBaseline{}}}
		for i := range 1000 {
			mark.Baseline.Metrics[fmt.Sprintf("%050d", i)] = release.MetricBaseline{Mean: 1.0 / 3}
		}
		done := make(chan error)
		go func() { done <- p.Accept(t.Context(), items) }()
		go func() { done <- p.Mark(t.Context(), mark) }()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		stop()
		exposures, feedback, marks := 0, 0, 0
		for _, b := range m.batches(0) {
			exposures, feedback, marks = exposures+len(b.Exposures), feedback+len(b.Feedback), marks+len(b.Marks)
		}
		if s := p.State(); exposures != n || feedback != len(items) || marks != 1 || s.Dropped != 0 || s.Recorded != n {
			t.Errorf("%d of %d exposures, %d of %d feedback, %d marks; %+v", exposures, n, feedback, len(items), marks, s)
		}
		mark.Baseline.Metrics["none"] = release.MetricBaseline{Mean: math.NaN()}
		if err := p.Mark(t.Context(), mark); release.KindOf(err) != release.KindInvalid {
			t.Errorf("a mark that has no JSON form: %v", err)
		}
	})
}

// Partitions are stored together: when the ring of one fills before its time, the others that hold as much go with it.
func TestFullPartitionsGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, stop := publishing(t, m, Options{Ring: 64, Every: time.Hour})
		for i := range 16 * release.Partitions {
			p.Record(&release.Exposure{ID: uint64(i), Model: testKey, Release: testNumber, Bin: uint16(i * release.Bins / release.Partitions % release.Bins)})
		}
		synctest.Wait()
		if m.appends != 0 {
			t.Errorf("%d appends: a quarter of a ring was not waited for", m.appends)
		}
		p.Record(&release.Exposure{ID: 1, Model: testKey, Release: testNumber})
		synctest.Wait()
		for i := range release.Partitions {
			if b := m.batches(i); len(b) != 1 || len(b[0].Exposures) < 16 {
				t.Errorf("partition %d has %d batches", i, len(b))
			}
		}
		for range 16 {
			p.Record(&release.Exposure{ID: 1, Model: testKey, Release: testNumber})
		}
		for range 7 {
			p.Record(&release.Exposure{ID: 1, Model: testKey, Release: testNumber, Bin: release.Bins - 1})
		}
		synctest.Wait()
		if n := m.appends; n != release.Partitions {
			t.Errorf("%d appends: a quarter of a ring was not waited for", n)
		}
		p.Record(&release.Exposure{ID: 1, Model: testKey, Release: testNumber})
		synctest.Wait()
		if n := m.appends; n != release.Partitions+1 {
			t.Errorf("%d appends: partitions that hold little are stored, or a full one is not", n)
		}
		stop()
	})
}

// Mirrored copies are no exposures of their arm's account.
func TestCopiesAreNotSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		p, stop := publishing(t, m, Options{})
		for i := range 50 {
			e := exposure(i)
			e.Kind, e.Flags = release.ExposureWouldBe, release.FlagMirrored
			p.Record(&e)
			e.Kind, e.Arm = release.ExposureCopy, 1
			p.Record(&e)
		}
		stop()
		v := m.naive()
		if exposures, seen, _ := totals(v); exposures != 50 || seen != 50 {
			t.Errorf("%d exposures, %d seen, want 50 and 50", exposures, seen)
		}
		if v.Strata[0].Pairs == nil || v.Strata[0].Pairs.Complete != 50 {
			t.Errorf("pairs %+v, want 50", v.Strata[0].Pairs)
		}
	})
}

func TestSpoolRefusesDamage(t *testing.T) {
	dir := t.TempDir()
	s, err := openSpool(dir, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{"first", "second", "third"} {
		if err := s.put("id-"+data, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	_, _, second, _ := s.oldest()
	_, _, third, _ := s.at(second)
	if _, err := s.file.WriteAt([]byte{'X'}, third+spoolHead+2); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if s, err = openSpool(dir, 0, 1<<20); err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for _, want := range []string{"first", "second"} {
		id, data, next, err := s.oldest()
		if err != nil || id != "id-"+want || string(data) != want {
			t.Fatalf("%q %q %v, want %q", id, data, err, want)
		}
		if err := s.drop(next); err != nil {
			t.Fatal(err)
		}
	}
	if s.waiting() {
		t.Error("a damaged batch is sent")
	}
	if err := s.put("x", make([]byte, 2<<20)); !errors.Is(err, errSpoolFull) {
		t.Errorf("%v, want the spool to be full", err)
	}
}
