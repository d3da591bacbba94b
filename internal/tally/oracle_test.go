package tally

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"sluice.dev/sluice/internal/release"
)

// flatten writes a view as the twin's sums.
func flatten(v *View, m *release.Model) map[string]float64 {
	out := map[string]float64{}
	add := func(x float64, format string, args ...any) {
		if x != 0 {
			out[fmt.Sprintf(format, args...)] += x
		}
	}
	rows := func(what, where string, rows [][]float64, name func(int) string) {
		for j, r := range rows {
			for b, x := range r {
				if name == nil {
					add(x, "%s %s %d %d", what, where, j, b)
				} else {
					add(x, "%s %s %d %s", what, where, b, name(j))
				}
			}
		}
	}
	for _, s := range v.Strata {
		for _, g := range s.Segments {
			for a, arm := range g.Arms {
				add(float64(arm.Exposures), "segment exposures %d %s %d", s.ID, g.Value, a)
				for i := range arm.N {
					name := m.Spec.Metrics[i].Name
					add(arm.N[i], "segment %s n %d %s %d", name, s.ID, g.Value, a)
					add(arm.Y[i], "segment %s y %d %s %d", name, s.ID, g.Value, a)
					add(arm.Q[i], "segment %s q %d %s %d", name, s.ID, g.Value, a)
				}
			}
		}
		for a, arm := range s.Arms {
			for name, x := range map[string]uint64{
				"exposures": arm.Exposures, "units": arm.Units, "newUnits": arm.NewUnits,
				"outcomes": arm.Outcomes, "seen": arm.Seen, "dropped": arm.Dropped,
			} {
				add(float64(x), "%s %d %d", name, s.ID, a)
			}
			for i, x := range arm.Metrics {
				where := fmt.Sprintf("%s %d %d", m.Spec.Metrics[i].Name, s.ID, a)
				for b := range x.N {
					add(x.N[b], "n %s %d", where, b)
					add(x.Y[b], "y %s %d", where, b)
				}
				add(x.SumSq, "q %s", where)
				add(float64(x.RawN), "rawN %s", where)
				add(x.RawY, "rawY %s", where)
				add(float64(x.Event.First), "first %s", where)
				add(float64(x.Event.Ever), "ever %s", where)
				add(float64(x.Event.Closed), "closed %s", where)
				add(float64(x.Event.With), "with %s", where)
				rows("over", where, x.Over, nil)
				rows("margin", where, x.OverMargin, nil)
				for b, n := range x.OverLive {
					add(n, "live %s %d", where, b)
				}
				rows("cat", where, x.Category, func(j int) string { return v.Categories[i][j] })
				if m.Spec.Metrics[i].Kind == release.MetricLatency {
					for b, c := range x.Hist {
						add(float64(c), "hist %s %d", where, b)
					}
				}
			}
		}
		if s.Pairs == nil {
			continue
		}
		add(float64(s.Pairs.Complete), "complete %d", s.ID)
		add(float64(s.Pairs.Scored), "scored %d", s.ID)
		for i, x := range s.Pairs.Metrics {
			where := fmt.Sprintf("%s %d", m.Spec.Metrics[i].Name, s.ID)
			for b := range x.N {
				add(x.N[b], "pn %s %d", where, b)
				add(x.D[b], "pd %s %d", where, b)
			}
			add(float64(x.LiveOnly), "liveOnly %s", where)
			add(float64(x.CandOnly), "candOnly %s", where)
			rows("pover", where, x.Over, nil)
			rows("pmargin", where, x.OverMargin, nil)
			for b, n := range x.OverLive {
				add(n, "pasked %s %d", where, b)
			}
			for b := range x.LiveHist {
				add(float64(x.LiveHist[b]), "phist %s live %d", where, b)
				add(float64(x.CandHist[b]), "phist %s cand %d", where, b)
			}
			rows("plive", where, x.Live, func(j int) string { return v.Categories[i][j] })
			rows("pcand", where, x.Cand, func(j int) string { return v.Categories[i][j] })
		}
	}
	return out
}

