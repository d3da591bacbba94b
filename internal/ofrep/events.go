package ofrep

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// writeTime is how long a client may take nothing before its stream ends.
const writeTime = 10 * time.Second

// serveEvents tells when flags should be evaluated again: once for all changes between two looks at the routes. The id of an event
// is the routes' generation, so that a client which comes back with Last-Event-ID is told at once if it missed any.
func (h *Handler) serveEvents(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", "GET, OPTIONS")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	case !h.mayListen(r):
		refuseKey(w)
		return
	}
	defer h.streams.Add(-1)
	if h.streams.Add(1) > h.o.Streams {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-cache, no-transform")
	header.Set("X-Accel-Buffering", "no")
	s := stream{w: w, rc: http.NewResponseController(w)}
	h.follow(r, &s)
}

// follow tells changes until the client or the process goes.
func (h *Handler) follow(r *http.Request, s *stream) {
	known := h.o.Routes().Generation
	if last, err := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64); err == nil {
		known = last
	}
	ok := s.send("retry: 2000\n\n")
	poll := time.NewTicker(h.o.Poll)
	defer poll.Stop()
	beat := time.NewTicker(h.o.Beat)
	defer beat.Stop()
	for ok {
		if routes := h.o.Routes(); routes.Generation != known && routes.Generation != 0 {
			known = routes.Generation
			ok = s.send(fmt.Sprintf("id: %d\ndata: {\"type\":\"refetchEvaluation\",\"etag\":%q}\n\n", known, configTag(routes)))
			continue
		}
		select {
		case <-r.Context().Done():
			return
		case <-h.closed:
			return
		case <-poll.C:
		case <-beat.C:
			ok = s.send(": keep-alive\n\n")
		}
	}
}

// stream is the receiving end of events.
type stream struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func (s *stream) send(text string) bool {
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeTime)) // a test's recorder has none
	if _, err := s.w.Write([]byte(text)); err != nil {
		return false
	}
	return s.rc.Flush() == nil
}
