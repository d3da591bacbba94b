package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"sluice.dev/sluice/internal/release"
)

// serveOwn answers what lies under /-/sluice/. path is what follows that.
func (g *Gateway) serveOwn(w *answer, r *http.Request, path string) {
	var ours bool
	switch {
	case path == "/healthz" && read(r):
		g.serveHealth(w, http.StatusOK)
	case path == "/readyz" && read(r):
		g.serveHealth(w, http.StatusServiceUnavailable)
	case path == "/feedback" && r.Method == http.MethodPost:
		if !g.authorized(r, &ours) {
			g.refuse(w, problemUnauthorized, "")
			return
		}
		g.serveFeedback(w, r)
	case path == "/healthz" || path == "/readyz":
		w.Header().Set("Allow", "GET, HEAD")
		g.refuse(w, problemMethod, "")
	case path == "/feedback":
		w.Header().Set("Allow", "POST")
		g.refuse(w, problemMethod, "")
	default:
		g.refuse(w, problemNotFound, "")
	}
}

func read(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// Health is what healthz and readyz answer. A gateway is healthy as long as it answers, and ready
// once it has routes: without controller and store it goes on serving live.
type Health struct {
	Status     string     `json:"status"` // ok | degraded | notReady
	Ready      bool       `json:"ready"`
	Generation uint64     `json:"generation,omitempty"`
	Models     int        `json:"models,omitempty"`
	Lease      string     `json:"lease,omitempty"` // none | held | over: candidates' units are served by live
	LeaseLeft  string     `json:"leaseLeft,omitempty"`
	Breakers   []string   `json:"breakersOpen,omitempty"` // model/version
	Faults     []string   `json:"faults,omitempty"`       // versions that can't be called from here: model/version
	Unhealthy  []string   `json:"unhealthy,omitempty"`    // versions that fail their health check: model/version
	Sink       *SinkState `json:"sink,omitempty"`
	Mirrors    int64      `json:"mirrors"` // copies under way
}

// Health returns the gateway's state. Safe for concurrent use.
func (g *Gateway) Health() Health {
	h := Health{Status: "ok", Mirrors: g.copies.slots.used.Load()}
	if g.opts.SinkState != nil {
		s := g.opts.SinkState()
		h.Sink = &s
		if s.Capacity > 0 && s.Queued >= s.Capacity {
			h.Status = "degraded" // telemetry is being dropped
		}
	}
	p := g.plan()
	if p == nil {
		h.Status = "notReady"
		return h
	}
	h.Ready, h.Generation, h.Models = true, p.routes.Generation, len(p.models)
	switch left := g.leaseLeft(p, g.now()); {
	case left == leaseForever:
		h.Lease = "none"
	case left <= 0:
		h.Lease, h.Status = "over", "degraded"
	default:
		h.Lease, h.LeaseLeft = "held", left.Round(time.Second).String()
	}
	for _, m := range p.models {
		for _, a := range m.arms {
			if _, _, open := a.breaker.counts(); open {
				h.Breakers = append(h.Breakers, m.Model+"/"+a.version.name)
			}
			if a.version.check.sick() {
				h.Unhealthy = append(h.Unhealthy, m.Model+"/"+a.version.name)
			}
			if a.version.err != nil {
				h.Faults = append(h.Faults, m.Model+"/"+a.version.name)
			}
		}
	}
	if len(h.Breakers)+len(h.Faults)+len(h.Unhealthy) > 0 {
		h.Status = "degraded"
	}
	return h
}

// serveHealth answers with the state; unready is the status when no routes are served yet.
func (g *Gateway) serveHealth(w http.ResponseWriter, unready int) {
	h := g.Health()
	status := http.StatusOK
	if !h.Ready {
		status = unready
	}
	writeJSON(w, status, h)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // numbers and valid strings always marshal
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client may be gone; nothing is left to do then
}

// serveFeedback is walk (b) of the design up to the sink: decode, check the token, hand on, and say
// 200 only when all that was accepted is durable.
//
//	200  {"accepted":2,"refused":1,"refusals":[{"line":3,"reason":"expired",...}]}
//	422  the same, as nothing was accepted
//	400, 413  the request itself is wrong; 503 nothing was stored: send all of it again
func (g *Gateway) serveFeedback(w *answer, r *http.Request) {
	body, err := g.feedbackBody(w, r)
	if err != nil {
		w.Header().Set("Connection", "close")
		switch {
		case errors.As(err, new(*http.MaxBytesError)):
			g.refuse(w, problemFeedbackSize, "a request holds at most 1 MiB")
		case errors.Is(err, os.ErrDeadlineExceeded):
			g.refuse(w, problemBodySlow, "")
		default:
			g.refuse(w, problemBodyRead, "")
		}
		return
	}
	items, rep, err := g.feedbackItems(body)
	switch {
	case errors.Is(err, errTooMany):
		g.refuse(w, problemFeedbackSize, err.Error())
		return
	case errors.Is(err, errNotReady):
		g.refuse(w, problemNotReady, "")
		return
	case len(items) == 0 && rep.Refused == 0:
		g.refuse(w, problemFeedbackSyntax, "the body is empty")
		return
	case len(items) == 0:
		w.Header().Set(HeaderError, problemFeedbackReject.kind)
		g.metrics.problems.WithLabelValues(problemFeedbackReject.kind).Inc()
		writeJSON(w, problemFeedbackReject.status, rep)
		return
	}
	if err := g.accept(r.Context(), items); err != nil {
		if g.noisy.allow(g.now()) {
			g.opts.Logger.Error("feedback could not be stored", "error", err)
		}
		g.refuse(w, problemFeedbackAway, "")
		return
	}
	g.metrics.accepted.Add(float64(len(items)))
	rep.Accepted = len(items)
	writeJSON(w, http.StatusOK, rep)
}

func (g *Gateway) accept(ctx context.Context, items []FeedbackItem) error {
	if g.opts.Feedback == nil {
		return errors.New("no sink for feedback")
	}
	ctx, cancel := context.WithTimeout(ctx, g.opts.Limits.FeedbackTime)
	defer cancel()
	return g.opts.Feedback.Accept(ctx, items)
}

func (g *Gateway) feedbackBody(w *answer, r *http.Request) ([]byte, error) {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(g.opts.Limits.BodyTime)) // not every connection has deadlines
	body, err := io.ReadAll(http.MaxBytesReader(w.ResponseWriter, r.Body, maxFeedbackBody))
	if err == nil {
		_ = rc.SetReadDeadline(time.Time{})
	}
	return body, err
}

