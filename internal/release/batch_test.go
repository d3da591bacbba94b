package release

import (
	"bytes"
	"encoding/hex"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func drawValue(t *rapid.T, dict int) Value {
	kinds := 3
	if dict == 0 {
		kinds = 2
	}
	switch ValueKind(rapid.IntRange(0, kinds-1).Draw(t, "kind")) {
	case ValueNumber:
		numbers := rapid.OneOf(
			rapid.Float64(), rapid.Map(rapid.Int64Range(-5, 1<<40), func(n int64) float64 { return float64(n) }),
			rapid.SampledFrom([]float64{math.Copysign(0, -1), math.MaxFloat64, -1, 0.1, maxFormInt, maxFormInt + 1}))
		return Value{Kind: ValueNumber, Num: numbers.Filter(func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }).Draw(t, "num")}
	case ValueCategory:
		return Value{Kind: ValueCategory, Cat: uint32(rapid.IntRange(0, dict-1).Draw(t, "cat"))}
	default:
		return Value{}
	}
}

func drawExposure(t *rapid.T, dict int) Exposure {
	e := Exposure{
		ID: rapid.Uint64().Draw(t, "id"), Unit: rapid.Uint64().Draw(t, "unit"),
		Time:  rapid.Int64Range(0, maxTime-1).Draw(t, "time"),
		Model: ModelKey(rapid.Uint32().Draw(t, "model")), Release: rapid.Uint32().Draw(t, "release"),
		Latency: rapid.Uint32().Draw(t, "latency"), TTFB: rapid.Uint32().Draw(t, "ttfb"),
		ReqLen: rapid.Uint32().Draw(t, "req"), RespLen: rapid.Uint32().Draw(t, "resp"),
		Stratum: rapid.Uint16().Draw(t, "stratum"), Status: rapid.Uint16().Draw(t, "status"),
		Bin: rapid.Uint16Range(0, Bins-1).Draw(t, "bin"), Flags: rapid.Uint16().Draw(t, "flags"),
		Epoch: rapid.Uint8().Draw(t, "epoch"), Arm: rapid.Uint8Range(0, MaxArms-1).Draw(t, "arm"),
		Kind:  ExposureKind(rapid.IntRange(0, int(ExposureOutside)).Draw(t, "kind")),
		Fault: Fault(rapid.IntRange(0, int(FaultGateway)).Draw(t, "fault")),
		N:     rapid.Uint8Range(0, MaxSignals).Draw(t, "n"),
	}
	for i := range e.N {
		e.Values[i] = drawValue(t, dict)
	}
	return e
}

func drawFeedback(t *rapid.T, dict int) Feedback {
	return Feedback{
		Exposure: rapid.Uint64().Draw(t, "id"), Unit: rapid.Uint64().Draw(t, "unit"),
		Exposed: rapid.Int64Range(0, maxTime-1).Draw(t, "exposed"), Time: rapid.Int64Range(0, maxTime-1).Draw(t, "time"),
		Model: ModelKey(rapid.Uint32Range(0, 3).Draw(t, "model")), Release: rapid.Uint32().Draw(t, "release"),
		Stratum: rapid.Uint16().Draw(t, "stratum"), Bin: rapid.Uint16Range(0, Bins-1).Draw(t, "bin"),
		Epoch: rapid.Uint8().Draw(t, "epoch"), Arm: rapid.Uint8Range(0, MaxArms-1).Draw(t, "arm"),
		Kind: ExposureKind(rapid.IntRange(0, int(ExposureOutside)).Draw(t, "kind")),
		Name: uint32(rapid.IntRange(0, dict-1).Draw(t, "name")), Value: drawValue(t, dict),
	}
}

