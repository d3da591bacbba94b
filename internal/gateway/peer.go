package gateway

import (
	"context"
	"net"
	"sync"
	"time"
)

// A client that opens requests and takes them back at once costs each time a request to a model server and
// the connection to it, and nothing itself (CVE-2023-44487, "rapid reset"). net/http bounds how many
// requests of one connection are under way, not how many are taken back.
const (
	maxGone  = 1000 // requests taken back at once by one connection ...
	goneRate = 100  // ... and per second in the long run
)

// peer is one client's connection.
type peer struct {
	conn net.Conn

	mu   sync.Mutex
	gone float64 // requests that were taken back, less goneRate per second
	at   time.Time
}

type peerKey struct{}

// withPeer lets requests find their connection.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, &peer{conn: c})
}

// tookBack counts a request that its client did not wait for, and closes a connection by HTTP/2 on which
// too many of them came. By HTTP/1.1 each costs the client its connection anyway.
func (x *exchange) tookBack() {
	if x.r.ProtoMajor < 2 {
		return
	}
	p, ok := x.r.Context().Value(peerKey{}).(*peer)
	if !ok {
		return
	}
	p.mu.Lock()
	now := time.Now()
	p.gone = max(0, p.gone-goneRate*now.Sub(p.at).Seconds()) + 1
	p.at = now
	over := p.gone > maxGone
	p.mu.Unlock()
	if over {
		x.g.metrics.problems.WithLabelValues("rapid_reset").Inc()
		_ = p.conn.Close()
	}
}
