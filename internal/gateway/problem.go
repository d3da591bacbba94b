package gateway

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// HeaderError carries the kind of an error that the gateway itself answers with, so that a client
// can tell it from an answer of the model server, which is relayed untouched and never has it.
const HeaderError = "X-Sluice-Error"

// problem is one of the gateway's own errors: what a client learns of it. Values are declared once,
// below; detail and retry are all that differs between two answers of the same kind.
type problem struct {
	kind   string // stable word, in HeaderError and in the body
	status int
	title  string // for people; says what to do where there is something to do
	retry  time.Duration
}

// The gateway's vocabulary of errors. Kinds are part of the interface: new ones may come, none is
// renamed.
var (
	problemNotReady     = problem{"not_ready", http.StatusServiceUnavailable, "no routes have been loaded yet", time.Second}
	problemNoRoute      = problem{"no_route", http.StatusNotFound, "no model matches this request; compare spec.match of the Model files", 0}
	problemNotFound     = problem{"not_found", http.StatusNotFound, "nothing here; see /-/sluice/healthz, readyz and feedback", 0}
	problemMethod       = problem{"method", http.StatusMethodNotAllowed, "the method is not allowed here", 0}
	problemUnauthorized = problem{"unauthorized", http.StatusUnauthorized, "an API key is required: X-Sluice-Key or Authorization: Bearer", 0}
	problemLoop         = problem{"loop", http.StatusLoopDetected, "the request came through this gateway too often; a version's url points back to it", 0}
	problemHeader       = problem{"header_too_large", http.StatusRequestHeaderFieldsTooLarge, "the request's headers are larger than the gateway allows", 0}
	problemBody         = problem{"body_too_large", http.StatusRequestEntityTooLarge, "the request's body is larger than the model's limits.body", 0}
	problemBodyRead     = problem{"body_unreadable", http.StatusBadRequest, "the request's body ended early or could not be read", 0}
	problemBodySlow     = problem{"body_timeout", http.StatusRequestTimeout, "the request's body did not arrive in time", 0}
	problemPath         = problem{"bad_path", http.StatusBadRequest, `the path has a segment "." or ".."`, 0}
	problemMemory       = problem{"memory", http.StatusServiceUnavailable, "the bodies of all requests together take more memory than the gateway allows", time.Second}
	problemGone         = problem{"client_gone", statusGone, "the client went away", 0}
	problemOverload     = problem{"overloaded", http.StatusTooManyRequests, "the version serves as many requests as its maxConcurrent allows", time.Second}
	problemConfig       = problem{"upstream_config", http.StatusBadGateway, "the version can't be reached as it is configured; see the gateway's log", 0}
	problemUpstream     = problem{"upstream_unreachable", http.StatusBadGateway, "the model server could not be reached or broke off before it answered", 0}
	problemTimeout      = problem{"upstream_timeout", http.StatusGatewayTimeout, "the model server did not answer within the version's timeout", 0}
	problemInternal     = problem{"internal", http.StatusBadGateway, "the gateway failed on this request; see its log", 0}

	problemFeedbackSyntax = problem{"feedback_invalid", http.StatusBadRequest, "the feedback could not be read", 0}
	problemFeedbackSize   = problem{"feedback_too_large", http.StatusRequestEntityTooLarge, "send less feedback at once", 0}
	problemFeedbackAway   = problem{"feedback_unavailable", http.StatusServiceUnavailable, "feedback can't be stored at present; send it again", 2 * time.Second}
	problemFeedbackReject = problem{"feedback_refused", http.StatusUnprocessableEntity, "no item of the feedback could be accepted", 0}
)

// problemJSON is a problem as RFC 9457 writes it; kind repeats HeaderError.
type problemJSON struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Kind   string `json:"kind"`
}

// write answers with the problem. It must be called before anything has been written. detail must
// hold nothing that a client may not see: no upstream address, no unit, no body.
func (p problem) write(w http.ResponseWriter, detail string) {
	body, err := json.Marshal(problemJSON{
		Type: "about:blank", Title: p.title, Status: p.status, Detail: detail, Kind: p.kind,
	})
	if err != nil { // strings and an int always marshal
		panic(err)
	}
	p.writeBody(w, "application/problem+json", body)
}

// writeBody answers with the problem in a form that is the caller's.
func (p problem) writeBody(w http.ResponseWriter, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set(HeaderError, p.kind)
	h.Del("Content-Length")
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.retry+time.Second-1)/time.Second)))
	}
	w.WriteHeader(p.status)
	_, _ = w.Write(body) // the client may be gone; nothing is left to do then
}
