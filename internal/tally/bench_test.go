package tally

import (
	"math/rand/v2"
	"testing"

	"sluice.dev/sluice/internal/release"
)

// benchModel has ten metrics as a real model would; heldMetrics adds what waits for feedback.
func benchModel(held bool) *release.Model {
	m := &release.Model{Metadata: release.Metadata{Name: "bench"}, Spec: release.Spec{Metrics: []release.Metric{
		{Name: "errors", Source: "error", Kind: release.MetricEvent},
		{Name: "timeouts", Source: "timeout", Kind: release.MetricEvent},
		{Name: "limited", Source: "status:429", Kind: release.MetricEvent},
		{Name: "slow", Source: "latency", Kind: release.MetricLatency},
		{Name: "first", Source: "ttfb", Kind: release.MetricLatency},
		{Name: "decision", Source: "json:decision", Kind: release.MetricCategory},
		{Name: "cost", Source: "json:cost", Kind: release.MetricMean},
		{Name: "refused", Source: "json:refused", Kind: release.MetricProportion},
	}}}
	if held {
		m.Spec.Metrics = append(m.Spec.Metrics,
			release.Metric{Name: "correct", Source: "agree(json:decision, feedback:outcome)", Kind: release.MetricProportion, Window: ms(10_000)},
			release.Metric{Name: "thumbs", Source: "feedback:thumb", Kind: release.MetricProportion, Window: ms(10_000)})
	} else {
		m.Spec.Metrics = append(m.Spec.Metrics,
			release.Metric{Name: "tokens", Source: "json:tokens", Kind: release.MetricMean},
			release.Metric{Name: "kind", Source: "json:kind", Kind: release.MetricCategory})
	}
	return m
}

func benchBaseline() *release.Baseline {
	th := func(q float64, x uint32) release.Threshold {
		return release.Threshold{Quantile: q, X: Snap(x), Tolerate: Snap(x + x/10), Margin: Snap(x + x/4)}
	}
	bank := []release.Threshold{th(.5, 20_000), th(.75, 30_000), th(.9, 50_000), th(.95, 70_000), th(.99, 120_000)}
	classes := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
	return &release.Baseline{Metrics: map[string]release.MetricBaseline{
		"slow": {Thresholds: bank}, "first": {Thresholds: bank}, "decision": {Categories: classes}, "kind": {Categories: classes},
		"cost": {Class: release.ClassFrequent, Cap: 9}, "tokens": {Class: release.ClassFrequent, Cap: 900},
		"refused": {Class: release.ClassEvent}, "correct": {Class: release.ClassBoth, Invert: true}, "thumbs": {Class: release.ClassFrequent},
	}}
}

// benchLog draws encoded batches of 500 exposures (or 250 with 250 outcomes) of one partition, 20 ms
// apart, of units with heavy-tailed activity.
func benchLog(n, units, strata, partition int, held bool) [][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	dict := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "outcome", "thumb"}
	var log [][]byte
	clock := int64(1_700_000_000_000)
	for i := range n {
		b := release.Batch{Producer: "gateway-1", Incarnation: 1, Seq: uint64(i + 1), Dict: dict}
		per := release.MaxBatchEvents
		if held {
			per /= 2
		}
		for range per {
			clock += int64(rng.IntN(2)) * int64(rng.IntN(2))
			unit := uint64(float64(units) * rng.Float64() * rng.Float64() * rng.Float64())
			stratum := i*strata/n + 1
			e := release.Exposure{
				ID: rng.Uint64(), Unit: mix(unit + 1), Time: clock, Model: testKey, Release: testNumber,
				Latency: uint32(5000 + rng.ExpFloat64()*20000), TTFB: uint32(1000 + rng.ExpFloat64()*9000), ReqLen: 700, RespLen: 90,
				Stratum: uint16(stratum), Epoch: uint8(stratum), Status: 200, Bin: uint16(partition*partBins) + uint16(mix(unit)%partBins),
				Arm: uint8(unit & 1), N: 4,
			}
			if rng.IntN(100) == 0 {
				e.Fault, e.Status = release.FaultUpstream, 500
			}
			e.Values[0] = release.Value{Kind: release.ValueCategory, Cat: uint32(rng.IntN(10))}
			e.Values[1] = release.Value{Kind: release.ValueNumber, Num: rng.ExpFloat64() * 3}
			e.Values[2] = release.Value{Kind: release.ValueNumber, Num: float64(rng.IntN(50) / 49)}
			e.Values[3] = release.Value{Kind: release.ValueNumber, Num: float64(rng.IntN(800))}
			b.Exposures = append(b.Exposures, e)
			if held {
				b.Feedback = append(b.Feedback, release.Feedback{
					Exposure: e.ID, Unit: e.Unit, Exposed: e.Time, Time: e.Time + 1, Model: e.Model, Release: e.Release, Stratum: e.Stratum,
					Bin: e.Bin, Epoch: e.Epoch, Arm: e.Arm, Name: 10, Value: release.Value{Kind: release.ValueCategory, Cat: uint32(rng.IntN(10))},
				})
			}
		}
		data, err := b.AppendBinary(nil)
		if err != nil {
			panic(err)
		}
		log = append(log, data)
	}
	return log
}

