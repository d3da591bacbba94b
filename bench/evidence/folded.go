package main

import (
	"fmt"
	"math"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
	"sluice.dev/sluice/internal/tally"
)

// foldedCells go through package tally, event by event: what they measure happens there.
func foldedCells() []cell { return []cell{delays600(), thinning()} }

const (
	modelKey      = release.ModelKey(1)
	releaseNumber = 1
	clockZero     = int64(1_700_000_000_000)
)

// logs are the partitions' tallies and batches under way.
type logs struct {
	tallies [release.Partitions]*tally.Tally
	batches [release.Partitions]release.Batch
	seq     [release.Partitions]uint64
	dict    []string
}

func newLogs(w *world, limits tally.Limits, dict ...string) *logs {
	l := &logs{dict: dict}
	for p := range l.tallies {
		l.tallies[p] = must(tally.New(tally.Config{
			Model: w.model, Key: modelKey, Number: releaseNumber, Arms: 2, Partition: p, Limits: limits,
		}))
		l.batches[p].Marks = []release.Mark{{Model: modelKey, Release: releaseNumber, Baseline: w.base}}
	}
	l.flush()
	return l
}

func (l *logs) expose(e release.Exposure) {
	b := &l.batches[release.Partition(e.Bin)]
	b.Exposures = append(b.Exposures, e)
}

func (l *logs) tell(f release.Feedback) {
	b := &l.batches[release.Partition(f.Bin)]
	b.Feedback = append(b.Feedback, f)
}

// flush folds what is under way.
func (l *logs) flush() {
	for p := range l.batches {
		b := &l.batches[p]
		if len(b.Exposures)+len(b.Feedback)+len(b.Marks) == 0 {
			continue
		}
		l.seq[p]++
		b.Producer, b.Incarnation, b.Seq, b.Dict = "gateway", 1, l.seq[p], l.dict
		if err := l.tallies[p].Fold(l.seq[p], b); err != nil {
			panic(err)
		}
		b.Exposures, b.Feedback, b.Marks = b.Exposures[:0], b.Feedback[:0], nil
	}
}

func (l *logs) view() *tally.View { return tally.Merge(l.tallies[:]...) }

// thumbsOf is an outcome told later: a third of the requests are praised, and praise that never comes is none.
func thumbsOf(window float64) measured {
	return measured{
		release.Metric{
			Name: "thumbs", Source: "feedback:thumb", Kind: release.MetricProportion, Direction: release.Higher, Missing: release.MissingZero,
			Margin: points(4), Tolerate: none, Role: release.Guardrail, Window: release.Duration(window * 1e9),
		},
		release.MetricBaseline{Class: release.ClassFrequent, N: 10_000, Mean: .35, Variance: .35 * .65},
	}
}

// delays600 is N3: identical versions whose users tell the outcome after 120 s (candidate) and 60 s (live) in the mean, exponential. With a
// window of 600 s (R7) an outcome counts when its exposure is that old; with 180 s many come too late for the slower arm; a test that takes
// what has been told so far sees the difference of delays.
func delays600() cell {
	const name = "outcomes told after 60 s (live) and 120 s (candidate), 35 % praise, share 0.5, 20,000 requests in an hour, identical"
	once := func(c chance, lost float64) (within600, within180 outcome, naive bool) {
		type source struct {
			w *world
			l *logs
			o *outcome
		}
		sources := []source{}
		for i, window := range []float64{600, 180} {
			w := newWorld(c, thumbsOf(window))
			w.open(1, release.ExposureServe, .5, .5)
			sources = append(sources, source{w, newLogs(w, tally.Limits{}, "thumb"), []*outcome{&within600, &within180}[i]})
		}
		var queue []release.Feedback // by minute of telling, kept small
		byMinute := make([][]release.Feedback, 200)
		var told traffic
		mix := mixture(.35)
		id := uint64(0)
		for minute := range 60 {
			for range 333 {
				id++
				arm := uint8(c.IntN(2))
				at := clockZero + int64((float64(minute)+c.Float64())*60_000)
				e := release.Exposure{
					ID: id, Unit: c.Uint64(), Time: at, Model: modelKey, Release: releaseNumber, Stratum: 1, Epoch: 1,
					Kind: release.ExposureServe, Arm: arm, Bin: uint16(c.IntN(release.Bins)), Status: 200, Flags: release.FlagPerRequest,
				}
				for _, s := range sources {
					s.l.expose(e)
				}
				p, mean := .35, 60.
				told.nA++
				if arm == 1 {
					p, mean = .35-lost, 120
					told.nA--
					told.nB++
				}
				if c.flip(p) {
					f := release.Feedback{
						Exposure: id, Unit: e.Unit, Exposed: at, Time: at + int64(c.ExpFloat64()*mean*1000), Model: modelKey, Release: releaseNumber,
						Stratum: 1, Bin: e.Bin, Epoch: 1, Arm: arm, Kind: release.ExposureServe, Value: release.Value{Kind: release.ValueNumber, Num: 1},
					}
					if m := int(f.Time-clockZero) / 60_000; m < len(byMinute) {
						byMinute[max(m, minute)] = append(byMinute[max(m, minute)], f)
					}
				}
			}
			queue = byMinute[minute]
			for _, s := range sources {
				s.l.flush()
				for i := range queue {
					s.l.tell(queue[i])
				}
				s.l.flush()
			}
			for i := range queue {
				if queue[i].Arm == 1 {
					told.kB++
				} else {
					told.kA++
				}
			}
			if minute%5 != 4 {
				continue
			}
			for _, s := range sources {
				s.w.view = s.l.view()
				a := s.w.look(release.StepABTest)
				s.o.see(&a)
			}
			if d, v, ok := told.difference(); ok {
				naive = naive || must(mix.LnBelow(d, v, 0)) >= want
			}
		}
		return within600, within180, naive
	}
	return cell{
		id: "N3", name: name, reps: 500,
		run: func(c chance) result {
			a600, a180, naive := once(c, 0)
			h600, _, _ := once(c, .05)
			return result{hit(a600.harm), hit(a600.noWorse), hit(h600.harm), hit(a180.harm), hit(naive)}
		},
		rows: func(x results) []row {
			return []row{
				alarm("N3", name+": worse, window 600 s", x, 0, alpha, 1, 2).
					also("window 180 s: %.2f; without a window: %.2f", x.rate(3), x.rate(4)),
			}
		},
	}
}