// expected is the twin's sums with categories renamed as the baseline asks.
func (w *twin) expected() map[string]float64 {
	out := map[string]float64{}
	for k, x := range w.sums {
		var what, metric, where, name string
		var bin int
		if n, _ := fmt.Sscanf(k, "%s %s", &what, &metric); n == 2 && (what == "cat" || what == "plive" || what == "pcand") {
			if what == "cat" {
				var s, a int
				fmt.Sscanf(k, "%s %s %d %d %d %s", &what, &metric, &s, &a, &bin, &name)
				where = fmt.Sprintf("%s %d %d", metric, s, a)
			} else {
				var s int
				fmt.Sscanf(k, "%s %s %d %d %s", &what, &metric, &s, &bin, &name)
				where = fmt.Sprintf("%s %d", metric, s)
			}
			if b, ok := w.baseOf(metric); ok {
				known := false
				for _, c := range b.Categories {
					known = known || c == name
				}
				if !known {
					name = Other
				}
			}
			k = fmt.Sprintf("%s %s %d %s", what, where, bin, name)
		}
		if out[k] += x; out[k] == 0 {
			delete(out, k)
		}
	}
	return out
}

func sameSums(t interface{ Fatalf(string, ...any) }, got, want map[string]float64) {
	near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*(1+math.Abs(a)+math.Abs(b)) }
	for k, w := range want {
		if !near(got[k], w) {
			t.Fatalf("%s = %v, the twin says %v", k, got[k], w)
		}
	}
	for k, g := range got {
		if !near(want[k], g) {
			t.Fatalf("%s = %v, the twin says %v", k, g, want[k])
		}
	}
}

func TestTallyAgreesWithTwin(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const partition = 5
		tl, err := New(testConfig(partition))
		if err != nil {
			rt.Fatal(err)
		}
		w := newTwin(testModel(), partition)
		log := drawLog(rt, partition)
		for i := range log {
			w.fold(&log[i])
			if err := tl.Fold(uint64(i+1), &log[i]); err != nil {
				rt.Fatal(err)
			}
			if i%8 == 7 {
				sameSums(rt, flatten(tl.View(), testModel()), w.expected())
			}
		}
		sameSums(rt, flatten(tl.View(), testModel()), w.expected())
	})
}

// drawLog draws a partition's log: several producers, units that come back, exposures with their
// copies and feedback in either order, repeated and late, batches sent twice, a mark somewhere.
func drawLog(t *rapid.T, partition int) []release.Batch {
	g := &logGen{t: t, partition: partition, clock: 1_000_000, strata: 1}
	n := rapid.IntRange(1, 20).Draw(t, "batches")
	markAt := rapid.IntRange(-1, n).Draw(t, "mark")
	var log []release.Batch
	for i := range n {
		if len(log) > 0 && rapid.IntRange(0, 9).Draw(t, "again") == 0 {
			log = append(log, log[rapid.IntRange(0, len(log)-1).Draw(t, "which")])
			continue
		}
		b := g.batch()
		if i == markAt {
			b.Marks = []release.Mark{{Model: testKey, Release: testNumber, Baseline: testBaseline()}}
		}
		log = append(log, b)
	}
	return log
}

type logGen struct {
	t         *rapid.T
	partition int
	clock     int64
	strata    int
	seqs      [3]uint64
	seen      [3]uint64
	nextID    uint64
	recent    []release.Exposure
}

var testDict = []string{"yes", "no", "maybe", "true", "1", "thumb", "refund", "topic", "stars", "outcome", "a", "b", "unknown", "old", "young"}

func dictAt(s string) uint32 {
	for i, d := range testDict {
		if d == s {
			return uint32(i)
		}
	}
	panic(s)
}

func (g *logGen) n(lo, hi int, what string) int { return rapid.IntRange(lo, hi).Draw(g.t, what) }

func (g *logGen) batch() release.Batch {
	p := g.n(0, 2, "producer")
	g.seqs[p] += uint64(1 + g.n(0, 8, "gap")/8)
	b := release.Batch{Producer: fmt.Sprintf("gw%d", p), Incarnation: 1, Seq: g.seqs[p], Dict: testDict}
	g.clock += int64(g.n(0, 700, "step"))
	if g.n(0, 19, "new stratum") == 0 {
		g.strata++
	}
	for range g.n(0, 12, "exposures") {
		b.Exposures = append(b.Exposures, g.exposure())
	}
	for range g.n(0, 12, "feedback") {
		b.Feedback = append(b.Feedback, g.feedback())
	}
	g.seen[p] += uint64(len(b.Exposures))
	b.Counts = []release.ArmCount{{Model: testKey, Release: testNumber, Stratum: uint16(g.strata), Arm: uint8(p % 2), Seen: g.seen[p], Dropped: g.seen[p] / 7}}
	return b
}

