package natsstore

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice.dev/sluice/internal/store"
)

// BenchmarkCommit is one decision: a state of 4 KiB and a record of 1 KiB, under the lease.
func BenchmarkCommit(b *testing.B) {
	for _, fenced := range []bool{false, true} {
		b.Run(fmt.Sprint("fenced=", fenced), func(b *testing.B) {
			s := openDir(b, b.TempDir())
			batch := store.Batch{Writes: []store.Write{
				{Key: "state/credit/3", Value: make([]byte, 4<<10)},
				{Key: "log/credit/3", Value: make([]byte, 1<<10), Append: true},
			}}
			if fenced {
				l, err := s.Acquire(b.Context(), "leader", time.Hour)
				if err != nil {
					b.Fatal(err)
				}
				batch.Fence = l
			}
			for b.Loop() {
				revs, err := s.Commit(b.Context(), batch)
				if err != nil {
					b.Fatal(err)
				}
				batch.Writes[0].Expect, batch.Writes[1].Expect = revs[0], revs[1]
			}
		})
	}
}

// BenchmarkPut is one plain write.
func BenchmarkPut(b *testing.B) {
	s := openDir(b, b.TempDir())
	w := []store.Write{{Key: "k", Value: make([]byte, 1<<10)}}
	for b.Loop() {
		revs, err := s.Commit(b.Context(), store.Batch{Writes: w})
		if err != nil {
			b.Fatal(err)
		}
		w[0].Expect = revs[0]
	}
}

func BenchmarkGet(b *testing.B) {
	s := openDir(b, b.TempDir())
	if _, err := s.Commit(b.Context(), store.Batch{Writes: []store.Write{{Key: "k", Value: make([]byte, 4<<10)}}}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Get(b.Context(), "k"); err != nil {
			b.Fatal(err)
		}
	}
}

// eventBatch is 500 events of 64 bytes, what a gateway sends at a time.
const eventBatch = 500 * 64

func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 4, 16} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			s := openDir(b, b.TempDir())
			data := make([]byte, eventBatch)
			var id atomic.Int64
			b.SetBytes(eventBatch)
			b.SetParallelism((writers + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
			b.RunParallel(func(pb *testing.PB) {
				log := fmt.Sprint("p", id.Add(1)%16)
				for pb.Next() {
					if _, err := s.Append(b.Context(), log, strconv.FormatInt(id.Add(1), 10), data); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.ReportMetric(500*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func BenchmarkReplay(b *testing.B) {
	const entries = 5000
	s := openDir(b, b.TempDir())
	data := make([]byte, eventBatch)
	for range entries {
		if _, err := s.Append(b.Context(), "p0", "", data); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(eventBatch * entries)
	for b.Loop() {
		n := 0
		for _, err := range s.Read(b.Context(), "p0", 0, false) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != entries {
			b.Fatalf("%d entries", n)
		}
	}
	b.ReportMetric(500*entries*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkPutBlob(b *testing.B) {
	for _, size := range []int{64 << 10, 8 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s := openDir(b, b.TempDir())
			data := make([]byte, size)
			b.SetBytes(int64(size))
			var rev store.Revision
			for b.Loop() {
				var err error
				if rev, err = s.PutBlob(b.Context(), "snap", data, rev); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpen reports what an idle store costs besides the time to open and close it.
func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		dir := b.TempDir()
		rss, gs := rssKiB(b), runtime.NumGoroutine()
		s, err := OpenEmbedded(b.Context(), Options{Dir: dir, MinFree: 1})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(rssKiB(b)-rss)/1024, "MiB-rss")
		b.ReportMetric(float64(runtime.NumGoroutine()-gs), "goroutines")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func rssKiB(b *testing.B) int {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	return 0
}
