package records

import (
	"context"
	"fmt"
	"testing"
	"time"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/looks"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
)

// tickAt lets the release see an assessment i seconds after t0, with i exposures.
func tickAt(t *testing.T, r *Records, i int, state judge.State) {
	t.Helper()
	a := &judge.Assessment{Total: []uint64{uint64(i), uint64(i)}, Verdicts: []judge.Verdict{
		{Metric: "errors", Arm: 1, State: state, Estimate: float64(i), Live: judge.Arm{Exposures: uint64(i)}},
	}}
	in := rollout.Input{Now: t0.Add(time.Duration(i) * time.Second), Tick: &rollout.Tick{Served: 1 << 30, Arriving: true, Assessment: a}}
	if _, _, err := r.Apply(t.Context(), "credit", 1, in, nil); err != nil {
		t.Fatal(err)
	}
}

func keepLooks(t *testing.T, r *Records) {
	t.Helper()
	if err := r.KeepLooks(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func readLooks(t *testing.T, r *Records, q LookQuery) Looks {
	t.Helper()
	out, err := r.Looks(t.Context(), "credit", 1, q)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestLooksAreKept: a look a second becomes one every five; a change of state is kept at once; what waits in
// memory is read like what is stored; another process goes on where the first one ended.
func TestLooksAreKept(t *testing.T) {
	r, s := open(t)
	start(t, r, StartParams{Candidate: "v2"})
	for i := 1; i <= 20; i++ {
		tickAt(t, r, i, judge.Undecided)
	}
	tickAt(t, r, 21, judge.Undecided)
	tickAt(t, r, 22, judge.NoWorse)
	want := func(when string, got Looks, times ...int) {
		t.Helper()
		if len(got.Looks) != len(times) {
			t.Fatalf("%s: %d looks, want %d: %+v", when, len(got.Looks), len(times), got.Looks)
		}
		for i, at := range times {
			if got.Looks[i].Time != t0.Add(time.Duration(at)*time.Second).UnixMilli() || got.Looks[i].Live != uint64(at) {
				t.Errorf("%s: look %d is of %v with %d exposures, want second %d", when, i, time.UnixMilli(got.Looks[i].Time), got.Looks[i].Live, at)
			}
		}
	}
	want("before it is stored", readLooks(t, r, LookQuery{Points: 100}), 1, 6, 11, 16, 21, 22)
	keepLooks(t, r)
	keepLooks(t, r) // nothing new
	want("stored", readLooks(t, New(s), LookQuery{Points: 100}), 1, 6, 11, 16, 21, 22)

	second := New(s)
	tickAt(t, second, 30, judge.NoWorse)
	tickAt(t, second, 31, judge.Undecided)
	keepLooks(t, second)
	tickAt(t, r, 25, judge.Undecided) // a former leader that comes back tells nothing new
	keepLooks(t, r)
	want("after a change of leader", readLooks(t, New(s), LookQuery{Points: 100}), 1, 6, 11, 16, 21, 22, 30, 31)
	want("a range", readLooks(t, r, LookQuery{Points: 100, From: t0.Add(6 * time.Second), To: t0.Add(21 * time.Second)}), 6, 11, 16, 21)
	first := readLooks(t, r, LookQuery{Limit: 3})
	want("a page", first, 1, 6, 11)
	want("the next page", readLooks(t, r, LookQuery{Limit: 100, After: first.Next}), 16, 21, 22, 30, 31)
}

// TestLooksOfTheEnd: the look at which a release ended is stored, and nothing of it stays in memory.
func TestLooksOfTheEnd(t *testing.T) {
	r, _ := open(t)
	start(t, r, StartParams{Candidate: "v2"})
	tickAt(t, r, 1, judge.Undecided)
	do(t, r, 1, rollout.CmdAbort)
	keepLooks(t, r)
	if len(r.looks.open) != 0 {
		t.Errorf("%d histories of ended releases stay open", len(r.looks.open))
	}
	if got := readLooks(t, r, LookQuery{Points: 10}); len(got.Looks) != 1 {
		t.Errorf("%d looks", len(got.Looks))
	}
}

// TestLooksWaitForTheStore: while the store is away, looks wait in memory, bounded; then they are stored.
func TestLooksWaitForTheStore(t *testing.T) {
	r, _ := open(t)
	start(t, r, StartParams{Candidate: "v2"})
	for i := 1; i <= maxPending+100; i++ {
		tickAt(t, r, 5*i, judge.Undecided)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if r.KeepLooks(gone) == nil {
		t.Error("a store that is away was written to")
	}
	if n := len(r.looks.open[stateKey("credit", 1)].pending); n > maxPending {
		t.Errorf("%d looks wait", n)
	}
	keepLooks(t, r)
	got := readLooks(t, r, LookQuery{Points: 10_000})
	if n := len(got.Looks); n < maxPending/2 || got.Looks[n-1].Live != 5*(maxPending+100) {
		t.Errorf("%d looks, the latest with %d exposures", n, got.Looks[n-1].Live)
	}
}

// TestChunkOfACrash: a chunk that a crash left behind, before the head counted it, is replaced.
func TestChunkOfACrash(t *testing.T) {
	r, s := open(t)
	start(t, r, StartParams{Candidate: "v2"})
	if _, err := s.PutBlob(t.Context(), chunkBlob("credit", 1, 0, 0), []byte("of a crash"), 0); err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= looks.ChunkLen+1; i++ {
		tickAt(t, r, 5*i, judge.Undecided)
	}
	keepLooks(t, r)
	if got := readLooks(t, New(s), LookQuery{Limit: 1000}); len(got.Looks) != looks.ChunkLen+1 {
		t.Errorf("%d looks", len(got.Looks))
	}
}

// TestAMillionLooks: a picture of a million points reads a few dozen chunks, and so does a page.
func TestAMillionLooks(t *testing.T) {
	const n = 1_000_000
	s := &million{Store: store.NewMemory()}
	r := New(s)
	head := &looks.Head{}
	for i := range uint64(n) {
		head.Append(s.look(i))
	}
	data, err := looks.EncodeHead(head)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutBlob(t.Context(), looksBlob("credit", 1), data, 0); err != nil {
		t.Fatal(err)
	}
	at := func(i uint64) int64 { return s.look(i).Time }
	for _, c := range []struct {
		name        string
		q           LookQuery
		first, last uint64
		most        int
	}{
		{"everything", LookQuery{Points: 600}, 0, n - 1, 40},
		{"a day in the middle", LookQuery{Points: 600, From: time.UnixMilli(at(500_000)), To: time.UnixMilli(at(517_279))}, 500_000, 517_279, 60},
		{"ten minutes", LookQuery{Points: 600, From: time.UnixMilli(at(700_000)), To: time.UnixMilli(at(700_119))}, 700_000, 700_119, 40},
		{"a page", LookQuery{After: 900_000, Limit: 500}, 900_000, 900_499, 8},
		{"the last page", LookQuery{After: n - 10, Limit: 500}, n - 10, n - 1, 3},
	} {
		s.blobs = 0
		got := readLooks(t, r, c.q)
		k := len(got.Looks)
		if k == 0 || k > 600 || got.Looks[0].Time != at(c.first) || got.Looks[k-1].Time != at(c.last) || got.Count != n {
			t.Errorf("%s: %d looks of %d", c.name, k, got.Count)
		}
		for i := 1; i < k; i++ {
			if got.Looks[i].Time <= got.Looks[i-1].Time {
				t.Fatalf("%s: look %d is not later than the one before", c.name, i)
			}
		}
		if s.blobs > c.most {
			t.Errorf("%s read %d blobs, want at most %d", c.name, s.blobs, c.most)
		}
		t.Logf("%s: %d looks, each for %d, from %d blobs", c.name, k, got.Every, s.blobs)
	}
	if got := readLooks(t, r, LookQuery{Points: 600, From: time.UnixMilli(at(n-1) + 1)}); len(got.Looks) != 0 {
		t.Errorf("%d looks after the last one", len(got.Looks))
	}
}

// million is a store that makes the chunks of a long history up when they are read, and counts the blobs that are.
type million struct {
	store.Store
	blobs int
}

func (m *million) look(i uint64) looks.Look {
	return looks.Look{
		Time: t0.UnixMilli() + int64(i)*5000, Live: i, //nolint:gosec // a million
		Points: []looks.Point{{Metric: "errors", Arm: 1, State: "undecided", Estimate: float64(i % 1000)}},
	}
}

func (m *million) GetBlob(ctx context.Context, name string) ([]byte, store.Revision, error) {
	m.blobs++
	var level int
	var number uint64
	if k, _ := fmt.Sscanf(name, "looks/credit/000000001/%d/%d", &level, &number); k != 2 {
		return m.Store.GetBlob(ctx, name)
	}
	chunk := make([]looks.Look, looks.ChunkLen)
	for i := range chunk {
		chunk[i] = m.look((number*looks.ChunkLen+uint64(i)+1)*looks.Stride(level) - 1)
	}
	data, err := looks.Encode(chunk)
	return data, 1, err
}