// thinning is N5: so many users that the set of units thins itself seven times. Errors of 5 % of the requests; nothing tolerated; harm: twice
// as many from the beginning.
func thinning() cell {
	const (
		capacity = 64
		users    = capacity << 9
		requests = 24_000
		name     = "a unit set of 64 in one partition, 24,000 requests of up to 32,768 users, Zipf 0.5, concentration 3, share 0.5, identical"
	)
	activity := newZipf(users, .5)
	once := func(c chance, factor float64) (o outcome, halvings float64) {
		w := newWorld(c, errorsOf("errors", .05, points(20), none))
		w.open(1, release.ExposureServe, .5, .5)
		t := must(tally.New(tally.Config{
			Model: w.model, Key: modelKey, Number: releaseNumber, Arms: 2, Partition: 0, Limits: tally.Limits{Units: capacity},
		}))
		type who struct {
			hash uint64
			rate float64
		}
		people := make([]who, users)
		batch := release.Batch{Producer: "gateway", Incarnation: 1, Marks: []release.Mark{{Model: modelKey, Release: releaseNumber, Baseline: w.base}}}
		distinct := 0.0
		for i := 1; i <= requests; i++ {
			u := &people[activity.draw(c)]
			if u.hash == 0 {
				u.hash, u.rate = c.Uint64()|1, c.beta(.05, 3)
				distinct++
			}
			e := release.Exposure{
				ID: uint64(i), Unit: u.hash, Time: clockZero + int64(i)*100, Model: modelKey, Release: releaseNumber, Stratum: 1, Epoch: 1,
				Kind: release.ExposureServe, Arm: uint8(u.hash >> 63), Bin: uint16(u.hash>>40) % (release.Bins / release.Partitions), Status: 200,
			}
			p := u.rate
			if e.Arm == 1 {
				p = math.Min(1, p*factor)
			}
			if c.flip(p) {
				e.Fault, e.Status = release.FaultUpstream, 500
			}
			if batch.Exposures = append(batch.Exposures, e); len(batch.Exposures) < 400 && i < requests {
				continue
			}
			batch.Seq++
			if err := t.Fold(batch.Seq, &batch); err != nil {
				panic(err)
			}
			batch.Exposures, batch.Marks = batch.Exposures[:0], nil
			if batch.Seq%4 == 0 || i == requests {
				w.view = t.View()
				a := w.look(release.StepCanary)
				if o.see(&a); o.harm && factor > 1 {
					break
				}
			}
		}
		return o, math.Floor(math.Log2(distinct / capacity))
	}
	return cell{
		id: "N5", name: name, reps: 500,
		run: func(c chance) result {
			same, halvings := once(c, 1)
			worse, _ := once(c, 2)
			return result{hit(same.harm), hit(same.noWorse), hit(worse.harm), halvings}
		},
		rows: func(x results) []row {
			return []row{alarm("N5", name, x, 0, alpha, 1, 2).also("thinned at least %.0f times", x.column(3)[0])}
		},
	}
}

// shadowCells are R8: pairs of users who come back, with models that always give the same answer to the same question.
func shadowCells() []cell {
	return []cell{deterministic(0), deterministic(.06), losing(.8), losing(1.1)}
}