var errNotReady = errors.New("no routes")

// feedbackItems decodes and checks all items of a body.
func (g *Gateway) feedbackItems(body []byte) ([]FeedbackItem, report, error) {
	p := g.plan()
	if p == nil {
		return nil, report{}, errNotReady
	}
	var (
		items []FeedbackItem
		rep   report
	)
	c := checker{p: p, keys: g.opts.Keyring(), now: g.now().UnixMilli()}
	err := eachItem(body, func(line int, item []byte) {
		t, fault := decodeItem(item)
		var f FeedbackItem
		if fault == nil {
			f, fault = c.check(&t)
		}
		if fault != nil {
			rep.refuse(line, fault.reason, fault.detail)
			g.metrics.feedback.WithLabelValues(string(fault.reason)).Inc()
			return
		}
		items = append(items, f)
	})
	return items, rep, err
}

// checker finds the exposure or unit that feedback is about.
type checker struct {
	p    *plan
	keys *release.Keyring
	now  int64 // Unix milliseconds
}

func (c *checker) check(t *told) (FeedbackItem, *itemError) {
	var (
		f     release.Feedback
		fault *itemError
	)
	if t.id != "" {
		f, fault = c.byID(t)
	} else {
		f, fault = c.byUnit(t)
	}
	if fault != nil {
		return FeedbackItem{}, fault
	}
	item := FeedbackItem{Feedback: f, Name: t.metric, Text: t.text}
	item.Feedback.Value = release.Value{Kind: release.ValueNumber, Num: t.number}
	if t.isText {
		item.Feedback.Value = release.Value{Kind: release.ValueCategory}
	}
	return item, nil
}

// byID takes everything from the exposure id. An id of a release that this gateway has not heard of
// yet is good: its MAC says that another gateway of the fleet has.
func (c *checker) byID(t *told) (release.Feedback, *itemError) {
	id, err := c.keys.ParseToken(t.id)
	switch {
	case errors.Is(err, release.ErrTokenUnknownKey):
		return release.Feedback{}, &itemError{reasonKey, detailOf(err)}
	case err != nil:
		return release.Feedback{}, &itemError{reasonForged, detailOf(err)}
	}
	m := c.p.byKey[id.Model]
	switch {
	case m == nil:
		return release.Feedback{}, &itemError{reasonModel, "no model of this gateway made the id"}
	case t.model != "" && t.model != m.Model:
		return release.Feedback{}, &itemError{reasonForeign, `the id belongs to another model than "model" says`}
	case c.now-id.Time > time.Duration(m.Horizon).Milliseconds():
		return release.Feedback{}, &itemError{reasonExpired, "the exposure is older than the model's feedback horizon"}
	}
	return release.Feedback{
		Exposure: id.Nonce, Unit: id.Unit, Exposed: id.Time, Model: id.Model, Release: id.Release,
		Stratum: id.Stratum, Bin: id.Bin, Epoch: id.Epoch, Arm: id.Arm, Kind: id.Kind,
		// No outcome is told before its exposure, whatever this machine's clock says.
		Time: max(c.now, id.Time),
	}, nil
}

// byUnit accounts feedback to the unit's present arm. With a key, the outcome gets a name that is the same whenever it is
// told again, by whatever gateway.
func (c *checker) byUnit(t *told) (release.Feedback, *itemError) {
	route := c.p.routes.Model(t.model)
	if route == nil {
		return release.Feedback{}, &itemError{reasonModel, "this gateway serves no model of that name"}
	}
	unit := bytesOf(strings.TrimSpace(t.unit))
	if len(unit) == 0 {
		return release.Feedback{}, &itemError{reasonUnit, "the unit is empty"}
	}
	a := route.Assign(unit)
	var name uint64
	if t.key != "" {
		name = max(1, c.keys.UnitHash(bytesOf(t.model+"\x00"+string(unit)+"\x00"+t.key)))
	}
	return release.Feedback{
		Exposure: name, Unit: c.keys.UnitHash(unit), Exposed: c.now, Time: c.now, Model: route.Key, Release: route.Release,
		Stratum: route.Stratum, Bin: a.Bin, Epoch: route.Epoch, Arm: a.Counted, Kind: route.Kind,
	}, nil
}

// detailOf returns the words of a token's refusal that are meant for people.
func detailOf(err error) string {
	var e *release.Error
	if errors.As(err, &e) && e.Remedy != "" {
		return e.Remedy
	}
	return "the exposure id was refused"
}
