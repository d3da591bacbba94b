package gateway

import (
	"context"
	"net/http"
	"time"
)

// hedgeable says that the request may be sent twice.
func (s *sending) hedgeable() bool {
	if s.sent != nil || s.upgrade != "" || s.grpc {
		return false
	}
	switch s.r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return s.v.hedge.Any || len(s.r.Header["Idempotency-Key"]) > 0
}

// shot is one of the two requests of a hedge.
type shot struct {
	s    *sending
	resp *http.Response
	err  error
	end  context.CancelFunc
}

// hedged sends the request, and once more if no answer has begun after a while. The first answer of
// which there is a head counts, unless it is a failure and the other may still be better; the other
// request is cancelled. The exposure is one, and its time runs from the first request.
func (x *exchange) hedged(s *sending) (*http.Response, error) {
	x.shared = true
	g, answers := x.g, make(chan *shot, 2) // a shot may be late, and x serve another request
	fire := func() *shot {
		t := &shot{s: &sending{}}
		*t.s = *s
		t.s.out.url, t.s.out.header = &t.s.url, s.out.header.clone() // what loses may outlive the exchange
		t.s.inform = nil                                             // two voices at once
		t.s.ctx, t.end = context.WithCancel(s.ctx)
		if t.s.body != nil {
			t.s.body.retain()
		}
		go func() {
			t.resp, t.err = t.s.send(g) //nolint:bodyclose // the outcome, or drop, closes it
			t.s.body.release()          // what is sent in memory is sent when the head is there, or the connection is closed
			answers <- t
		}()
		return t
	}
	shots := []*shot{fire()}
	timer := time.NewTimer(s.v.hedge.After.Std())
	defer timer.Stop()
	var best *shot
	for open := 1; open > 0; {
		select {
		case <-timer.C:
			shots = append(shots, fire())
			open++
			x.m.metrics.hedged.Inc()
		case t := <-answers:
			open--
			if best == nil || best.failed() {
				best = t
			}
			if !t.failed() {
				x.drop(shots, best, open, answers)
				return x.settle(s, best, shots)
			}
			if len(shots) == 1 {
				open = 0 // it failed before a second was sent: that is an answer, too
			}
		}
	}
	x.drop(shots, best, 0, answers)
	return x.settle(s, best, shots)
}

func (t *shot) failed() bool { return t.err != nil || t.resp.StatusCode >= 500 }

// settle makes the shot that counts the exchange's own.
func (x *exchange) settle(s *sending, best *shot, shots []*shot) (*http.Response, error) {
	if best != shots[0] {
		x.m.metrics.hedgeWon.Inc()
	}
	s.waited = best.s.waited
	s.cancel = func(error) { best.s.end(); best.end() }
	return best.resp, best.err
}

// drop cancels all shots but one and closes what they were answered.
func (x *exchange) drop(shots []*shot, best *shot, open int, answers <-chan *shot) {
	for _, t := range shots {
		if t != best {
			t.end()
		}
	}
	closed := func(t *shot) {
		if t.resp != nil {
			_ = t.resp.Body.Close()
		}
		t.s.end()
	}
	late := len(shots)
	for _, t := range shots {
		if t == best {
			late--
		}
	}
	if late == 0 {
		return
	}
	if open == 0 { // all have answered; the one that doesn't count is closed here
		for _, t := range shots {
			if t != best {
				closed(t)
			}
		}
		return
	}
	x.g.hedges.Go(func() { closed(<-answers) })
}
