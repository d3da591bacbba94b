package tally

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"sluice.dev/sluice/internal/release"
)

// twin is the slow, obvious version of a Tally without limits: maps by what things are called, and
// loops over everything that ever happened. It follows the rules in the design, not the code.
type twin struct {
	m        *release.Model
	readings []release.Reading
	lo, hi   int // bins of the partition

	clock, now int64
	base       int64
	marked     *release.Baseline
	markedAt   int64
	seqs       map[string]uint64
	sums       map[string]float64
	units      map[uint64]*twinUnit
	records    []*twinRecord
	held       map[uint64]*twinHeld
	halves     map[uint64]*twinHalf
	dict       []string
	seen       map[string]float64
}

type twinUnit struct {
	stratum uint16
	arm     uint8
	first   int64
	window  map[string]bool
	latest  map[string]int // metric -> epoch of its last counted event
	pairs   map[string]bool
	outcome bool
}

type twinRecord struct {
	at      int64
	unit    uint64
	stratum uint16
	closed  map[string]bool
}

type twinHeld struct {
	id, unit    uint64
	exposed     int64
	stratum     uint16
	epoch, arm  uint8
	armKnown    bool
	bin         int
	exposure    bool
	mirrored    bool
	single      bool
	served      bool
	byUnit      bool
	answer      map[string]string // metric -> the arm's answer
	copy        map[string]string
	told        map[string]release.Value
	text        map[string]string
	entered     map[string]bool
	age         string
	out         bool
	scored      map[string]bool
	scoredAll   bool
	lateWindows map[string]bool
}

type twinHalf struct {
	e      release.Exposure
	isCopy bool
	dict   []string
}

func newTwin(m *release.Model, partition int) *twin {
	return &twin{
		m: m, readings: m.Readings(), lo: partition * partBins, hi: (partition + 1) * partBins,
		seqs: map[string]uint64{}, sums: map[string]float64{}, units: map[uint64]*twinUnit{},
		held: map[uint64]*twinHeld{}, halves: map[uint64]*twinHalf{}, seen: map[string]float64{},
	}
}

func (w *twin) add(v float64, format string, args ...any) {
	w.sums[fmt.Sprintf(format, args...)] += v
}

func (w *twin) drop(prefixes ...string) {
	for k := range w.sums {
		for _, p := range prefixes {
			if len(k) >= len(p) && k[:len(p)] == p {
				delete(w.sums, k)
			}
		}
	}
}

func (w *twin) fold(b *release.Batch) {
	latest := w.now
	for _, e := range b.Exposures {
		latest = max(latest, e.Time)
	}
	for _, f := range b.Feedback {
		latest = max(latest, f.Time)
	}
	id := fmt.Sprint(b.Producer, "/", b.Incarnation)
	if b.Seq <= w.seqs[id] {
		return
	}
	w.seqs[id] = b.Seq
	w.now = latest
	w.dict = b.Dict
	for _, c := range b.Counts {
		k := fmt.Sprint(id, "/", c.Stratum, "/", c.Arm)
		w.add(max(0, float64(c.Seen)-w.seen[k+"s"]), "seen %d %d", c.Stratum, c.Arm)
		w.add(max(0, float64(c.Dropped)-w.seen[k+"d"]), "dropped %d %d", c.Stratum, c.Arm)
		w.seen[k+"s"] = max(w.seen[k+"s"], float64(c.Seen))
		w.seen[k+"d"] = max(w.seen[k+"d"], float64(c.Dropped))
	}
	for _, m := range b.Marks {
		if w.marked == nil {
			w.mark(m.Baseline)
		}
	}
	for i := range b.Exposures {
		w.exposure(b.Exposures[i])
	}
	for i := range b.Feedback {
		w.feedback(b.Feedback[i])
	}
	if w.now > w.clock {
		w.close()
		w.mature()
		w.clock = w.now
	}
}

