package judge

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// service is a release whose exposures go through the real tally, all 16 partitions of it.
type service struct {
	t      *testing.T
	rng    *rand.Rand
	mod    *release.Model
	parts  []*tally.Tally
	seq    uint64
	now    int64
	id     uint64
	strata []Stratum
}

func newService(t *testing.T, seed uint64) *service {
	t.Helper()
	e, s := errorsMetric(), slowMetric()
	e.Window = release.Duration(5 * time.Second)
	sv := &service{t: t, rng: rand.New(rand.NewPCG(seed, 1)), mod: model(e, s).Normalise(), now: 1_700_000_000_000}
	for p := range release.Partitions {
		part, err := tally.New(tally.Config{Model: sv.mod, Key: 1, Number: 1, Arms: 2, Partition: p})
		if err != nil {
			t.Fatal(err)
		}
		sv.parts = append(sv.parts, part)
	}
	return sv
}

func (sv *service) open(epoch uint8, share release.Share) {
	sv.strata = append(sv.strata, Stratum{
		ID: uint16(len(sv.strata) + 1), Epoch: epoch, Kind: release.ExposureServe,
		Shares: []release.Share{release.Whole - share, share},
	})
}

// traffic sends n requests of 8,000 users; the candidate fails with rate fail and takes slow times as long.
func (sv *service) traffic(n int, fail, slow float64) {
	batches := make([]release.Batch, release.Partitions)
	s := &sv.strata[len(sv.strata)-1]
	for range n {
		sv.now += 5
		sv.id++
		u := uint64(math.Floor(8000 * math.Pow(sv.rng.Float64(), 1.5)))
		hash := (u + 1) * 0x9e3779b97f4a7c15
		e := release.Exposure{
			ID: sv.id, Unit: hash, Time: sv.now, Model: 1, Release: 1, Stratum: s.ID, Epoch: s.Epoch,
			Bin: uint16(hash >> 20 % release.Bins), Status: 200, Kind: release.ExposureServe,
		}
		rate, ms := 0.01, 20*math.Exp(0.4*sv.rng.NormFloat64())
		if float64(hash>>11)/(1<<53) > 1-float64(s.Shares[1])/1e6 {
			e.Arm, rate, ms = 1, fail, ms*slow
		}
		if sv.rng.Float64() < rate {
			e.Fault, e.Status = release.FaultTimeout, 504
		}
		e.Latency = uint32(ms * 1000)
		b := &batches[release.Partition(e.Bin)]
		b.Exposures = append(b.Exposures, e)
	}
	sv.fold(batches)
}

func (sv *service) fold(batches []release.Batch) {
	sv.seq++
	for p := range batches {
		b := &batches[p]
		b.Producer, b.Incarnation, b.Seq = "g1", 1, sv.seq
		if err := sv.parts[p].Fold(sv.seq, b); err != nil {
			sv.t.Fatal(err)
		}
	}
}

func (sv *service) freeze(b *release.Baseline) {
	batches := make([]release.Batch, release.Partitions)
	for p := range batches {
		batches[p].Marks = []release.Mark{{Model: 1, Release: 1, Baseline: b}}
	}
	sv.fold(batches)
}

func (sv *service) look(b *release.Baseline, mem Memory) Assessment {
	return Assess(Input{Model: sv.mod, Baseline: b, Step: release.StepABTest, Strata: sv.strata, View: tally.Merge(sv.parts...), Memory: mem, Rate: 200})
}

// TestThroughTheTally follows a release from its first exposure through the baseline to its verdicts.
func TestThroughTheTally(t *testing.T) {
	for _, tc := range []struct {
		name       string
		fail, slow float64
		harm       bool
		states     [2]State
	}{
		{"healthy", 0.01, 1, false, [2]State{NoWorse, NoWorse}},
		{"fails more", 0.08, 1, true, [2]State{Worse, NoWorse}},
		{"slower", 0.01, 1.6, true, [2]State{NoWorse, Worse}},
	} {
		sv := newService(t, 5)
		sv.mod.Spec.Metrics[0].Margin = points(2)
		sv.mod.Spec.Metrics[0].Tolerate = points(1)
		sv.open(1, 500_000)
		sv.traffic(100, tc.fail, tc.slow)
		if b, missing := MakeBaseline(sv.mod, tally.Merge(sv.parts...), sv.strata, time.UnixMilli(sv.now)); b != nil || missing == "" {
			t.Fatalf("%s: a baseline of 100 requests: %v", tc.name, b)
		}
		sv.traffic(3000, tc.fail, tc.slow)
		view := tally.Merge(sv.parts...)
		b, missing := MakeBaseline(sv.mod, view, sv.strata, time.UnixMilli(sv.now))
		if b == nil {
			t.Fatalf("%s: %s", tc.name, missing)
		}
		if a := sv.look(b, Memory{}); a.Verdicts[1].State != Waiting {
			t.Errorf("%s: before the mark is folded: %s", tc.name, a.Verdicts[1].State)
		}
		sv.freeze(b)
		mem := Memory{}
		var a Assessment
		for i := range 12 {
			if i == 6 {
				sv.open(2, 800_000)
			}
			sv.traffic(2500, tc.fail, tc.slow)
			a = sv.look(b, mem)
			mem = a.Memory
		}
		if a.Harm != tc.harm || a.Ratio.Warn {
			t.Errorf("%s: harm %v, ratio %s", tc.name, a.Harm, a.Ratio.Reason)
		}
		for i, v := range a.Verdicts {
			if v.State != tc.states[i] {
				t.Errorf("%s: %s, want %s: %s", tc.name, v.State, tc.states[i], v.Reason)
			}
			t.Logf("%s: %s", v.State, v.Reason)
		}
		if a.Exposures[0] == 0 || a.Exposures[1] < 3*a.Exposures[0] {
			t.Errorf("exposures of the present step %v at shares 20:80", a.Exposures)
		}
	}
}