func drawBatch(t *rapid.T) Batch {
	b := Batch{
		Producer:    rapid.StringN(0, 20, MaxProducerLen).Draw(t, "producer"),
		Incarnation: rapid.Uint64().Draw(t, "incarnation"), Seq: rapid.Uint64().Draw(t, "seq"),
		Dict: rapid.SliceOfN(rapid.StringN(0, 10, MaxDictLen), 1, 5).Draw(t, "dict"),
	}
	// Few different contexts, repeated, and now and then more than the ring holds.
	n := rapid.IntRange(0, 40).Draw(t, "exposures")
	same := rapid.Bool().Draw(t, "same")
	for i := range n {
		e := drawExposure(t, len(b.Dict))
		if same {
			e.Model, e.Release, e.Stratum, e.Epoch, e.Kind, e.Arm = 7, 1, 2, 3, 0, uint8(i%2)
		}
		b.Exposures = append(b.Exposures, e)
	}
	for range rapid.IntRange(0, 5).Draw(t, "feedback") {
		b.Feedback = append(b.Feedback, drawFeedback(t, len(b.Dict)))
	}
	for range rapid.IntRange(0, 3).Draw(t, "counts") {
		b.Counts = append(b.Counts, ArmCount{
			Model: ModelKey(rapid.Uint32().Draw(t, "m")), Release: rapid.Uint32().Draw(t, "r"), Stratum: rapid.Uint16().Draw(t, "s"),
			Arm: rapid.Uint8Range(0, MaxArms-1).Draw(t, "a"), Seen: rapid.Uint64().Draw(t, "seen"), Dropped: rapid.Uint64().Draw(t, "dropped"),
		})
	}
	if rapid.Bool().Draw(t, "mark") {
		b.Marks = []Mark{{Model: 1, Release: 2}, {Model: 1, Release: 3, Baseline: &Baseline{
			Made: rapid.Int64().Draw(t, "made"),
			Metrics: map[string]MetricBaseline{
				"errors": {Class: ClassEvent, N: 12, Mean: rapid.Float64Range(0, 1).Draw(t, "mean"), Invert: true},
				"slow":   {Class: ClassDistribution, Thresholds: []Threshold{{0.5, 10, 11, 12}, {0.95, 20, 22, 25}}},
				"answer": {Class: ClassDistribution, Categories: []string{"yes", "no"}},
			},
		}}}
	}
	return b
}

func TestBatchRoundTrip(t *testing.T) {
	var reused Batch // decoding into what another batch left must not show
	rapid.Check(t, func(t *rapid.T) {
		in := drawBatch(t)
		data, err := in.AppendBinary([]byte("prefix"))
		if err != nil {
			t.Fatal(err)
		}
		if err := DecodeBatch(data[len("prefix"):], &reused); err != nil {
			t.Fatal(err)
		}
		equalBatches(t, &in, &reused)
	})
}

func equalBatches(t interface{ Fatalf(string, ...any) }, want, got *Batch) {
	same := func(what string, a, b any, n int) {
		if n > 0 && !reflect.DeepEqual(a, b) {
			t.Fatalf("%s differ:\n%+v\n%+v", what, a, b)
		}
	}
	if want.Producer != got.Producer || want.Incarnation != got.Incarnation || want.Seq != got.Seq ||
		len(want.Counts) != len(got.Counts) || len(want.Dict) != len(got.Dict) || len(want.Exposures) != len(got.Exposures) ||
		len(want.Feedback) != len(got.Feedback) || len(want.Marks) != len(got.Marks) {
		t.Fatalf("heads or lengths differ:\n%+v\n%+v", want, got)
	}
	same("counts", want.Counts, got.Counts, len(want.Counts))
	same("dictionaries", want.Dict, got.Dict, len(want.Dict))
	same("exposures", want.Exposures, got.Exposures, len(want.Exposures))
	same("feedback", want.Feedback, got.Feedback, len(want.Feedback))
	same("marks", want.Marks, got.Marks, len(want.Marks))
}

