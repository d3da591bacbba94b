package resident

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPays(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		name        string
		before, now state
		least       uint64
		want        bool
	}{
		{"nothing to be had", state{100 * mb, mb}, state{101 * mb, 2 * mb}, mb, false},
		{"a burst is over", state{900 * mb, 60 * mb}, state{901 * mb, 60 * mb}, mb, true},
		{"busy", state{900 * mb, 60 * mb}, state{960 * mb, 60 * mb}, mb, false},
		{"just calm, just worth it", state{900 * mb, 0}, state{900*mb + calm - 1, mb + worth + 1}, mb, true},
		{"not quite calm", state{900 * mb, 0}, state{900*mb + calm, mb + worth + 1}, mb, false},
		{"not quite worth it", state{900 * mb, 0}, state{901 * mb, mb + worth}, mb, false},
		{"gaps that can't be had", state{900 * mb, 30 * mb}, state{901 * mb, 31 * mb}, 30 * mb, false},
	} {
		if got := pays(c.before, c.now, c.least); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

var held [][]byte

// Garbage of a burst is due once it is calm, and is gone then.
func TestHeap(t *testing.T) {
	h := newHeap()
	h.release()
	if h.due() {
		t.Error("due at once again")
	}
	for range 64 << 4 {
		held = append(held, make([]byte, 64<<10)) // 64 MB, which live
	}
	if h.due() {
		t.Error("due in a burst")
	}
	runtime.GC() // the collector learns what lives
	if h.due() {
		t.Errorf("due, though nothing could be had: %+v, least %d", h.looked, h.least)
	}
	held = nil
	runtime.GC() // and that it lives no more
	if !h.due() {
		t.Errorf("not due: %+v, least %d", h.looked, h.least)
	}
	before := h.looked.spare
	if h.release(); h.looked.spare > before-32<<20 {
		t.Errorf("%d could be had, %d still can", before, h.looked.spare)
	}
	if h.due() {
		t.Error("due again")
	}
}

// Keep ends with its context, and the process goes on living, with every page that it needs.
func TestKeep(t *testing.T) {
	for _, until := range []time.Duration{0, settled + 3*every} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { defer close(ended); Keep(ctx, log) }()
			time.Sleep(until)
			cancel()
			<-ended
			if told := strings.Contains(out.String(), "error=<nil>"); told != (until > 0) {
				t.Errorf("after %v: told %q", until, out.String())
			}
		})
	}
}
