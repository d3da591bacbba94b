package gateway

import (
	"context"
	"net/http/httptrace"
	"time"
)

// connWait is how long an exchange waited for a connection to a version. It isn't part of the version's
// latency: connections are the gateway's, and a candidate begins with none while live has them all, so
// that with it the first seconds of every release would show the candidate slower than it is.
type connWait struct {
	now   func() time.Time
	began time.Time
	total time.Duration
}

// traced returns a context whose request reports to w. The callbacks run on the goroutine that sends
// the request.
func (w *connWait) traced(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: w.get, GotConn: w.got})
}

func (w *connWait) get(string) { w.began = w.now() }

func (w *connWait) got(httptrace.GotConnInfo) {
	if !w.began.IsZero() {
		w.total += max(0, w.now().Sub(w.began))
		w.began = time.Time{}
	}
}
