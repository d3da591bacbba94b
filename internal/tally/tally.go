package tally

import (
	"sluice.dev/sluice/internal/release"
)

// Tally holds the sums of one release in one partition. It is not safe for concurrent use.
type Tally struct {
	cfg  Config
	prog program

	seq       uint64 // of the log: the last entry that was folded or skipped
	clock     int64  // the log's time up to which everything due was done, ms
	now       int64  // the log's time including the batch that is being folded
	producers producers
	baseline  *release.Baseline
	strata    []*stratum // ascending by id
	last      *stratum   // the latest one used
	units     units
	held      waiting // exposures and feedback that wait for each other
	halves    waiting // answers that wait for the other one of their pair
	dicts     []dictionary
	segments  []segmentDict
	counters  Counters

	// By metric, since the baseline mark.
	class  []release.MetricClass
	invert []bool
	caps   []float64             // means; 0: none
	limits [][]release.Threshold // latency
	tail   []int                 // latency: index of the threshold whose exceedance is the unit's event; -1: none
	asked  []int                 // latency: index of the declared quantile's threshold; -1: none
	since  []int64               // the log's time from which units' records count for the metric; -1: they don't

	texts texts
}

// Counters are what was left out, and why. All are cumulative over the release.
type Counters struct {
	Duplicates    uint64 // batches that were folded before
	MissingBatch  uint64 // batches of a producer that never came, by their numbers
	Malformed     uint64 // events that can't belong to this release and partition
	LateFeedback  uint64 // feedback after its metric's window (R7)
	LateExposures uint64 // exposures that came when their outcome had already been due
	Repeated      uint64 // feedback on the same exposure and metric, told again
	Ignored       uint64 // feedback that no metric reads, or without a usable value
	Thinned       uint64 // exposures and feedback left out because too many were waiting
	Unpaired      uint64 // answers whose other half never came
}

// New returns an empty tally. The error is of kind invalid.
func New(cfg Config) (*Tally, error) {
	cfg.Limits = cfg.Limits.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	prog := compile(cfg.Model)
	if !prog.fits() {
		return nil, &release.Error{
			Kind: release.KindInvalid, Op: "open tally", Msg: "the metrics need more than 64 values per exposure",
			Remedy: "use fewer metrics",
		}
	}
	n := len(prog.metrics)
	t := &Tally{
		cfg: cfg, prog: prog,
		units:  newUnits(cfg.Limits.Units, prog.events, len(prog.closings)),
		held:   newWaiting(cfg.Limits.Held, prog.heldWords),
		halves: newWaiting(cfg.Limits.Halves, prog.halfWords),
		class:  make([]release.MetricClass, n), invert: make([]bool, n), caps: make([]float64, n),
		limits: make([][]release.Threshold, n), tail: make([]int, n), asked: make([]int, n), since: make([]int64, n),
	}
	for range prog.cats {
		t.dicts = append(t.dicts, newDictionary(maxDictNames))
	}
	for range prog.segments {
		t.segments = append(t.segments, newDictionary(maxSegValues))
	}
	for i := range prog.metrics {
		t.tail[i], t.asked[i] = -1, -1
		if t.since[i] = -1; prog.metrics[i].event >= 0 && prog.metrics[i].kind == release.MetricEvent {
			t.since[i] = 0
		}
	}
	return t, nil
}

// Seq returns the number of the last entry of the partition's log that was folded or skipped.
func (t *Tally) Seq() uint64 { return t.seq }

// LastStratum returns the highest stratum that was seen, 0 before any.
func (t *Tally) LastStratum() uint16 {
	if len(t.strata) == 0 {
		return 0
	}
	return t.strata[len(t.strata)-1].id
}

// LogTime returns the latest time that was seen in the log, in Unix milliseconds.
func (t *Tally) LogTime() int64 { return t.clock }

// Counters returns what was left out so far.
func (t *Tally) Counters() Counters { return t.counters }

