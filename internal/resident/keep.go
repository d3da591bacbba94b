package resident

import (
	"context"
	"log/slog"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	settled = 5 * time.Second  // from when the process is ready until its start is over in all its parts
	every   = 10 * time.Second // looks at the heap

	calm  = 16 << 20 // bytes allocated between two looks, below which a collection would not come by itself soon
	worth = 4 << 20  // bytes to be had, below which a collection is not worth its work
)

// Keep gives memory back until ctx ends. It is to be called, in a goroutine of its own, when the process is ready, once.
// What can't be given back is told at level debug: it is harmless.
func Keep(ctx context.Context, log *slog.Logger) {
	if !pause(ctx, settled) {
		return
	}
	for h := newHeap(); ; {
		h.release()
		n, err := dropProgram() // behind the collector, which touches more of the program than what else runs
		log.Debug("memory was given back", "program", n, "error", err)
		for {
			if !pause(ctx, every) {
				return
			}
			if h.due() {
				break
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// heap is what is known of the heap.
type heap struct {
	samples []metrics.Sample
	looked  state // at the last look
	least   uint64
}

// state is a look at the heap, in bytes.
type state struct {
	allocated uint64 // ever
	spare     uint64 // resident and not known to live: garbage, what is new since the last collection, gaps, free memory
}

func newHeap() *heap {
	h := &heap{}
	for _, name := range []string{
		"/gc/heap/allocs:bytes", "/gc/heap/live:bytes",
		"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/free:bytes",
	} {
		h.samples = append(h.samples, metrics.Sample{Name: name})
	}
	return h
}

func (h *heap) look() state {
	metrics.Read(h.samples)
	v := func(i int) uint64 { return h.samples[i].Value.Uint64() }
	held, live := v(2)+v(3)+v(4), v(1)
	return state{allocated: v(0), spare: held - min(held, live)}
}

// due looks and says whether memory should be given back now.
func (h *heap) due() bool {
	now := h.look()
	before := h.looked
	h.looked = now
	h.least = min(h.least, now.spare)
	return pays(before, now, h.least)
}

// pays says that little was allocated since before and that much could be had now. least is what could not be had the last
// time: gaps between what is alive.
func pays(before, now state, least uint64) bool {
	return now.allocated-before.allocated < calm && now.spare > least+worth
}

func (h *heap) release() {
	debug.FreeOSMemory()
	h.looked = h.look()
	h.least = h.looked.spare
}