func (w *twin) mark(b *release.Baseline) {
	w.marked, w.markedAt = b, w.now
	for _, m := range w.m.Spec.Metrics {
		mb := b.Metrics[m.Name]
		if m.Kind == release.MetricLatency || m.Kind == release.MetricMean && mb.Cap > 0 {
			w.drop("n "+m.Name+" ", "y "+m.Name+" ", "q "+m.Name+" ", "pn "+m.Name+" ", "pd "+m.Name+" ", "segment "+m.Name+" ")
		}
	}
}

func window(m *release.Metric) int64 {
	if m.Window == 0 {
		return release.DefaultWindow.Milliseconds()
	}
	return int64(m.Window) / 1e6
}

func (w *twin) exposure(e release.Exposure) {
	if e.Release != testNumber || int(e.Bin) < w.lo || int(e.Bin) >= w.hi {
		return
	}
	if e.Kind == release.ExposureCopy {
		w.half(e, true)
		w.holdAnswer(e, true)
		return
	}
	w.add(1, "exposures %d %d", e.Stratum, e.Arm)
	single := e.Flags&release.FlagPerRequest != 0
	if single {
		w.add(1, "units %d %d", e.Stratum, e.Arm)
		w.add(1, "newUnits %d %d", e.Stratum, e.Arm)
	} else {
		w.meet(e)
	}
	age := ""
	if e.Kind == release.ExposureServe {
		age = w.textOf(e.Values[sigAge])
		if age != "" {
			w.add(1, "segment exposures %d %s %d", e.Stratum, age, e.Arm)
		}
	}
	if diverted(&e) {
		return
	}
	for i, m := range w.m.Spec.Metrics {
		if w.readings[i].Feedback != "" {
			continue
		}
		if v, c, ok := w.value(i, e, w.dict); ok {
			w.observe(i, e.Stratum, e.Epoch, e.Arm, int(e.Bin), e.Unit, single, e.Time, age, v, c)
		}
		_ = m
	}
	if e.Flags&release.FlagMirrored != 0 {
		w.half(e, false)
	}
	w.holdAnswer(e, false)
}

func (w *twin) meet(e release.Exposure) {
	u := w.units[e.Unit]
	if u == nil {
		u = &twinUnit{latest: map[string]int{}, pairs: map[string]bool{}}
		w.units[e.Unit] = u
		w.add(1, "newUnits %d %d", e.Stratum, e.Arm)
	}
	if e.Stratum > u.stratum {
		// A unit's first exposure is kept with a resolution of 16 ms, counted from its partition's first.
		if w.base == 0 {
			w.base = e.Time
		}
		first := e.Time - ((e.Time-w.base)%tick+tick)%tick
		u.stratum, u.arm, u.first, u.window = e.Stratum, e.Arm, first, map[string]bool{}
		w.add(1, "units %d %d", e.Stratum, e.Arm)
		w.records = append(w.records, &twinRecord{at: w.now, unit: e.Unit, stratum: e.Stratum, closed: map[string]bool{}})
	}
}

