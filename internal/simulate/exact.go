package simulate

import (
	"container/heap"
	"math"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// exact is the slow source: it draws every request and every outcome, writes them into the log of their partition once a second and
// folds that in package tally. It is the oracle of the fast source.
type exact struct {
	o       *Options
	pop     *population
	c       chance
	who     people
	now     float64
	next    float64   // time of the next request
	cum     []float64 // cumulative activity
	tallies [release.Partitions]*tally.Tally
	batches [release.Partitions]release.Batch
	seq     uint64
	at      served
	pending outcomes
	id      uint64
	met     []bool // by user: the candidate answered
	dict    []string
	names   map[string]uint32 // feedback and categories in dict
	v       *tally.View
}

// flush is how often a producer writes, in ms.
const flush = 1000

// apart lets each metric read a value of its own. Metrics that read one value of the answer, or one feedback, are drawn independently
// like all others (see the package comment), which one value could not show. A latency can't read anything else: a second one on it sees the same times,
// and only if nothing else is said of it.
func apart(o *Options) error {
	taken := map[string]*release.Metric{}
	for i := range o.Model.Spec.Metrics {
		m := &o.Model.Spec.Metrics[i]
		spec, err := m.Source.Parse()
		if err != nil {
			return err
		}
		facts := factsOf(spec)
		var other *release.Metric
		for _, fact := range facts {
			if taken[fact] != nil {
				other = taken[fact]
			}
			taken[fact] = m
		}
		own := "simulated_" + m.Name
		switch {
		case other == nil:
		case m.Kind == release.MetricLatency:
			if o.Truth[m.Name] != o.Truth[other.Name] || o.base(*m).Mean != o.base(*other).Mean {
				return release.Invalid("simulate", "request by request, %s and %s are the same time and can't differ", m.Name, other.Name).
					Fix("say the same of both, or leave exact out")
			}
		case spec.Kind == release.SourceAgree:
			m.Source = release.Source("agree(json:" + own + ", feedback:" + own + ")")
		case spec.Kind == release.SourceFeedback:
			m.Source = release.Source("feedback:" + own)
		default:
			m.Source = release.Source("json:" + own)
		}
	}
	if n := len(o.Model.Signals()); n > release.MaxSignals {
		return release.Invalid("simulate", "request by request, the metrics read %d values, at most %d are possible", n, release.MaxSignals).Fix("leave exact out")
	}
	return nil
}

// factsOf lists what a source reads of a request, its answer and its feedback.
func factsOf(s release.SourceSpec) (facts []string) {
	switch s.Kind {
	case release.SourceError, release.SourceTimeout, release.SourceStatus:
		return []string{"fault"}
	case release.SourceLatency, release.SourceTTFB:
		return []string{s.String()}
	}
	if s.ReadsAnswer() {
		facts = append(facts, "answer "+s.Selector.String())
	}
	if s.Feedback != "" {
		facts = append(facts, "feedback "+s.Feedback)
	}
	return facts
}

func newExact(o *Options, pop *population, c chance) (source, error) {
	e := &exact{o: o, pop: pop, c: c, who: newPeople(o.Users, c), names: map[string]uint32{}, met: make([]bool, o.Users)}
	for _, r := range pop.rates {
		last := 0.0
		if n := len(e.cum); n > 0 {
			last = e.cum[n-1]
		}
		e.cum = append(e.cum, last+r)
	}
	for i := range pop.laws {
		e.intern(pop.laws[i].feedback)
		for _, name := range classNames(max(pop.laws[i].classes, 2)) {
			e.intern(name)
		}
	}
	for p := range e.tallies {
		t, err := tally.New(tally.Config{Model: o.Model, Key: release.ModelKeyOf(o.Model.Metadata.Name), Number: 1, Arms: 2, Partition: p})
		if err != nil {
			return nil, err
		}
		e.tallies[p] = t
	}
	e.next = c.wait(pop.total)
	return e, nil
}

func (e *exact) intern(name string) {
	if _, ok := e.names[name]; !ok {
		e.names[name] = uint32(len(e.dict))
		e.dict = append(e.dict, name)
	}
}

func (e *exact) open(s served) { e.at = s }

func (e *exact) advance(to float64) {
	for e.now < to {
		until := min(to, (math.Floor(e.now/flush)+1)*flush)
		for e.next < until {
			e.request(e.next)
			e.next += e.c.wait(e.pop.total)
		}
		for len(e.pending) > 0 && float64(e.pending[0].Time-epoch.UnixMilli()) < until {
			f := heap.Pop(&e.pending).(release.Feedback) //nolint:forcetypeassert // the heap holds nothing else
			b := &e.batches[release.Partition(f.Bin)]
			b.Feedback = append(b.Feedback, f)
		}
		e.now = until
		e.fold()
	}
	e.v = tally.Merge(e.tallies[:]...)
}

// fold writes what happened since the last time. The clock of every log moves, as other releases' entries would move it.
func (e *exact) fold() {
	e.seq++
	for p := range e.batches {
		b := &e.batches[p]
		b.Producer, b.Incarnation, b.Seq, b.Dict = "simulation", 1, e.seq, e.dict
		now := epoch.UnixMilli() + int64(e.now)
		var err error
		if len(b.Exposures)+len(b.Feedback)+len(b.Marks) > 0 {
			err = e.tallies[p].Fold(2*e.seq-1, b)
		}
		if err == nil {
			clock := release.Batch{Producer: "clock", Incarnation: 1, Seq: e.seq}
			err = e.tallies[p].Skip(2*e.seq, &clock, now)
		}
		if err != nil {
			panic("simulate: a batch of our own can't be folded: " + err.Error())
		}
		b.Exposures, b.Feedback, b.Marks = b.Exposures[:0], b.Feedback[:0], nil
	}
}

// request draws one request, its answers and its outcome.
func (e *exact) request(at float64) {
	u := e.user()
	arm := e.at.armOf(e.who.hash[u])
	e.met[u] = e.met[u] || arm == 1 && e.at.kind == release.ExposureServe
	e.id++
	x := release.Exposure{
		ID: mix(e.id), Unit: e.who.hash[u], Time: epoch.UnixMilli() + int64(at), Model: release.ModelKeyOf(e.o.Model.Metadata.Name),
		Release: 1, Stratum: e.at.id, Epoch: e.at.epoch, Status: 200, Bin: uint16(e.who.bin[u]), Arm: arm, Kind: e.at.kind, N: release.MaxSignals,
	}
	version := arm
	if e.at.kind == release.ExposureWouldBe {
		version = 0
	}
	mirrored := e.at.mirror > 0 && e.who.mirror[u] < e.at.mirror.Fraction()
	if mirrored {
		x.Flags |= release.FlagMirrored
	}
	cp := x
	wants := e.answer(&x, u, version, at, nil)
	e.record(&x)
	if mirrored {
		cp.Kind, cp.Arm, cp.Flags = release.ExposureCopy, 1, 0
		e.answer(&cp, u, 1, at, wants)
		e.record(&cp)
	}
	e.outcomes(&x, wants)
}

func (e *exact) record(x *release.Exposure) {
	b := &e.batches[release.Partition(x.Bin)]
	b.Exposures = append(b.Exposures, *x)
}

// user draws who sends the next request.
func (e *exact) user() int32 {
	x := e.c.Float64() * e.cum[len(e.cum)-1]
	lo, hi := 0, len(e.cum)-1
	for lo < hi {
		if mid := (lo + hi) / 2; e.cum[mid] < x {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return int32(lo)
}

// answer fills an exposure with what a version answers. truth is, for agree metrics, the true outcome that the primary answer
// fixed; nil draws it. It returns the outcomes by metric.
func (e *exact) answer(x *release.Exposure, u int32, version uint8, at float64, truth []release.Value) []release.Value {
	out := make([]release.Value, len(e.pop.laws))
	copy(out, truth)
	for i := range e.pop.laws {
		l := &e.pop.laws[i]
		switch {
		case l.agree:
			e.agree(l, x, u, version, at, &out[i], truth != nil)
		case l.lag > 0:
			if truth == nil {
				out[i] = e.value(l, u, version, at)
			}
		case l.classes > 0:
			x.Values[l.signal] = e.category(l, u, version)
		default:
			e.put(l, x, e.value(l, u, version, at).Num)
		}
	}
	return out
}

// agree makes the answer right or wrong: the first answer fixes the outcome, a copy's answer is set by it.
func (e *exact) agree(l *law, x *release.Exposure, u int32, version uint8, at float64, truth *release.Value, fixed bool) {
	word := func(s string) release.Value { return release.Value{Kind: release.ValueCategory, Cat: e.names[s]} }
	yes, no := word("a"), word("b")
	right := e.c.flip(e.binaryRate(l, u, version, at))
	if !fixed {
		if *truth = yes; !right {
			*truth = no
		}
		x.Values[l.signal] = yes
		return
	}
	if right != (*truth == yes) {
		yes = no
	}
	x.Values[l.signal] = yes
}

func (e *exact) category(l *law, u int32, version uint8) release.Value {
	k := int32(l.classes)
	p := e.who.profile[u]
	j := e.c.pick(l.shares[version][p*k : (p+1)*k])
	return release.Value{Kind: release.ValueCategory, Cat: e.names[classNames(l.classes)[j]]}
}

func (e *exact) binaryRate(l *law, u int32, version uint8, at float64) float64 {
	rates := l.p[version]
	if i := e.o.Incident; i != nil && l.incident[0] != nil && at >= float64(i.At)/1e6 && at < float64(i.At+i.For)/1e6 {
		rates = l.incident[version]
	}
	return rates[e.who.profile[u]]
}

// value draws a number: 0 or 1, a latency in µs, or a mean's value.
func (e *exact) value(l *law, u int32, version uint8, at float64) release.Value {
	v := release.Value{Kind: release.ValueNumber}
	switch l.metric.Kind {
	case release.MetricLatency:
		v.Num = float64(l.latency(version, e.who.profile[u], 0, e.c))
	case release.MetricMean:
		v.Num = e.c.ExpFloat64() * l.mean(version, e.who.profile[u])
	case release.MetricCategory:
		return e.category(l, u, version)
	default:
		if e.c.flip(e.binaryRate(l, u, version, at)) {
			v.Num = 1
		}
	}
	return v
}

// put writes an immediate metric's value where tally reads it.
func (e *exact) put(l *law, x *release.Exposure, y float64) {
	switch l.source.Kind {
	case release.SourceError, release.SourceTimeout:
		if y == 1 {
			x.Fault = release.FaultTimeout // its time counts, as that of every other request
		}
	case release.SourceStatus:
		if y == 1 {
			x.Status = l.source.Status
		}
	case release.SourceLatency:
		x.Latency = uint32(y)
	case release.SourceTTFB:
		x.TTFB = uint32(y)
	default:
		if l.metric.Kind == release.MetricLatency {
			y /= 1000 // told in ms
		}
		x.Values[l.signal] = release.Value{Kind: release.ValueNumber, Num: y}
	}
}

// outcomes tells what is told later.
func (e *exact) outcomes(x *release.Exposure, wants []release.Value) {
	if !e.c.flip(e.o.FeedbackRate) {
		return
	}
	for i := range e.pop.laws {
		l := &e.pop.laws[i]
		if l.lag == 0 {
			continue
		}
		if l.metric.Kind == release.MetricLatency {
			wants[i].Num /= 1000
		}
		heap.Push(&e.pending, release.Feedback{
			Exposure: x.ID, Unit: x.Unit, Exposed: x.Time, Time: x.Time + int64(l.delay), Model: x.Model, Release: 1, Stratum: x.Stratum,
			Bin: x.Bin, Epoch: x.Epoch, Arm: x.Arm, Kind: x.Kind, Name: e.names[l.feedback], Value: wants[i],
		})
	}
}

func (e *exact) mark(b *release.Baseline) {
	for p := range e.batches {
		e.batches[p].Marks = []release.Mark{{Model: release.ModelKeyOf(e.o.Model.Metadata.Name), Release: 1, Baseline: b}}
	}
	e.fold()
	e.v = tally.Merge(e.tallies[:]...)
}

func (e *exact) view() *tally.View { return e.v }

func (e *exact) exposed() (live, candidate uint64) { return exposedIn(e.v) }

func (e *exact) users() (n uint64) {
	for _, m := range e.met {
		if m {
			n++
		}
	}
	return n
}

// mix spreads ids over all 64 bits (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// outcomes is a heap of what is told later, by time.
type outcomes []release.Feedback

func (o outcomes) Len() int           { return len(o) }
func (o outcomes) Less(i, j int) bool { return o[i].Time < o[j].Time }
func (o outcomes) Swap(i, j int)      { o[i], o[j] = o[j], o[i] }
func (o *outcomes) Push(x any)        { *o = append(*o, x.(release.Feedback)) } //nolint:forcetypeassert // heap.Push gives what it got
func (o *outcomes) Pop() any {
	old := *o
	x := old[len(old)-1]
	*o = old[:len(old)-1]
	return x
}
