package gateway

import (
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"sluice.dev/sluice/internal/release"
)

// TestConnectingIsNotLatency: connections are the gateway's. A candidate that begins without any must
// not look slower than live, in neither half of a pair.
func TestConnectingIsNotLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(o *Options) {
			dial := o.Dial
			o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				time.Sleep(3 * time.Second)
				return dial(ctx, network, addr)
			}
		}
		w := newWorld(t, credit(0, shadowed(release.Whole), decision), slow)
		answer := func(rw http.ResponseWriter, r *http.Request) {
			time.Sleep(20 * time.Millisecond)
			echo("x")(rw, r)
		}
		w.upstream("live", answer)
		w.upstream("candidate", answer)
		w.do("POST", "/credit", `{}`, "X-User-Id", "u1")
		for _, e := range w.sink.wait(t, 2) {
			if e.Latency != 20_000 || e.TTFB != 20_000 {
				t.Errorf("kind %d: latency %d us, first byte %d us; want 20,000 without the 3 s of connecting", e.Kind, e.Latency, e.TTFB)
			}
		}
	})
}