func TestBatchRefusesToEncode(t *testing.T) {
	tests := map[string]func(b *Batch){
		"arm 8 of 8":            func(b *Batch) { b.Exposures[0].Arm = MaxArms },
		"bin 1024":              func(b *Batch) { b.Exposures[0].Bin = Bins },
		"unknown kind 4":        func(b *Batch) { b.Exposures[0].Kind = ExposureOutside + 1 },
		"unknown fault 5":       func(b *Batch) { b.Exposures[0].Fault = FaultGateway + 1 },
		"17 values":             func(b *Batch) { b.Exposures[0].N = MaxSignals + 1 },
		"time -1":               func(b *Batch) { b.Exposures[0].Time = -1 },
		"not a finite number":   func(b *Batch) { b.Exposures[0].Values[0] = Value{Kind: ValueNumber, Num: math.NaN()} },
		"feedback 0: arm 8":     func(b *Batch) { b.Feedback[0].Arm = MaxArms },
		"feedback 0: bin 1024":  func(b *Batch) { b.Feedback[0].Bin = Bins },
		"feedback 0: unknown":   func(b *Batch) { b.Feedback[0].Kind = ExposureOutside + 1 },
		"time 1 of an exposure": func(b *Batch) { b.Feedback[0].Exposed = -1 },
		"feedback 0: a value":   func(b *Batch) { b.Feedback[0].Value.Num = math.Inf(1) },
		"category 1 of":         func(b *Batch) { b.Exposures[0].Values[1].Cat = 1 },
		"unknown kind of value": func(b *Batch) { b.Exposures[0].Values[1].Kind = 9 },
		"name 4 of":             func(b *Batch) { b.Feedback[0].Name = 4 },
		"2001 events":           func(b *Batch) { b.Exposures = make([]Exposure, MaxBatchEvents) },
		"256 bytes":             func(b *Batch) { b.Dict[0] = strings.Repeat("x", MaxDictLen+1) },
		"129 bytes":             func(b *Batch) { b.Producer = strings.Repeat("x", MaxProducerLen+1) },
		"8193 strings":          func(b *Batch) { b.Dict = make([]string, MaxBatchDict+1) },
		"4097 counts":           func(b *Batch) { b.Counts = make([]ArmCount, MaxBatchCounts+1) },
		"count 0 names arm 9":   func(b *Batch) { b.Counts = []ArmCount{{Arm: 9}} },
		"17 marks":              func(b *Batch) { b.Marks = make([]Mark, MaxBatchMarks+1) },
		"no JSON form": func(b *Batch) {
			b.Marks = []Mark{{Baseline: &Baseline{Metrics: map[string]MetricBaseline{"a": {Mean: math.NaN()}}}}}
		},
		"at most 262144": func(b *Batch) { b.Dict = slicesOf(strings.Repeat("x", MaxDictLen), 2000) },
	}
	for want, change := range tests {
		b := Batch{
			Dict:      []string{"yes"},
			Exposures: []Exposure{{Time: 1, N: 2, Values: [MaxSignals]Value{{}, {Kind: ValueCategory}}}},
			Feedback:  []Feedback{{Time: 1, Value: Value{Kind: ValueNumber}}},
		}
		if _, err := b.AppendBinary(nil); err != nil {
			t.Fatal(err)
		}
		change(&b)
		dst := []byte("kept")
		out, err := b.AppendBinary(dst)
		if err == nil || !strings.Contains(err.Error(), want) || KindOf(err) != KindInvalid {
			t.Errorf("error %v, want one about %q", err, want)
		}
		if string(out) != "kept" {
			t.Errorf("%s: a refused batch left %d bytes", want, len(out))
		}
	}
}

func slicesOf(s string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = s
	}
	return out
}

func TestDecodeBatchRefuses(t *testing.T) {
	b := typicalBatch(3)
	good, err := b.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	var into Batch
	for n := range good { // every truncation
		if err := DecodeBatch(good[:n], &into); err == nil {
			t.Fatalf("%d of %d bytes were accepted", n, len(good))
		}
	}
	for want, data := range map[string][]byte{
		"1 bytes follow": append(good[:len(good):len(good)], 0),
		"has version 2":  append([]byte{2}, good[1:]...),
		"at most 262144": make([]byte, MaxBatchBytes+1),
		"is empty":       nil,
		"names arm 9":    {batchVersion, 0, 0, 0, 1, 1, 1, 0, 9, 0, 0, 0, 0, 0, 0},
		"arm 8 of 8":     patched(t, good, 8),
		"ends early":     {batchVersion, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"malformed":      {batchVersion, 0, 0x80, 0x00, 0, 0, 0, 0, 0, 0}, // padded number
	} {
		if err := DecodeBatch(data, &into); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one about %q", err, want)
		}
	}
	if err := DecodeBatch(good, &into); err != nil {
		t.Fatalf("a good batch after bad ones: %v", err)
	}
	equalBatches(t, &b, &into)
}

// patched is an encoded typicalBatch whose first context names another arm.
func patched(t *testing.T, good []byte, arm byte) []byte {
	t.Helper()
	context := []byte{7, 3, 2, 1, 0} // release, stratum, epoch, arm, kind
	at := bytes.Index(good, context)
	if at < 0 {
		context[3] = 0
		at = bytes.Index(good, context)
	}
	if at < 0 {
		t.Fatal("the batch has no such context")
	}
	out := bytes.Clone(good)
	out[at+3] = arm
	return out
}

