package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// streamEvery is how often the stream looks for changes. Looking costs reads of memory, no writes.
const streamEvery = 500 * time.Millisecond

// stream serves GET /api/v1/stream?model=NAME: server-sent events, one "release" per change of a
// model's running or latest release, the present ones at once. A comment keeps idle connections open.
func (s *server) stream(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	sent := map[string][]byte{}
	ticker := time.NewTicker(streamEvery)
	defer ticker.Stop()
	for idle := 0; ; idle++ {
		wrote, err := s.sendChanges(w, r, sent)
		if err != nil {
			return
		}
		if wrote {
			idle = 0
		}
		if idle%30 == 29 {
			if _, err := w.Write([]byte(": still here\n\n")); err != nil {
				return
			}
		}
		if err := rc.Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
		}
	}
}

func (s *server) sendChanges(w http.ResponseWriter, r *http.Request, sent map[string][]byte) (bool, error) {
	models, err := s.o.Records.Models(r.Context())
	if err != nil {
		return false, err
	}
	only, wrote := r.URL.Query().Get("model"), false
	for _, m := range models {
		name := m.Spec.Metadata.Name
		if m.Last == 0 || only != "" && only != name {
			continue
		}
		rel, err := s.o.Records.Release(r.Context(), name, m.Last)
		if err != nil {
			return wrote, err
		}
		view := s.view(rel.State)
		data, err := json.Marshal(Event{Type: "release", Model: name, Release: &view})
		if err != nil {
			return wrote, err
		}
		if bytes.Equal(sent[name], data) {
			continue
		}
		sent[name], wrote = data, true
		if _, err := fmt.Fprintf(w, "event: release\nid: %s/%d/%d\ndata: %s\n\n", name, view.Number, rel.State.Decisions, data); err != nil {
			return wrote, err
		}
	}
	return wrote, nil
}