// value returns a number (latency in microseconds) or a category of an immediate metric.
func (w *twin) value(i int, e release.Exposure, dict []string) (float64, string, bool) {
	m := w.m.Spec.Metrics[i]
	switch m.Name {
	case "errors":
		return boolean(e.Fault == release.FaultUpstream || e.Fault == release.FaultTimeout), "", true
	case "slow":
		ok := e.Fault != release.FaultUpstream && e.Fault != release.FaultGateway && e.Flags&(release.FlagCancelled|release.FlagTruncated) == 0
		return float64(e.Latency), "", ok
	case "cost":
		v := e.Values[sigCost]
		return v.Num, "", v.Kind == release.ValueNumber
	case "short":
		v := e.Values[sigShort]
		return boolean(v.Num != 0), "", v.Kind == release.ValueNumber
	case "decision":
		v := e.Values[sigDecision]
		if v.Kind == release.ValueNone {
			return 0, "", false
		}
		return 0, textIn(dict, v), true
	}
	panic(m.Name)
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func textIn(dict []string, v release.Value) string {
	switch v.Kind {
	case release.ValueCategory:
		return dict[v.Cat]
	case release.ValueNumber:
		return strconv.FormatFloat(v.Num, 'g', -1, 64)
	default:
		return ""
	}
}

func (w *twin) textOf(v release.Value) string { return textIn(w.dict, v) }

func (w *twin) baseOf(name string) (release.MetricBaseline, bool) {
	if w.marked == nil {
		return release.MetricBaseline{}, false
	}
	b, ok := w.marked.Metrics[name]
	return b, ok
}

// counts says whether units are counted for the metric now, and since when.
func (w *twin) counting(i int) (since int64, ok bool) {
	m := w.m.Spec.Metrics[i]
	b, has := w.baseOf(m.Name)
	switch m.Kind {
	case release.MetricEvent:
		return 0, true
	case release.MetricLatency:
		return w.markedAt, has
	case release.MetricProportion:
		return w.markedAt, has && (b.Class == release.ClassEvent || b.Class == release.ClassBoth)
	default:
		return 0, false
	}
}

func (w *twin) observe(i int, stratum uint16, epoch, arm uint8, bin int, unit uint64, single bool, at int64, age string, v float64, c string) {
	m := w.m.Spec.Metrics[i]
	b, has := w.baseOf(m.Name)
	where := fmt.Sprintf("%s %d %d", m.Name, stratum, arm)
	event, y := false, v
	switch m.Kind {
	case release.MetricCategory:
		w.add(1, "cat %s %d %s", where, bin, c)
		y = 0
	case release.MetricLatency:
		w.add(1, "hist %s %d", where, Bucket(uint32(v)))
		for j, th := range b.Thresholds {
			x := float64(th.Tolerate)
			if arm == 0 {
				x = float64(th.X)
			}
			w.add(boolean(v > x), "over %s %d %d", where, j, bin)
			if arm > 0 {
				w.add(boolean(v > float64(th.Margin)), "margin %s %d %d", where, j, bin)
			}
			if arm > 0 && th.Quantile == m.Quantile {
				w.add(boolean(v > float64(th.X)), "live %s %d", where, bin)
			}
			if th.Quantile >= .99 {
				event = v > x
			}
		}
		y = v / 1000
	case release.MetricMean:
		w.add(1, "rawN %s", where)
		w.add(v, "rawY %s", where)
		if has && b.Cap > 0 {
			y = min(v, b.Cap)
		}
	default:
		event = (v == 1) != b.Invert
	}
	w.add(1, "n %s %d", where, bin)
	w.add(y, "y %s %d", where, bin)
	w.add(y*y, "q %s", where)
	if age != "" {
		w.segment(m.Name, stratum, age, arm, y, y*y)
	}
	if _, ok := w.counting(i); ok {
		w.event(m, where, stratum, epoch, unit, single, at, event)
	}
}

func (w *twin) segment(metric string, stratum uint16, age string, arm uint8, y, q float64) {
	w.add(1, "segment %s n %d %s %d", metric, stratum, age, arm)
	w.add(y, "segment %s y %d %s %d", metric, stratum, age, arm)
	w.add(q, "segment %s q %d %s %d", metric, stratum, age, arm)
}

func (w *twin) event(m release.Metric, where string, stratum uint16, epoch uint8, unit uint64, single bool, at int64, event bool) {
	if single {
		w.add(1, "closed %s", where)
		w.add(boolean(event), "with %s", where)
		w.add(boolean(event), "first %s", where)
		w.add(boolean(event), "ever %s", where)
		return
	}
	u := w.units[unit]
	if !event || u == nil {
		return
	}
	latest, had := u.latest[m.Name]
	if !had || latest < int(epoch) {
		w.add(1, "first %s", where)
		w.add(boolean(!had), "ever %s", where)
		u.latest[m.Name] = int(epoch)
	}
	if u.stratum == stratum && at-u.first <= window(&m) {
		u.window[m.Name] = true
	}
}

func (w *twin) close() {
	for _, r := range w.records {
		u := w.units[r.unit]
		for i, m := range w.m.Spec.Metrics {
			since, ok := w.counting(i)
			delay := window(&m)
			if w.readings[i].Feedback != "" {
				delay *= 2
			}
			if r.closed[m.Name] || r.at+delay > w.now {
				continue
			}
			r.closed[m.Name] = true
			if !ok || u.stratum != r.stratum || r.at < since {
				continue
			}
			where := fmt.Sprintf("%s %d %d", m.Name, r.stratum, u.arm)
			w.add(1, "closed %s", where)
			w.add(boolean(u.window[m.Name]), "with %s", where)
		}
	}
}

func (w *twin) heldOf(id, unit uint64, exposed int64, stratum uint16, epoch, arm uint8, bin int) *twinHeld {
	if h := w.held[id]; h != nil {
		return h
	}
	h := &twinHeld{
		id: id, unit: unit, exposed: exposed, stratum: stratum, epoch: epoch, arm: arm, bin: bin,
		answer: map[string]string{}, copy: map[string]string{}, told: map[string]release.Value{}, text: map[string]string{},
		entered: map[string]bool{}, scored: map[string]bool{}, lateWindows: map[string]bool{},
	}
	all := true
	for i, m := range w.m.Spec.Metrics {
		if w.readings[i].Feedback != "" {
			h.lateWindows[m.Name] = exposed+window(&m) <= w.clock
			all = all && h.lateWindows[m.Name]
		}
	}
	if all {
		return nil
	}
	w.held[id] = h
	return h
}

func (h *twinHeld) claim(arm uint8) {
	if !h.armKnown {
		h.arm, h.armKnown = arm, true
	}
}

func (w *twin) holdAnswer(e release.Exposure, isCopy bool) {
	arm := e.Arm
	if isCopy {
		arm = 0
	}
	h := w.heldOf(e.ID, e.Unit, e.Time, e.Stratum, e.Epoch, arm, int(e.Bin))
	if h == nil || isCopy && h.mirrored || !isCopy && h.exposure {
		return
	}
	if !isCopy {
		h.claim(arm)
	}
	to := h.answer
	if isCopy {
		h.mirrored, to = true, h.copy
	} else {
		h.exposure, h.single = true, e.Flags&release.FlagPerRequest != 0
		h.served = e.Kind == release.ExposureServe
		if h.served || e.Flags&release.FlagMirrored != 0 {
			h.age = w.textOf(e.Values[sigAge])
		}
	}
	if v := e.Values[sigDecision]; v.Kind != release.ValueNone {
		to["correct"] = w.textOf(v)
	}
	w.score(h)
}

func (w *twin) feedback(f release.Feedback) {
	if f.Release != testNumber || int(f.Bin) < w.lo || int(f.Bin) >= w.hi {
		return
	}
	for i, m := range w.m.Spec.Metrics {
		if w.readings[i].Feedback == "" || w.readings[i].Feedback != w.dict[f.Name] {
			continue
		}
		isAgree := w.readings[i].Signal >= 0
		number, isNumber := f.Value.Num, f.Value.Kind == release.ValueNumber
		if f.Value.Kind == release.ValueCategory {
			switch w.dict[f.Value.Cat] {
			case "true", "1":
				number, isNumber = 1, true
			case "false":
				number, isNumber = 0, true
			}
		}
		usable := f.Value.Kind != release.ValueNone && (isAgree || m.Kind == release.MetricCategory || isNumber)
		if !usable || f.Exposure == 0 && isAgree {
			continue
		}
		if m.Kind == release.MetricProportion || m.Kind == release.MetricEvent {
			number = boolean(number != 0)
		}
		v := release.Value{Kind: release.ValueNumber, Num: number}
		if f.Exposure == 0 {
			w.outcome(nil, f.Stratum, f.Arm, f.Unit)
			w.observe(i, f.Stratum, f.Epoch, f.Arm, int(f.Bin), f.Unit, false, f.Time, "", number, w.textOf(f.Value))
			continue
		}
		if f.Time > f.Exposed+window(&m) || f.Exposed+window(&m) <= w.clock {
			continue
		}
		h := w.heldOf(f.Exposure, f.Unit, f.Exposed, f.Stratum, f.Epoch, f.Arm, int(f.Bin))
		if h == nil {
			continue
		}
		if _, again := h.told[m.Name]; again {
			continue
		}
		h.byUnit = h.byUnit || f.Exposed == f.Time
		h.claim(f.Arm)
		h.told[m.Name], h.text[m.Name] = v, w.textOf(f.Value)
		w.score(h)
	}
}

func (w *twin) outcome(h *twinHeld, stratum uint16, arm uint8, unit uint64) {
	if h != nil && h.single {
		w.add(boolean(!h.out), "outcomes %d %d", stratum, arm)
		h.out = true
		return
	}
	if u := w.units[unit]; u != nil && !u.outcome {
		u.outcome = true
		w.add(1, "outcomes %d %d", stratum, arm)
	}
}

func (w *twin) mature() {
	type due struct {
		at int64
		h  *twinHeld
		i  int
	}
	var all []due
	for id, h := range w.held {
		over := true
		for i, m := range w.m.Spec.Metrics {
			if w.readings[i].Feedback == "" || h.lateWindows[m.Name] || h.entered[m.Name] {
				continue
			}
			if h.exposed+window(&m) > w.now {
				over = false
				continue
			}
			all = append(all, due{h.exposed + window(&m), h, i})
			h.entered[m.Name] = true
		}
		if over {
			delete(w.held, id)
		}
	}
	slices.SortFunc(all, func(a, b due) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.h.id, b.h.id), cmp.Compare(a.i, b.i))
	})
	for _, d := range all {
		w.enter(d.h, d.i)
	}
	for id, h := range w.halves {
		if h.e.Time+release.DefaultVersionTimeout.Milliseconds()+pairSlack <= w.now {
			delete(w.halves, id)
		}
	}
}

