package gateway

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"sluice.dev/sluice/internal/release"
)

// isGRPC says that a request is one of gRPC, whose errors are told in trailers. gRPC-Web is not: it is
// relayed as it is.
func isGRPC(r *http.Request) bool {
	if r.ProtoMajor != 2 {
		return false
	}
	t := r.Header["Content-Type"]
	if len(t) == 0 || !strings.HasPrefix(t[0], "application/grpc") {
		return false
	}
	rest := t[0][len("application/grpc"):]
	return rest == "" || rest[0] == '+' || rest[0] == ';'
}

// grpcCode is what a status of gRPC means here: whose fault it is, and the status of HTTP that says the
// same (google.rpc.Code), so that metrics on a status work for both.
type grpcCode struct {
	fault  release.Fault
	status uint16
}

// grpcCodes by number. Codes that a server gives for what the client sent are the client's; unknown
// ones and those that say that the server failed are the upstream's.
var grpcCodes = [...]grpcCode{
	0:  {release.FaultNone, 200},
	1:  {release.FaultClient, 499},   // CANCELLED
	2:  {release.FaultUpstream, 500}, // UNKNOWN
	3:  {release.FaultClient, 400},   // INVALID_ARGUMENT
	4:  {release.FaultTimeout, 504},  // DEADLINE_EXCEEDED
	5:  {release.FaultClient, 404},   // NOT_FOUND
	6:  {release.FaultClient, 409},   // ALREADY_EXISTS
	7:  {release.FaultClient, 403},   // PERMISSION_DENIED
	8:  {release.FaultClient, 429},   // RESOURCE_EXHAUSTED, as 429 is
	9:  {release.FaultClient, 400},   // FAILED_PRECONDITION
	10: {release.FaultClient, 409},   // ABORTED
	11: {release.FaultClient, 400},   // OUT_OF_RANGE
	12: {release.FaultUpstream, 501}, // UNIMPLEMENTED
	13: {release.FaultUpstream, 500}, // INTERNAL
	14: {release.FaultUpstream, 503}, // UNAVAILABLE
	15: {release.FaultUpstream, 500}, // DATA_LOSS
	16: {release.FaultClient, 401},   // UNAUTHENTICATED
}

// grpcEnded reads how a call of gRPC ended: from the trailers, or from the headers if there was nothing
// else. One that does not say is a failure of the upstream.
func (x *exchange) grpcEnded(resp *http.Response) {
	if resp.StatusCode != http.StatusOK {
		return // not gRPC's answer, such as that of a proxy on the way
	}
	text := resp.Trailer.Get("Grpc-Status")
	if text == "" {
		text = resp.Header.Get("Grpc-Status")
	}
	code := grpcCodes[2]
	if n, err := strconv.Atoi(text); err == nil && n >= 0 && n < len(grpcCodes) {
		code = grpcCodes[n]
	}
	if text == "" {
		x.e.Flags |= release.FlagTruncated
	}
	x.e.Fault, x.e.Status = code.fault, code.status
	x.class = min(class2xx+class(code.status/100-2), class5xx)
	if code.fault == release.FaultTimeout {
		x.class = classTimeout
	}
}

// grpcOf is the code that says the same as one of the gateway's own errors.
func grpcOf(p problem) int {
	switch p.status {
	case http.StatusBadRequest:
		return 3
	case http.StatusUnauthorized:
		return 16
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return 12
	case http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge, http.StatusTooManyRequests:
		return 8
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return 4
	case http.StatusLoopDetected:
		return 9
	}
	return 14
}

// writeGRPC answers with the problem as gRPC tells errors: status 200, and trailers alone.
func (p problem) writeGRPC(w http.ResponseWriter, detail string) {
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set(HeaderError, p.kind)
	h.Set("Grpc-Status", strconv.Itoa(grpcOf(p)))
	text := p.title
	if detail != "" {
		text += ": " + detail
	}
	h.Set("Grpc-Message", url.PathEscape(text))
	w.WriteHeader(http.StatusOK)
}
