package ingest

import (
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"sluice.dev/sluice/internal/release"
)

// take moves up to len(into) exposures out of the ring and returns how many.
func take(r *ring, into []release.Exposure) int {
	for n := range into {
		if !r.next(&into[n]) {
			return n
		}
	}
	return len(into)
}

// An exposure comes out as it went in, every field of it, and the values of an earlier one never show through.
func TestRingKeepsEveryField(t *testing.T) {
	r := newRing(1)
	for _, n := range []uint8{release.MaxSignals, 0, 3} {
		var in, out release.Exposure
		v := reflect.ValueOf(&in).Elem()
		for i := range v.NumField() {
			switch f := v.Field(i); {
			case f.CanInt():
				f.SetInt(int64(i) + 3)
			case f.CanUint():
				f.SetUint(uint64(i) + 3)
			}
		}
		in.N = n
		for i := range in.Values[:n] {
			in.Values[i] = release.Value{Num: float64(i) + 0.5, Cat: uint32(i) + 1, Kind: release.ValueCategory}
		}
		if _, ok := r.put(&in); !ok {
			t.Fatal("an empty ring refuses")
		}
		if !r.next(&out) || out != in {
			t.Errorf("%d values: %+v came out of %+v", n, out, in)
		}
	}
}

// Many writers, one reader: nothing is lost but what was refused, nothing comes twice or torn, and each
// writer's order is kept.
func TestRingKeepsEverything(t *testing.T) {
	const writers, each = 8, 20_000
	r := newRing(256)
	var refused atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				e := release.Exposure{Unit: uint64(w), ID: uint64(i + 1), Latency: uint32(i + 1), Time: int64(w), N: 2}
				e.Values[1].Num = float64(i + 1)
				if _, ok := r.put(&e); !ok {
					refused.Add(1)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var last [writers]uint64
	got := int64(0)
	buf := make([]release.Exposure, 64)
	read := func() int {
		n := take(r, buf)
		for _, e := range buf[:n] {
			if uint64(e.Latency) != e.ID || e.Time != int64(e.Unit) || e.Values[1].Num != float64(e.ID) {
				t.Fatalf("torn exposure %+v", e)
			}
			if e.ID <= last[e.Unit] {
				t.Fatalf("writer %d: %d after %d", e.Unit, e.ID, last[e.Unit])
			}
			last[e.Unit] = e.ID
		}
		got += int64(n)
		return n
	}
	for stopped := false; !stopped; {
		select {
		case <-done:
			stopped = true
		default:
			read()
		}
	}
	for read() > 0 {
	}
	if got+refused.Load() != writers*each {
		t.Errorf("%d read and %d refused of %d", got, refused.Load(), writers*each)
	}
}

func TestRingRefusesWhenFull(t *testing.T) {
	r := newRing(5) // rounded up to 8
	e := release.Exposure{}
	for lap := range 3 {
		for i := range 8 {
			e.ID = uint64(lap*8 + i)
			if _, ok := r.put(&e); !ok {
				t.Fatalf("lap %d: refused with %d in a ring of 8", lap, i)
			}
		}
		if _, ok := r.put(&e); ok {
			t.Fatalf("lap %d: a full ring takes more", lap)
		}
		buf := make([]release.Exposure, 20)
		if n := take(r, buf); n != 8 || buf[0].ID != uint64(lap*8) || buf[7].ID != uint64(lap*8+7) {
			t.Fatalf("lap %d: took %d", lap, n)
		}
	}
}

func TestInterner(t *testing.T) {
	in := NewInterner()
	a := in.Category(1, 0, []byte("approve"))
	if b := in.Category(1, 0, []byte("approve")); a != b {
		t.Errorf("the same text has numbers %d and %d", a, b)
	}
	if s, ok := in.text(a); s != "approve" || !ok {
		t.Errorf("text %q, %t", s, ok)
	}
	if _, ok := in.text(a + 1); ok {
		t.Error("a number that was never given out has a text")
	}
	n := testing.AllocsPerRun(100, func() { in.Category(1, 0, []byte("approve")) })
	if n != 0 {
		t.Errorf("%v allocations to find a text again", n)
	}
	for i := range internIDs + 10 {
		in.Category(1, 0, fmt.Append(nil, "text ", i))
	}
	if _, ok := in.text(a); ok {
		t.Error("a number is kept for ever: the memory is not bounded")
	}
	b := in.Category(1, 0, []byte("approve"))
	if s, ok := in.text(b); s != "approve" || !ok {
		t.Errorf("after the flood: %q, %t", s, ok)
	}
}

func TestInternerConcurrently(t *testing.T) {
	in := NewInterner()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 20_000 {
				want := fmt.Sprint((i*7 + w) % 3000)
				id := in.Category(1, 0, []byte(want))
				if got, ok := in.text(id); !ok || got != want {
					t.Errorf("number %d of %q is %q, %t", id, want, got, ok)
					return
				}
			}
		})
	}
	wg.Wait()
}