func (w *twin) enter(h *twinHeld, i int) {
	m := w.m.Spec.Metrics[i]
	v, told := h.told[m.Name]
	zero, isAgree := m.Missing == release.MissingZero, w.readings[i].Signal >= 0
	if isAgree && !h.exposure || zero && !h.exposure && (!told || !h.byUnit) || !told && !zero {
		return
	}
	single := h.single
	if !single && (h.exposure || !h.byUnit) && w.units[h.unit] == nil {
		single = true // the model allows requests without units
	}
	if told {
		if single && !h.single {
			h.single = true
			defer func() { h.single = false }()
		}
		w.outcome(h, h.stratum, h.arm, h.unit)
	}
	y := v.Num
	if isAgree {
		a, ok := h.answer[m.Name]
		y = boolean(ok && release.Agree(a, h.text[m.Name]))
	}
	age := ""
	if h.served {
		age = h.age
	}
	w.observe(i, h.stratum, h.epoch, h.arm, h.bin, h.unit, single, h.exposed, age, y, h.text[m.Name])
}

func (w *twin) half(e release.Exposure, isCopy bool) {
	h := w.halves[e.ID]
	if h == nil {
		if e.Time+release.DefaultVersionTimeout.Milliseconds()+pairSlack > w.clock {
			w.halves[e.ID] = &twinHalf{e: e, isCopy: isCopy, dict: slices.Clone(w.dict)}
		}
		return
	}
	if h.isCopy == isCopy {
		return
	}
	delete(w.halves, e.ID)
	w.add(1, "complete %d", e.Stratum)
	live, cand, liveDict, candDict := h.e, e, h.dict, w.dict
	if !isCopy {
		live, cand, liveDict, candDict = e, h.e, w.dict, h.dict
	}
	single := (live.Flags|cand.Flags)&release.FlagPerRequest != 0
	age := ""
	if live.Kind == release.ExposureWouldBe {
		age = textIn(liveDict, live.Values[sigAge])
	}
	if age != "" {
		w.add(1, "segment exposures %d %s 0", e.Stratum, age)
		w.add(1, "segment exposures %d %s 1", e.Stratum, age)
	}
	for i, m := range w.m.Spec.Metrics {
		if w.readings[i].Feedback != "" {
			continue
		}
		l, lc, ok1 := w.value(i, live, liveDict)
		c, cc, ok2 := w.value(i, cand, candDict)
		if ok1 && ok2 {
			w.compare(m, e.Stratum, int(e.Bin), e.Unit, single, age, l, c, lc, cc)
		}
	}
}