// TimeOf returns the latest time in a batch, 0 if it has no event. It is the log's only clock.
func TimeOf(b *release.Batch) int64 {
	var ms int64
	for i := range b.Exposures {
		ms = max(ms, b.Exposures[i].Time)
	}
	for i := range b.Feedback {
		ms = max(ms, b.Feedback[i].Time)
	}
	return ms
}

// Fold adds one entry of the partition's log; entries come in the order of the log. An entry that was
// folded before, and a batch that its producer sent before, change nothing. Events of other releases
// are passed over, but their time counts. The error is of kind invalid: a batch without a number.
func (t *Tally) Fold(logSeq uint64, b *release.Batch) error {
	return t.fold(logSeq, b, TimeOf(b), true)
}

// Skip is Fold for a batch that is known to hold nothing of this release; latest is its TimeOf.
func (t *Tally) Skip(logSeq uint64, b *release.Batch, latest int64) error {
	return t.fold(logSeq, b, latest, false)
}

func (t *Tally) fold(logSeq uint64, b *release.Batch, latest int64, concerns bool) error {
	if logSeq <= t.seq {
		return nil
	}
	t.seq = logSeq
	if b.Seq == 0 {
		return &release.Error{Kind: release.KindInvalid, Op: "fold batch", Msg: "the batch has no sequence number"}
	}
	t.now = max(t.clock, latest)
	fresh, missing := t.producers.admit(b, t.now)
	t.counters.MissingBatch += missing
	if !fresh {
		t.counters.Duplicates++
		return nil
	}
	if concerns {
		t.foldEvents(b)
	}
	if t.now > t.clock {
		t.closeRecords(t.now)
		t.mature(t.now)
		t.clock = t.now
	}
	return nil
}

func (t *Tally) foldEvents(b *release.Batch) {
	t.texts.reset(b.Dict, t.prog.cats, len(t.prog.segments))
	for i := range b.Counts {
		if c := &b.Counts[i]; c.Model == t.cfg.Key && c.Release == t.cfg.Number {
			t.count(c)
		}
	}
	for i := range b.Marks {
		if m := &b.Marks[i]; m.Model == t.cfg.Key && m.Release == t.cfg.Number {
			t.mark(m)
		}
	}
	for i := range b.Exposures {
		if e := &b.Exposures[i]; e.Model == t.cfg.Key && e.Release == t.cfg.Number {
			t.exposure(e)
		}
	}
	for i := range b.Feedback {
		if f := &b.Feedback[i]; f.Model == t.cfg.Key && f.Release == t.cfg.Number {
			t.feedback(f)
		}
	}
}

// Concerns says whether the batch holds anything of the release.
func Concerns(b *release.Batch, key release.ModelKey, number uint32) bool {
	for i := range b.Exposures {
		if b.Exposures[i].Model == key && b.Exposures[i].Release == number {
			return true
		}
	}
	for i := range b.Feedback {
		if b.Feedback[i].Model == key && b.Feedback[i].Release == number {
			return true
		}
	}
	for i := range b.Counts {
		if b.Counts[i].Model == key && b.Counts[i].Release == number {
			return true
		}
	}
	for i := range b.Marks {
		if b.Marks[i].Model == key && b.Marks[i].Release == number {
			return true
		}
	}
	return false
}

func (t *Tally) count(c *release.ArmCount) {
	if int(c.Arm) >= t.cfg.Arms || c.Stratum == 0 {
		t.counters.Malformed++
		return
	}
	seen, dropped := t.producers.all[t.producers.last].count(c)
	if seen == 0 && dropped == 0 {
		return
	}
	s := t.stratumOf(c.Stratum, 0, release.ExposureServe)
	if s == nil {
		t.counters.Malformed++
		return
	}
	s.version++
	s.arms[c.Arm].seen += seen
	s.arms[c.Arm].dropped += dropped
}
