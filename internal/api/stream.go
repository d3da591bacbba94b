package api

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// streamEvery is how often the hub looks for changes while somebody listens, unless one look takes long: then it
	// rests four times as long as that.
	streamEvery = 500 * time.Millisecond
	// stillHere keeps idle connections open.
	stillHere = 15 * time.Second
	// streamWrite is how long a listener may take to accept an event.
	streamWrite = 10 * time.Second
)

// hub looks for changes once for all listeners. It knows the latest event of each model, so a listener that was away, or
// is slow, gets the latest state of what has changed and not every state in between.
type hub struct {
	s     *server
	epoch string // tells this process's event numbers from another's

	looking sync.Mutex // one look at a time, so that an older one does not come last

	mu        sync.Mutex
	listeners int
	number    uint64           // of the latest event
	latest    map[string]event // by model
	changed   chan struct{}    // closed at the next event
	stop      context.CancelFunc
	closed    chan struct{} // closed by EndStreams
	once      sync.Once
}

type event struct {
	number uint64
	model  string
	what   []byte // to be compared with: without what moves by the clock alone
	data   []byte
}

func newHub(s *server) *hub {
	return &hub{s: s, epoch: rand.Text()[:8], latest: map[string]event{}, changed: make(chan struct{}), closed: make(chan struct{})}
}

// join starts the looking with the first listener; the returned function ends it with the last.
func (h *hub) join() (leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners++; h.listeners == 1 {
		ctx, cancel := context.WithCancel(context.Background())
		h.stop = cancel
		go h.run(ctx)
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.listeners--; h.listeners == 0 {
			h.stop()
		}
	}
}

func (h *hub) run(ctx context.Context) {
	for {
		began := time.Now()
		if err := h.look(ctx); err != nil && ctx.Err() == nil {
			h.s.o.Log.Warn("the stream can't look for changes", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(streamEvery, 4*time.Since(began))):
		}
	}
}

// look numbers what has changed since the last look.
func (h *hub) look(ctx context.Context) error {
	h.looking.Lock()
	defer h.looking.Unlock()
	models, err := h.s.o.Records.Models(ctx)
	if err != nil {
		return err
	}
	for _, m := range models {
		if m.Last == 0 {
			continue
		}
		name := m.Spec.Metadata.Name
		rel, err := h.s.o.Records.Release(ctx, name, m.Last)
		if err != nil {
			return err
		}
		view := h.s.view(rel.State)
		data, err := json.Marshal(Event{Type: "release", Model: name, Release: &view})
		if err != nil {
			return err
		}
		view.Duration = 0
		what, err := json.Marshal(view)
		if err != nil {
			return err
		}
		h.tell(event{model: name, what: what, data: data})
	}
	return nil
}

func (h *hub) tell(e event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if bytes.Equal(h.latest[e.model].what, e.what) {
		return
	}
	h.number++
	e.number = h.number
	h.latest[e.model] = e
	close(h.changed)
	h.changed = make(chan struct{})
}

// after returns the events behind a number, in their order, and what is closed at the next one.
func (h *hub) after(number uint64, model string) ([]event, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []event
	for _, e := range h.latest {
		if e.number > number && (model == "" || e.model == model) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b event) int { return cmp.Compare(a.number, b.number) })
	return out, h.changed
}

// seen reads the id of the last event that a listener got. One of another process says nothing.
func (h *hub) seen(id string) uint64 {
	text, ok := strings.CutPrefix(id, h.epoch+"-")
	n, err := strconv.ParseUint(text, 10, 64)
	h.mu.Lock()
	defer h.mu.Unlock()
	if !ok || err != nil || n > h.number {
		return 0
	}
	return n
}

// stream serves GET /api/v1/stream?model=NAME: server-sent events, one "release" per change of a model's running or
// latest release, the present ones at once. A listener that comes back with the id of the last event that it got, in the
// header Last-Event-ID or as ?after=, gets what has changed since.
func (s *server) stream(w http.ResponseWriter, r *http.Request) {
	q := call{Request: r}.query("model", "after", "lastEventId")
	if q.err != nil {
		s.fail(w, r, q.err)
		return
	}
	number := s.hub.seen(cmp.Or(r.Header.Get("Last-Event-ID"), q.text("after"), q.text("lastEventId")))
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	leave := s.hub.join()
	defer leave()
	if err := s.hub.look(r.Context()); err != nil { // a listener sees what it did itself just before
		s.o.Log.Warn("a stream begins with what was seen last", "error", err)
	}
	idle := time.NewTicker(stillHere)
	defer idle.Stop()
	for {
		events, changed := s.hub.after(number, q.text("model"))
		if err := s.send(w, events, &number); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-s.hub.closed:
			return
		case <-changed:
		case <-idle.C:
			if !s.stillMay(r) {
				return
			}
			if err := s.write(w, []byte(": still here\n\n")); err != nil {
				return
			}
		}
	}
}

// stillMay says whether whoever listens may still do so: a stream does not outlive its token or session.
func (s *server) stillMay(r *http.Request) bool {
	_, err := s.identify(r)
	return err == nil
}

func (s *server) send(w http.ResponseWriter, events []event, number *uint64) error {
	for _, e := range events {
		if err := s.write(w, fmt.Appendf(nil, "event: release\nid: %s-%d\ndata: %s\n\n", s.hub.epoch, e.number, e.data)); err != nil {
			return err
		}
		*number = e.number
	}
	if len(events) == 0 {
		return s.write(w, nil) // the head, at once
	}
	return nil
}

func (s *server) write(w http.ResponseWriter, data []byte) error {
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(streamWrite)) // a recorder in a test has none
	if _, err := w.Write(data); err != nil {
		return err
	}
	return rc.Flush()
}