// rightOf is the share of right answers, 70 % by live, of which 4 points may be lost.
func rightOf() measured {
	m := successOf("correct", .7, points(4), none)
	m.metric.Role = release.Objective
	return m
}

// losing is N7 at the margin: 4 % of the users get wrong answers by the candidate alone.
func losing(exponent float64) cell {
	name := fmt.Sprintf("shadow, deterministic models, 2000 users with one question each, Zipf %g, 4 %% answered right by live alone: no worse though at the margin", exponent)
	activity := newZipf(2000, exponent)
	return cell{
		id: "N7", name: name, reps: 1000,
		run: func(c chance) result {
			edge, _, _, _ := agreeing(c, rightOf(), activity, .04, 0)
			same, _, _, _ := agreeing(c, rightOf(), activity, 0, 0)
			worse, _, _, _ := agreeing(c, rightOf(), activity, .12, 0)
			return result{hit(edge.noWorse), hit(same.noWorse), hit(worse.harm)}
		},
		rows: func(x results) []row { return []row{alarm("N7", name, x, 0, alpha, 1, 2)} },
	}
}

// deterministic is N7. Each of 2,000 users asks one question again and again; whether a version answers it right is drawn once. differ is the
// share of questions that either version alone gets wrong; 0: both versions are the same model.
func deterministic(differ float64) cell {
	name := fmt.Sprintf("shadow, deterministic models, 2000 users with one question each, Zipf 0.8, %g %% answered right by one alone", 100*2*differ)
	activity := newZipf(2000, .8)
	return cell{
		id: "N7", name: name, reps: 1000,
		run: func(c chance) result {
			same, first, request, state := agreeing(c, rightOf(), activity, differ, differ)
			worse, _, _, _ := agreeing(c, rightOf(), activity, differ+.08, differ)
			return result{hit(same.harm), hit(same.noWorse), hit(worse.harm), hit(first), hit(request), hit(state == judge.BurnIn)}
		},
		rows: func(x results) []row {
			rows := []row{alarm("N7", name+": worse", x, 0, alpha, 1, 2).
				also("per user's first %.3f, per pair %.2f", x.rate(3), x.rate(4))}
			if differ == 0 {
				rows = append(rows, least("N7", name+": no worse by 4 points shown within 12,000 pairs", x, 1, .9).also("burning in at the end %.2f", x.rate(5)))
			}
			return rows
		},
	}
}

// agreeing lets each of 2,000 users ask one question again and again in a shadow step of 12,000 pairs; whether a version answers it right is
// drawn once. It says besides judge's outcome whether E1 alarms per user's first discordant pair and per pair.
func agreeing(c chance, m measured, activity *zipf, liveAlone, candAlone float64) (o outcome, first, request bool, state judge.State) {
	looks := geometric(200, 12_000, 1.25)
	w := newWorld(c, m)
	w.model.Spec.Plan.Steps = []release.Step{{Shadow: &release.ShadowStep{}}}
	w.open(1, release.ExposureWouldBe, .8, .2)
	const unknown, both, onlyLive, onlyCand, neither = 0, 1, 2, 3, 4
	kind, bin := make([]uint8, 2000), make([]uint16, 2000)
	p := w.stratum().Pairs
	pm := &p.Metrics[0]
	pm.N, pm.D = make([]float64, release.Bins), make([]float64, release.Bins)
	counted := make([]bool, 2000)
	var a, b float64
	at := 0
	for _, n := range looks {
		for ; at < n; at++ {
			u := activity.draw(c)
			if kind[u] == unknown {
				bin[u] = uint16(c.IntN(release.Bins))
				switch x := c.Float64(); {
				case x < liveAlone:
					kind[u] = onlyLive
				case x < liveAlone+candAlone:
					kind[u] = onlyCand
				case x < .75:
					kind[u] = both
				default:
					kind[u] = neither
				}
			}
			p.Complete++
			p.Scored++
			pm.N[bin[u]]++
			live, cand := kind[u] == both || kind[u] == onlyLive, kind[u] == both || kind[u] == onlyCand
			pm.LiveY += hit(live)
			pm.CandY += hit(cand)
			pm.LiveSumSq += hit(live)
			if live == cand {
				continue
			}
			pm.SumSq++
			pm.D[bin[u]] += hit(cand) - hit(live)
			if live {
				a++
			} else {
				b++
			}
			if !counted[u] {
				counted[u] = true
				if live {
					pm.LiveOnly++
				} else {
					pm.CandOnly++
				}
			}
		}
		as := w.look(release.StepShadow)
		o.see(&as)
		state = as.Verdicts[0].State
		first = first || label(eventSigma, stats.PairedStratum(float64(pm.CandOnly), float64(pm.LiveOnly))).LnAbove(0) >= want
		request = request || label(eventSigma, stats.PairedStratum(b, a)).LnAbove(0) >= want
	}
	return o, first, request, state
}