func benchFold(b *testing.B, held, decode bool) {
	cfg := testConfig(4)
	cfg.Model = benchModel(held)
	log := benchLog(400, 50_000, 1, 4, held)
	tl := mustNew(b, cfg)
	mark := release.Batch{Producer: "c", Seq: 1, Marks: []release.Mark{{Model: testKey, Release: testNumber, Baseline: benchBaseline()}}}
	if err := tl.Fold(1, &mark); err != nil {
		b.Fatal(err)
	}
	var batch release.Batch
	seq := uint64(1)
	next := func(i int) {
		if err := release.DecodeBatch(log[i%len(log)], &batch); err != nil {
			b.Fatal(err)
		}
		seq++
		batch.Seq = seq
		// The log is repeated with new ids, later: a steady state.
		for j := range batch.Exposures {
			batch.Exposures[j].ID += seq << 20
			batch.Exposures[j].Time += int64(i/len(log)) * 200_000
		}
		for j := range batch.Feedback {
			batch.Feedback[j].Exposure += seq << 20
			batch.Feedback[j].Time += int64(i/len(log)) * 200_000
			batch.Feedback[j].Exposed += int64(i/len(log)) * 200_000
		}
	}
	i := 0
	for ; i < 2*len(log); i++ {
		next(i)
		if err := tl.Fold(seq, &batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if !decode {
			b.StopTimer()
		}
		next(i)
		i++
		if !decode {
			b.StartTimer()
		}
		if err := tl.Fold(seq, &batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*release.MaxBatchEvents)/b.Elapsed().Seconds()/1e6, "Mevents/s")
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*release.MaxBatchEvents), "ns/event")
}

func BenchmarkFold(b *testing.B) {
	b.Run("decode", func(b *testing.B) { benchFold(b, false, true) })
	b.Run("decode-feedback", func(b *testing.B) { benchFold(b, true, true) })
}

// full folds a log that fills a tally of ten metrics and six strata to its cap.
func full(t testing.TB, partition int, held bool) *Tally {
	cfg := testConfig(partition)
	cfg.Model = benchModel(held)
	tl := mustNew(t, cfg)
	mark := release.Batch{Producer: "c", Seq: 1, Marks: []release.Mark{{Model: testKey, Release: testNumber, Baseline: benchBaseline()}}}
	if err := tl.Fold(1, &mark); err != nil {
		t.Fatal(err)
	}
	var batch release.Batch
	for i, data := range benchLog(400, 100_000, 6, partition, held) {
		if err := release.DecodeBatch(data, &batch); err != nil {
			t.Fatal(err)
		}
		if err := tl.Fold(uint64(i+2), &batch); err != nil {
			t.Fatal(err)
		}
	}
	return tl
}

func BenchmarkSnapshot(b *testing.B) {
	tl := full(b, 4, false)
	var data []byte
	b.ReportAllocs()
	for b.Loop() {
		data, _ = tl.AppendBinary(data[:0])
	}
	b.ReportMetric(float64(len(data))*release.Partitions/1e6, "MB/16partitions")
	b.ReportMetric(float64(tl.units.len()), "units")
}

func BenchmarkView(b *testing.B) {
	var ts []*Tally
	for p := range release.Partitions {
		ts = append(ts, full(b, p, false))
	}
	b.Run("whole", func(b *testing.B) {
		for b.Loop() {
			Merge(ts...)
		}
	})
	b.Run("last-stratum-changed", func(b *testing.B) {
		var c Cache
		for b.Loop() {
			for _, t := range ts {
				t.strata[len(t.strata)-1].version++
				c.Add(t)
			}
			c.View()
		}
	})
}