// typicalBatch has exposures with two signals as a busy gateway makes them.
func typicalBatch(n int) Batch {
	b := Batch{Producer: "gateway-1", Incarnation: 1_700_000_000_000, Seq: 12345, Dict: []string{"approve", "decline", "web", "branch"}}
	x := uint64(88172645463325252)
	next := func() uint64 { // xorshift: fixed, and spread like hashes
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		return x
	}
	now := int64(1_700_000_000_000)
	for range n {
		now += int64(next() % 5)
		e := Exposure{
			ID: next(), Unit: next(), Time: now, Model: 0x9a3b12ff, Release: 7, Stratum: 3, Epoch: 2, Arm: uint8(next() % 2),
			Latency: uint32(20_000 + next()%50_000), ReqLen: uint32(300 + next()%200), RespLen: uint32(100 + next()%100),
			Status: 200, Bin: uint16(next() % Bins), N: 2,
		}
		e.TTFB = e.Latency - uint32(next()%300)
		e.Values[0] = Value{Kind: ValueCategory, Cat: uint32(next() % 2)}
		e.Values[1] = Value{Kind: ValueNumber, Num: float64(next()%1000) / 1000}
		b.Exposures = append(b.Exposures, e)
	}
	return b
}

// The stored form, pinned: what this test's batch is encoded as must be readable for ever. It has more
// contexts than the ring holds, so that a slot is taken twice.
func TestBatchFormat(t *testing.T) {
	b := typicalBatch(3)
	for i := range contextSlots + 2 {
		b.Exposures = append(b.Exposures,
			Exposure{ID: 1, Unit: 2, Time: 3, Model: 5, Release: uint32(i), Arm: 1, Kind: ExposureCopy, Fault: FaultTimeout, Latency: 9, TTFB: 12, Flags: FlagMirrored},
			Exposure{ID: 1, Unit: 2, Time: 3, Model: 5, Release: 1})
	}
	b.Counts = []ArmCount{{Model: 5, Release: 6, Stratum: 7, Arm: 1, Seen: 300, Dropped: 4}}
	b.Feedback = []Feedback{{
		Exposure: 1, Unit: 2, Exposed: 1_700_000_000_000, Time: 1_700_000_005_000, Model: 5, Release: 1, Stratum: 3, Bin: 1023,
		Kind: ExposureServe, Name: 3, Value: Value{Kind: ValueNumber, Num: -0.5},
	}}
	b.Marks = []Mark{{Model: 5, Release: 6, Baseline: &Baseline{Made: 7, Metrics: map[string]MetricBaseline{"errors": {Class: ClassEvent, N: 10, Mean: 0.25}}}}}
	data, err := b.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "batch.golden", []byte(hex.Dump(data)))
}

func TestBatchSizeAndAllocations(t *testing.T) {
	b := typicalBatch(MaxBatchEvents)
	buf, err := b.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	if per := float64(len(buf)) / MaxBatchEvents; per > 64 {
		t.Errorf("%.1f bytes per event, want at most 64", per)
	}
	var into Batch
	if err := DecodeBatch(buf, &into); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(10, func() { _ = DecodeBatch(buf, &into) }); n != 0 {
		t.Errorf("decoding again allocates %v times", n)
	}
	if n := testing.AllocsPerRun(10, func() { buf, _ = b.AppendBinary(buf[:0]) }); n != 0 {
		t.Errorf("encoding allocates %v times", n)
	}
}

func FuzzDecodeBatch(f *testing.F) {
	b := typicalBatch(3)
	b.Feedback = []Feedback{{Time: 5, Exposed: 3, Value: Value{Kind: ValueCategory, Cat: 1}}}
	b.Counts = []ArmCount{{Model: 1, Seen: 9}}
	b.Marks = []Mark{{Model: 1, Release: 2, Baseline: &Baseline{Made: 3}}}
	data, err := b.AppendBinary(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		var in, back Batch
		if DecodeBatch(data, &in) != nil {
			return
		}
		again, err := in.AppendBinary(nil)
		if err != nil {
			t.Fatalf("a batch that was read can't be written: %v", err)
		}
		if err := DecodeBatch(again, &back); err != nil {
			t.Fatalf("a batch that was written can't be read: %v", err)
		}
		equalBatches(t, &in, &back)
	})
}

func BenchmarkBatchDecode(b *testing.B) {
	batch := typicalBatch(MaxBatchEvents)
	data, err := batch.AppendBinary(nil)
	if err != nil {
		b.Fatal(err)
	}
	var into Batch
	b.ReportAllocs()
	for b.Loop() {
		if err := DecodeBatch(data, &into); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*MaxBatchEvents/b.Elapsed().Seconds()/1e6, "Mevents/s")
	b.ReportMetric(float64(len(data))/MaxBatchEvents, "bytes/event")
}

func BenchmarkBatchEncode(b *testing.B) {
	batch := typicalBatch(MaxBatchEvents)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = batch.AppendBinary(buf[:0]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*MaxBatchEvents/b.Elapsed().Seconds()/1e6, "Mevents/s")
}