func (g *logGen) exposure() release.Exposure {
	if len(g.recent) > 0 && g.n(0, 3, "copy") == 0 {
		// The mirrored answer of an exposure, which may itself not have been folded yet.
		e := g.recent[g.n(0, len(g.recent)-1, "of")]
		if e.Flags&release.FlagMirrored != 0 {
			e.Kind, e.Arm, e.Flags = release.ExposureCopy, 1, e.Flags&release.FlagPerRequest
			g.answer(&e)
			return e
		}
	}
	unit := uint64(g.n(1, 6, "unit"))
	stratum := max(1, g.strata-g.n(0, 5, "lag")/5)
	g.nextID++
	e := release.Exposure{
		ID: g.nextID, Unit: unit, Time: g.clock - int64(g.n(0, 300, "ago")), Model: testKey, Release: testNumber,
		Stratum: uint16(stratum), Epoch: uint8(stratum / 2), Bin: uint16(g.partition*partBins + int(unit)%5),
		Arm: uint8(unit % 2), Kind: release.ExposureServe,
	}
	if stratum == 1 {
		e.Kind = release.ExposureWouldBe
		e.Flags |= release.FlagMirrored * uint16(g.n(0, 1, "mirrored"))
	}
	if g.n(0, 9, "single") == 0 {
		e.Flags |= release.FlagPerRequest
		e.Unit = 1000 + e.ID
	}
	if g.n(0, 29, "foreign") == 0 {
		e.Release++
	}
	g.answer(&e)
	g.recent = append(g.recent, e)
	if g.n(0, 19, "lost") == 0 {
		return g.exposure() // its feedback comes all the same
	}
	return e
}

func (g *logGen) answer(e *release.Exposure) {
	e.Latency = uint32(g.n(50, 500, "latency"))
	e.Fault = release.Fault(max(0, g.n(-8, 4, "fault")))
	e.N = testSignals
	e.Values = [release.MaxSignals]release.Value{}
	if g.n(0, 4, "cost there") > 0 {
		e.Values[sigCost] = release.Value{Kind: release.ValueNumber, Num: float64(g.n(-4, 20, "cost")) / 4}
	}
	if g.n(0, 5, "decided") > 0 {
		e.Values[sigDecision] = release.Value{Kind: release.ValueCategory, Cat: uint32(g.n(0, 4, "decision"))}
	}
	e.Values[sigShort] = release.Value{Kind: release.ValueNumber, Num: float64(g.n(0, 2, "short"))}
	e.Values[sigAge] = release.Value{Kind: release.ValueCategory, Cat: dictAt([]string{"old", "young"}[e.Unit%2])}
}

func (g *logGen) feedback() release.Feedback {
	if len(g.recent) == 0 || g.n(0, 9, "by unit") < 2 {
		unit := uint64(g.n(1, 8, "unit"))
		f := release.Feedback{
			Unit: unit, Exposed: g.clock, Time: g.clock, Model: testKey, Release: testNumber, Stratum: uint16(g.strata),
			Epoch: uint8(g.strata / 2), Bin: uint16(g.partition*partBins + int(unit)%5), Arm: uint8(unit % 2),
		}
		if g.n(0, 1, "key") == 1 { // few keys, so that outcomes are told again
			f.Exposure = 1<<40 + unit*4 + uint64(g.n(0, 3, "which key"))
		}
		g.tell(&f)
		return f
	}
	e := g.recent[max(0, len(g.recent)-1-g.n(0, 30, "back"))]
	f := release.Feedback{
		Exposure: e.ID, Unit: e.Unit, Exposed: e.Time, Time: max(e.Time, g.clock), Model: e.Model, Release: e.Release,
		Stratum: e.Stratum, Epoch: e.Epoch, Bin: e.Bin, Arm: e.Arm, Kind: e.Kind,
	}
	g.tell(&f)
	return f
}

func (g *logGen) tell(f *release.Feedback) {
	f.Name = dictAt([]string{"thumb", "refund", "topic", "stars", "outcome", "unknown"}[g.n(0, 5, "name")])
	switch g.n(0, 3, "form") {
	case 0:
		f.Value = release.Value{Kind: release.ValueCategory, Cat: uint32(g.n(0, 4, "text"))}
	case 1:
		f.Value = release.Value{Kind: release.ValueCategory, Cat: dictAt([]string{"a", "b"}[g.n(0, 1, "topic")])}
	default:
		f.Value = release.Value{Kind: release.ValueNumber, Num: float64(g.n(0, 5, "number"))}
	}
}