func (w *twin) compare(m release.Metric, stratum uint16, bin int, unit uint64, single bool, age string, l, c float64, lc, cc string) {
	b, has := w.baseOf(m.Name)
	where := fmt.Sprintf("%s %d", m.Name, stratum)
	le, ce := l == 1, c == 1
	switch m.Kind {
	case release.MetricCategory:
		w.add(1, "plive %s %d %s", where, bin, lc)
		w.add(1, "pcand %s %d %s", where, bin, cc)
		le, ce = false, false
	case release.MetricLatency:
		le, ce = false, false
		w.add(1, "phist %s live %d", where, Bucket(uint32(l)))
		w.add(1, "phist %s cand %d", where, Bucket(uint32(c)))
		for j, th := range b.Thresholds {
			if th.Quantile == m.Quantile {
				w.add(boolean(c > float64(th.X))-boolean(l > float64(th.X)), "pasked %s %d", where, bin)
			}
			w.add(boolean(c > float64(th.Tolerate))-boolean(l > float64(th.X)), "pover %s %d %d", where, j, bin)
			w.add(boolean(c > float64(th.Margin))-boolean(l > float64(th.X)), "pmargin %s %d %d", where, j, bin)
			if th.Quantile >= .99 {
				le, ce = l > float64(th.X), c > float64(th.Tolerate)
			}
		}
		l, c = l/1000, c/1000
	case release.MetricMean:
		le, ce = false, false
		if has && b.Cap > 0 {
			l, c = min(l, b.Cap), min(c, b.Cap)
		}
	default:
	}
	w.add(1, "pn %s %d", where, bin)
	w.add(c-l, "pd %s %d", where, bin)
	if age != "" && m.Kind != release.MetricCategory {
		w.segment(m.Name, stratum, age, 0, l, l*l)
		w.segment(m.Name, stratum, age, 1, c, (c-l)*(c-l))
	}
	if le == ce {
		return
	}
	if !single {
		u := w.units[unit]
		if u == nil || u.pairs[m.Name] {
			return
		}
		u.pairs[m.Name] = true
	}
	w.add(boolean(le), "liveOnly %s", where)
	w.add(boolean(ce), "candOnly %s", where)
}

func (w *twin) score(h *twinHeld) {
	if !h.exposure || !h.mirrored {
		return
	}
	all := true
	for i, m := range w.m.Spec.Metrics {
		if w.readings[i].Signal < 0 || w.readings[i].Feedback == "" {
			continue
		}
		if _, ok := h.told[m.Name]; !ok {
			all = false
			continue
		}
		if h.scored[m.Name] {
			continue
		}
		h.scored[m.Name] = true
		l, okL := h.answer[m.Name]
		c, okC := h.copy[m.Name]
		age := h.age
		if h.served {
			age = ""
		}
		w.compare(m, h.stratum, h.bin, h.unit, h.single, age,
			boolean(okL && release.Agree(l, h.text[m.Name])), boolean(okC && release.Agree(c, h.text[m.Name])), "", "")
	}
	if all && !h.scoredAll {
		h.scoredAll = true
		w.add(1, "scored %d", h.stratum)
	}
}
