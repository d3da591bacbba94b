package tally

import (
	"fmt"
	"slices"

	"github.com/zeebo/xxh3"

	"sluice.dev/sluice/internal/release"
)

// metric is one metric of the model, compiled: where its value comes from and what is kept of it.
type metric struct {
	name     string
	kind     release.MetricKind
	source   release.SourceKind
	status   uint16
	signal   int // index into Exposure.Values; -1: none
	feed     int // index into program.names; -1: needs no feedback
	window   int64
	quantile float64 // latency: the declared one
	zero     bool    // feedback that never comes counts as 0
	event    int     // index of the metric's units' state; -1: never counts units
	held     int     // index of its first word in a held entry; -1: none
	half     int     // index of its word in a half pair; -1: not paired
	cat      int     // index among category metrics; -1: none
	live     bool    // its answer's value must be held until the outcome is there (agree)
	closing  int     // index into program.closings of its units' records; -1: none
}

// delayed says whether the metric enters once the exposure is one window old.
func (m *metric) delayed() bool { return m.feed >= 0 }

// program is what a model's metrics and segments ask of each event. It depends on the metrics and
// segments alone, never on the plan, so that an adjusted plan leaves a tally readable.
type program struct {
	metrics     []metric
	immediate   []int    // indices of metrics that an exposure alone decides
	delayed     []int    // and of those that wait for feedback
	names       []string // of feedback, each once
	windows     []int64  // distinct windows of delayed metrics, ascending
	closings    []int64  // distinct delays after which a unit's record closes, ascending
	segments    []segmentSignal
	events      int // metrics that may count units
	cats        int
	heldWords   int
	halfWords   int
	needsAnswer bool // exposures are held, not only their feedback
	agrees      []int
	pairWait    int64 // how long an answer waits for the other one of its pair, ms
	perRequest  bool
	print       uint64 // of all that the layout of a snapshot depends on
}

type segmentSignal struct {
	name   string
	signal int
}

// pairSlack is what a mirrored answer may take beyond the slowest version's deadline, ms.
const pairSlack = 30_000

func compile(m *release.Model) program {
	p := program{perRequest: m.Spec.Unit.Missing == release.MissingPerRequest}
	readings := m.Readings()
	for i := range m.Spec.Metrics {
		p.add(&m.Spec.Metrics[i], readings[i])
	}
	for i := range p.metrics {
		p.layOut(i)
	}
	for i, s := range m.Signals() {
		if s.Segment != "" && i < release.MaxSignals {
			p.segments = append(p.segments, segmentSignal{name: s.Segment, signal: i})
		}
	}
	p.pairWait = release.DefaultVersionTimeout.Milliseconds()
	for _, v := range m.Spec.Versions {
		p.pairWait = max(p.pairWait, millis(v.Timeout))
	}
	p.pairWait += pairSlack
	p.print = p.fingerprint()
	return p
}

func (p *program) add(m *release.Metric, r release.Reading) {
	c := metric{
		name: m.Name, kind: m.Kind, source: r.Source.Kind, status: r.Source.Status, signal: r.Signal,
		zero: m.Missing == release.MissingZero, feed: -1, event: -1, held: -1, half: -1, cat: -1, closing: -1,
	}
	if c.kind == "" {
		c.kind = defaultKind(c.source)
	}
	if c.signal >= release.MaxSignals {
		c.signal = -1
	}
	c.window = millis(m.Window)
	if c.window <= 0 {
		c.window = release.DefaultWindow.Milliseconds()
	}
	if r.Feedback != "" {
		c.feed = slices.Index(p.names, r.Feedback)
		if c.feed < 0 {
			c.feed = len(p.names)
			p.names = append(p.names, r.Feedback)
		}
	}
	if c.quantile = m.Quantile; c.quantile <= 0 {
		c.quantile = release.DefaultQuantile
	}
	c.live = c.source == release.SourceAgree
	p.metrics = append(p.metrics, c)
}

// defaultKind is the kind of a metric whose file leaves it out: for models that were not normalised.
func defaultKind(s release.SourceKind) release.MetricKind {
	switch s {
	case release.SourceError, release.SourceTimeout, release.SourceStatus:
		return release.MetricEvent
	case release.SourceLatency, release.SourceTTFB:
		return release.MetricLatency
	case release.SourceAgree:
		return release.MetricProportion
	default:
		return release.MetricMean
	}
}

// layOut gives metric i its places in the units' state, in held entries and in half pairs.
func (p *program) layOut(i int) {
	m := &p.metrics[i]
	if m.kind == release.MetricCategory {
		m.cat = p.cats
		p.cats++
	} else if m.kind != release.MetricMean && p.events < maxEvents {
		m.event = p.events
		p.events++
	}
	if !m.delayed() {
		p.immediate = append(p.immediate, i)
		m.half = p.halfWords
		p.halfWords++
		m.closing = p.closingClass(m, m.window)
		return
	}
	p.delayed = append(p.delayed, i)
	m.held = p.heldWords
	p.heldWords++ // the outcome
	if m.live {
		p.heldWords += 2 // the answers: the arm's and the copy's
		p.agrees = append(p.agrees, i)
	}
	p.needsAnswer = p.needsAnswer || m.live || m.zero
	if !slices.Contains(p.windows, m.window) {
		p.windows = append(p.windows, m.window)
		slices.Sort(p.windows)
	}
	// The last exposure of the record's window has a window of its own for its outcome.
	m.closing = p.closingClass(m, 2*m.window)
}

func (p *program) closingClass(m *metric, delay int64) int {
	if m.event < 0 {
		return -1
	}
	// Classes keep their order of appearance: drains visit all of them.
	if i := slices.Index(p.closings, delay); i >= 0 {
		return i
	}
	p.closings = append(p.closings, delay)
	return len(p.closings) - 1
}

// word is the presence bit of word i of a held entry or half pair.
func word(i int) uint64 { return 1 << i }

// fits says whether the presence bits of an entry can tell all its words apart.
func (p *program) fits() bool { return p.heldWords <= 64 && p.halfWords <= 64 }

func (p *program) fingerprint() uint64 {
	var b []byte
	for i := range p.metrics {
		m := &p.metrics[i]
		b = fmt.Appendf(b, "%q %s %s %d %d %d %d %t\n", m.name, m.kind, m.source, m.status, m.signal, m.feed, m.window, m.zero)
	}
	for _, n := range p.names {
		b = fmt.Appendf(b, "feedback %q\n", n)
	}
	for _, s := range p.segments {
		b = fmt.Appendf(b, "segment %q %d\n", s.name, s.signal)
	}
	return xxh3.Hash(b)
}

func millis(d release.Duration) int64 { return int64(d) / 1e6 }
