package looks

import (
	"math"
	"reflect"
	"testing"
	"time"
)

// made is look i of a made-up history; every number is a float32 already.
func made(i int) Look {
	p := Point{
		Metric: "errors", Arm: 1, State: "undecided", Unit: "pp", Estimate: float64(float32(i) / 7), Lo: -1, Hi: 2, Live: 0.25, Candidate: 0.5,
		LnHarm: float64(i % 5), LnNoWorse: -3, LnBetter: 0.125, LiveN: uint64(3 * i), CandidateN: uint64(i),
	}
	q := p
	q.Metric, q.Unit, q.State = "slow", "x", "waiting"
	l := Look{Time: 1_700_000_000_000 + int64(i)*5000, Live: uint64(10 * i), Candidate: uint64(i), Points: []Point{p}}
	if i%3 != 0 {
		l.Points = append(l.Points, q) // a metric that is not always there
	}
	return l
}

func many(n int) []Look {
	out := make([]Look, n)
	for i := range out {
		out[i] = made(i)
	}
	return out
}

func TestCodecKeepsEverything(t *testing.T) {
	for _, n := range []int{0, 1, 2, ChunkLen} {
		all := many(n)
		data, err := Encode(all)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(data)
		if err != nil || !reflect.DeepEqual(back, all) {
			t.Errorf("%d looks: %v\n%v\n%v", n, err, back, all)
		}
	}
}

func TestNoIntervalStaysNone(t *testing.T) {
	l := made(1)
	l.Points[0].Lo, l.Points[0].Hi = math.NaN(), math.NaN()
	data, err := Encode([]Look{l})
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(data)
	if err != nil || !math.IsNaN(back[0].Points[0].Lo) || !math.IsNaN(back[0].Points[0].Hi) {
		t.Errorf("%v, %+v", err, back)
	}
}

// TestLevels appends a history and finds, at each level, the last look of each group in its place.
func TestLevels(t *testing.T) {
	const n = 10_000
	var h Head
	levels := [Levels][]Look{}
	for i := range n {
		for _, c := range h.Append(made(i)) {
			if c.Number != uint64(len(levels[c.Level])/ChunkLen) || len(c.Looks) != ChunkLen {
				t.Fatalf("chunk %d of level %d with %d looks came after %d looks", c.Number, c.Level, len(c.Looks), len(levels[c.Level]))
			}
			levels[c.Level] = append(levels[c.Level], c.Looks...)
		}
	}
	data, err := EncodeHead(&h)
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeHead(data)
	if err != nil || back.Count != n || back.Last != made(n-1).Time {
		t.Fatalf("%v, %d, %d", err, back.Count, back.Last)
	}
	for level := range Levels {
		all := append(levels[level], back.Tails[level]...)
		stride := int(Stride(level)) //nolint:gosec // small
		if len(all) != n/stride || uint64(len(all)) != h.Len(level) {
			t.Fatalf("level %d has %d looks, want %d", level, len(all), n/stride)
		}
		for i, l := range all {
			if want := made((i+1)*stride - 1); !reflect.DeepEqual(l, want) {
				t.Fatalf("level %d, look %d: %+v, want %+v", level, i, l, want)
			}
		}
	}
}

func TestSample(t *testing.T) {
	all := many(1001)
	got := Sample(all, 11)
	if len(got) != 11 || got[0].Time != all[0].Time || got[10].Time != all[1000].Time || got[5].Time != all[500].Time {
		t.Errorf("%d: %v", len(got), got)
	}
	if same := Sample(all[:5], 11); len(same) != 5 {
		t.Errorf("%d of 5", len(same))
	}
}

func TestLevelFor(t *testing.T) {
	for _, c := range []struct {
		count, most uint64
		want        int
	}{{100, 2400, 0}, {2400, 2400, 0}, {10_000, 2400, 1}, {1_000_000, 2400, 3}, {100_000_000, 2400, 3}} {
		if got := LevelFor(c.count, c.most); got != c.want {
			t.Errorf("%d of %d: level %d, want %d", c.most, c.count, got, c.want)
		}
	}
}

// TestSpacingBoundsAYear counts the looks of a release that never ends.
func TestSpacingBoundsAYear(t *testing.T) {
	var n uint64
	for at := time.Duration(0); at < 365*24*time.Hour; n++ {
		at += Spacing(n)
	}
	if n > 1_000_000 || n < 500_000 {
		t.Errorf("a year has %d looks", n)
	}
	if Spacing(math.MaxUint64) <= 0 {
		t.Error("the spacing overflows")
	}
}

func FuzzDecode(f *testing.F) {
	data, err := Encode(many(3))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = Decode(data)     // an error or looks, no panic
		_, _ = DecodeHead(data) // as above
	})
}
