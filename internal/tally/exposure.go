package tally

import (
	"math"

	"sluice.dev/sluice/internal/release"
)

// place is where an observation belongs: a bin of an arm of a stratum, and the unit behind it.
type place struct {
	s       *stratum
	arm     uint8
	bin     int
	unit    int // in the unit set; -1: not there
	single  bool
	epoch   uint8
	time    int64 // of the exposure
	segs    uint64
	segment bool // counts for segments
}

// noUnit marks observations without a unit in the set.
const noUnit = -1

// exposure folds one exposure of this release.
func (t *Tally) exposure(e *release.Exposure) {
	bin := int(e.Bin) - t.cfg.Partition*partBins
	if bin < 0 || bin >= partBins || int(e.Arm) >= t.cfg.Arms || e.Stratum == 0 || e.Epoch > maxEpoch ||
		e.N > release.MaxSignals || e.Kind > release.ExposureCopy {
		t.counters.Malformed++
		return
	}
	s := t.stratumOf(e.Stratum, e.Epoch, release.ExposureWouldBe)
	if s == nil {
		t.counters.Malformed++
		return
	}
	s.version++
	if e.Kind == release.ExposureCopy {
		t.copied(s, e, bin)
		return
	}
	if !s.known {
		s.epoch, s.kind, s.known = e.Epoch, e.Kind, true
	}
	a := &s.arms[e.Arm]
	a.exposures++
	at := place{s: s, arm: e.Arm, bin: bin, unit: noUnit, epoch: e.Epoch, time: e.Time, single: e.Flags&release.FlagPerRequest != 0}
	if at.single {
		a.units++
		a.newUnits++
	} else {
		at.unit = t.meet(s, a, e)
	}
	if len(t.segments) > 0 && (e.Kind == release.ExposureServe || e.Flags&release.FlagMirrored != 0) {
		at.segs = t.segmentsOf(e)
		if at.segment = e.Kind == release.ExposureServe; at.segment {
			t.countSegments(&at, e.Arm)
		}
	}
	if diverted(e) {
		return
	}
	for _, i := range t.prog.immediate {
		m := &t.prog.metrics[i]
		if m.cat >= 0 {
			if c, ok := t.category(m, e); ok {
				t.observeCategory(i, &at, c)
			}
		} else if y, ok := t.value(m, e); ok {
			t.observe(i, &at, y)
		}
	}
	if e.Flags&release.FlagMirrored != 0 {
		t.half(&at, e, false)
	}
	if t.prog.needsAnswer {
		t.hold(e, bin, at.segs)
	}
}

// diverted says that live answered for the candidate without a try, because the gateway's breaker was
// open or its lease over, or that nobody saw the answer, because only the assignment was asked for. Such an exposure counts for the arm's units, so that the sample ratio stays
// right, and says nothing about the version: as a success of the candidate it would hide the harm that
// opened the breaker. (A fall-back after a failure is another thing: it counts as the failure.)
func diverted(e *release.Exposure) bool {
	return e.Flags&(release.FlagBreaker|release.FlagLease|release.FlagEvaluated) != 0
}

// baseRoom is how much earlier than the first exposure another gateway's may be, ms.
const baseRoom = 3600 * 1000

// meet accounts the exposure to its unit and returns the unit's place in the set.
func (t *Tally) meet(s *stratum, a *armSums, e *release.Exposure) int {
	if t.units.base == 0 {
		t.units.base = e.Time - baseRoom
	}
	i, isNew := t.units.touch(e.Unit)
	if i < 0 {
		return noUnit
	}
	if isNew {
		a.newUnits++
	}
	// Strata are numbered in time; a gateway that lags may still serve the one before.
	u := &t.units.all[i]
	if s.id <= u.stratum {
		return i
	}
	u.stratum, u.arm, u.first, u.window = s.id, e.Arm, t.units.ticks(e.Time), 0
	a.units += 1 << t.units.level
	if under(e.Unit, s.level) && len(t.prog.closings) > 0 && !diverted(e) {
		t.units.queue.push(opened{at: t.now, unit: uint32(i), stratum: s.id})
	}
	return i
}

// value reads a metric that is a number. Whether an exposure counts depends on its own fault only.
func (t *Tally) value(m *metric, e *release.Exposure) (float64, bool) {
	switch m.source {
	case release.SourceError:
		return indicator(e.Failed()), true
	case release.SourceTimeout:
		return indicator(e.Fault == release.FaultTimeout), true
	case release.SourceStatus:
		return indicator(e.Status == m.status), true
	case release.SourceLatency:
		return float64(e.Latency), timed(e)
	case release.SourceTTFB:
		return float64(e.TTFB), timed(e)
	default:
		if m.signal < 0 || m.signal >= int(e.N) {
			return 0, false
		}
		return t.number(m, &e.Values[m.signal])
	}
}

