package api

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
)

// statusOf is the one table from kinds of errors to HTTP.
var statusOf = map[release.ErrorKind]int{
	release.KindInvalid:     http.StatusUnprocessableEntity,
	release.KindNotFound:    http.StatusNotFound,
	release.KindConflict:    http.StatusConflict,
	release.KindDenied:      http.StatusForbidden,
	release.KindUnavailable: http.StatusServiceUnavailable,
	release.KindInternal:    http.StatusInternalServerError,
}

// kindOf is its mirror, for the client.
func kindOf(status int) release.ErrorKind {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusMethodNotAllowed, http.StatusRequestTimeout:
		return release.KindInvalid
	case http.StatusNotFound:
		return release.KindNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return release.KindConflict
	case http.StatusUnauthorized, http.StatusForbidden:
		return release.KindDenied
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return release.KindUnavailable
	}
	return release.KindInternal
}

// httpError is an error that knows its status better than the table does.
type httpError struct {
	status int
	msg    string
	remedy string
	retry  time.Duration // for Retry-After; 0: none
}

func (e *httpError) Error() string { return e.msg }

func badRequest(msg, remedy string) error {
	return &httpError{status: http.StatusBadRequest, msg: msg, remedy: remedy}
}

// problemOf translates an error into what the client may see. Internal causes go to the log alone.
func problemOf(err error) Problem {
	var he *httpError
	if errors.As(err, &he) {
		return Problem{Type: "about:blank", Title: http.StatusText(he.status), Status: he.status, Detail: he.msg, Remedy: he.remedy, retry: he.retry}
	}
	var faults release.Faults
	if errors.As(err, &faults) {
		return faultsProblem(faults)
	}
	var re *release.Error
	if !errors.As(err, &re) {
		return Problem{Type: "about:blank", Title: "Internal Server Error", Status: 500, Detail: "an internal error; the server's log says more"}
	}
	status := statusOf[re.Kind]
	if errors.Is(err, records.ErrMoved) {
		status = http.StatusPreconditionFailed
	}
	p := Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: re.Msg, Remedy: re.Remedy}
	if re.Op != "" {
		p.Detail = re.Op + ": " + re.Msg
	}
	if re.Kind == release.KindUnavailable && re.Cause != nil {
		p.Detail += ": " + re.Cause.Error()
	}
	return p
}

func faultsProblem(faults release.Faults) Problem {
	p := Problem{
		Type: "about:blank", Title: "Unprocessable Entity", Status: http.StatusUnprocessableEntity,
		Detail: faults.Error(), Remedy: "correct the file; sluice lint -f FILE checks it offline",
	}
	for _, f := range faults {
		p.Faults = append(p.Faults, f)
	}
	return p
}

func writeProblem(w http.ResponseWriter, p Problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	if p.Status == http.StatusServiceUnavailable && p.retry == 0 {
		p.retry = 2 * time.Second
	}
	if p.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retry.Seconds()))))
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="sluice"`)
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client is gone if this fails
}