// number reads a value as the metric's kind takes it: events and proportions as 0 or 1.
func (t *Tally) number(m *metric, v *release.Value) (float64, bool) {
	y, ok := t.texts.number(v)
	switch m.kind {
	case release.MetricMean:
		y = max(-mostValue, min(y, mostValue))
	case release.MetricLatency:
		y = max(0, min(y*1000, math.MaxUint32)) // told in milliseconds, counted in microseconds
	default:
		y = indicator(y != 0)
	}
	return y, ok
}

// mostValue clips absurd values of means, so that no sum of squares can overflow.
const mostValue = 1e100

// timed says whether the time of the answer tells something about the version: not when the answer
// broke off or the client went away. A deadline that passed is a long time.
func timed(e *release.Exposure) bool {
	return e.Fault != release.FaultUpstream && e.Fault != release.FaultGateway &&
		e.Flags&(release.FlagCancelled|release.FlagTruncated) == 0
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (t *Tally) category(m *metric, e *release.Exposure) (int, bool) {
	if m.signal < 0 || m.signal >= int(e.N) {
		return 0, false
	}
	return t.texts.lookUp(&e.Values[m.signal], &t.dicts[m.cat], t.texts.cats[m.cat])
}

// observe adds one number to a metric's sums: latency in microseconds, everything else as measured.
func (t *Tally) observe(i int, at *place, y float64) {
	m, sums := &t.prog.metrics[i], &at.s.arms[at.arm].metrics[i]
	event := false
	switch m.kind {
	case release.MetricLatency:
		event = t.observeLatency(i, sums, at, uint32(y))
		y /= 1000
	case release.MetricMean:
		sums.rawN++
		sums.rawY += y
		if cap := t.caps[i]; cap > 0 {
			y = min(y, cap)
		} else if t.baseline == nil {
			if sums.hist == nil {
				sums.hist = newHist(ValueBuckets)
			}
			sums.hist.add(ValueBucket(y), 1)
		}
	default:
		event = (y == 1) != t.invert[i]
	}
	sums.observe(at.bin, y)
	if at.segment {
		t.observeSegments(i, at, at.arm, y, y*y)
	}
	if t.counting(i) {
		t.event(i, at, sums, event)
	}
}

// counting says whether units are counted for the metric.
func (t *Tally) counting(i int) bool { return t.since[i] >= 0 }

// observeLatency counts a latency in the histogram and beyond the frozen thresholds, and says whether
// it lies in the tail that counts as the unit's event.
func (t *Tally) observeLatency(i int, sums *metricSums, at *place, us uint32) bool {
	if sums.hist == nil {
		sums.hist = newHist(LatencyBuckets)
	}
	sums.hist.add(Bucket(us), 1)
	limits := t.limits[i]
	if k := t.asked[i]; k >= 0 && at.arm != 0 && us > limits[k].X {
		if sums.overLive.lo == nil {
			sums.overLive = newCounts(partBins)
		}
		sums.overLive.inc(at.bin)
	}
	for j := range limits {
		x, margin := limits[j].Tolerate, limits[j].Margin
		if at.arm == 0 {
			x = limits[j].X
		}
		if us > x {
			row(&sums.over, j, len(limits)).inc(at.bin)
		}
		if at.arm != 0 && us > margin {
			row(&sums.overMargin, j, len(limits)).inc(at.bin)
		}
	}
	return t.tail[i] >= 0 && us > tailLimit(limits[t.tail[i]], at.arm)
}

func tailLimit(x release.Threshold, arm uint8) uint32 {
	if arm == 0 {
		return x.X
	}
	return x.Tolerate
}

func (t *Tally) observeCategory(i int, at *place, c int) {
	sums := &at.s.arms[at.arm].metrics[i]
	sums.observe(at.bin, 0)
	row(&sums.cats, c, t.dicts[t.prog.metrics[i].cat].rows()).inc(at.bin)
	if at.segment {
		t.observeSegments(i, at, at.arm, 0, 0)
	}
}

// event accounts an observation to its unit: the first event of the epoch and of the release (R1) and
// whether it fell into the unit's window (R3). A request that named no unit is a unit by itself.
func (t *Tally) event(i int, at *place, sums *metricSums, happened bool) {
	m := &t.prog.metrics[i]
	if at.single {
		sums.closed++
		if happened {
			sums.with++
			sums.first++
			sums.ever++
		}
		return
	}
	if !happened || at.unit < 0 {
		return
	}
	latest := &t.units.epochsOf(at.unit)[m.event]
	if *latest <= at.epoch {
		sums.first++
		if *latest == 0 {
			sums.ever++
		}
		*latest = at.epoch + 1
	}
	u := &t.units.all[at.unit]
	if u.stratum == at.s.id && t.units.inWindow(u, at.time, m.window) {
		u.window |= 1 << m.event
	}
}
