package gateway

import (
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// Headers of the gateway's own. All of them begin with ownPrefix, none is forwarded to a model
// server as a client sent it.
const (
	HeaderID      = "X-Sluice-Id"      // answer: the exposure id
	HeaderVersion = "X-Sluice-Version" // answer, if asked for by Options.Expose: the version that answered
	HeaderArm     = "X-Sluice-Arm"     // answer, if asked for by Options.Expose: the unit's arm
	HeaderKey     = "X-Sluice-Key"     // request: an API key of the gateway
	HeaderHop     = "X-Sluice-Hop"     // to the upstream: how often the request passed a gateway
	HeaderShadow  = "X-Sluice-Shadow"  // to the upstream: "true" on mirrored requests, whose answer is discarded

	ownPrefix = "X-Sluice-"
)

// hopByHop are the headers that concern one connection only (RFC 9110 section 7.6.1 and what older
// software still sends).
var hopByHop = [...]string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// dropHopByHop removes what concerns the incoming connection only: the fixed list and whatever
// Connection names. Headers that Connection may not name, because dropping them would change the
// request's meaning, are kept.
func dropHopByHop(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			name = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name))
			if name != "" && !endToEnd(name) {
				delete(h, name)
			}
		}
	}
	for _, name := range hopByHop {
		delete(h, name)
	}
}

// endToEnd says that a header stays although Connection names it: a hostile client could otherwise
// strip what the upstream relies on.
func endToEnd(name string) bool {
	switch name {
	case "Authorization", "Content-Type", "Content-Length", "Content-Encoding", "Host", "Cookie":
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded-")
}

// dropOwn removes the headers that only Sluice may set.
func dropOwn(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, ownPrefix) {
			delete(h, name)
		}
	}
}

// hops returns how often the request has passed a gateway. What can't be read counts as many: only
// a gateway sets the header.
func hops(h http.Header) int {
	v := h.Get(HeaderHop)
	if v == "" {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return maxHops
	}
	return n
}

// headerSize returns the bytes that the headers take on the wire, the request line apart.
func headerSize(h http.Header) int {
	n := 0
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(v) + 4
		}
	}
	return n
}

// headerPolicy is what Options says of headers.
type headerPolicy struct {
	keepCookies    bool // forward Cookie
	trustForwarded bool // append to X-Forwarded-* instead of replacing it
	ownBearer      bool // the client's Authorization was the gateway's API key
}

// outgoing returns the headers for the upstream of version v: all that the client sent, less what
// concerns its connection, the gateway's own and, unless asked for, cookies; more, the version's
// own headers, which replace the client's of the same name. identity asks the upstream not to
// compress, because the answer must be read.
func (p headerPolicy) outgoing(r *http.Request, v *version, hop int, identity bool) http.Header {
	h := make(http.Header, len(r.Header)+6)
	for name, values := range r.Header { // values are shared: nobody writes into them
		if !strings.HasPrefix(name, ownPrefix) {
			h[name] = values
		}
	}
	dropHopByHop(h)
	delete(h, "Host")
	delete(h, "Expect")         // the gateway has answered it by reading the body
	delete(h, "Content-Length") // set from the request's own field
	if !p.keepCookies {
		delete(h, "Cookie")
	}
	if p.ownBearer {
		delete(h, "Authorization")
	}
	if identity {
		h["Accept-Encoding"] = []string{"identity"}
	}
	p.forwarded(h, r)
	h[HeaderHop] = []string{strconv.Itoa(hop + 1)}
	for name, values := range v.headers {
		h[name] = values
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // keeps net/http from adding its own
	}
	return h
}

// forwarded tells the upstream who asked. What a client claims is dropped unless its network is
// trusted.
func (p headerPolicy) forwarded(h http.Header, r *http.Request) {
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		client = "unknown"
	}
	proto := "http"
	if r.TLS != nil {
		proto = "https"
	}
	if !p.trustForwarded {
		delete(h, "Forwarded")
		h["X-Forwarded-For"] = []string{client}
		h["X-Forwarded-Host"] = []string{r.Host}
		h["X-Forwarded-Proto"] = []string{proto}
		return
	}
	if prior := h["X-Forwarded-For"]; len(prior) > 0 {
		client = strings.Join(prior, ", ") + ", " + client
	}
	h["X-Forwarded-For"] = []string{client}
	if len(h["X-Forwarded-Host"]) == 0 {
		h["X-Forwarded-Host"] = []string{r.Host}
	}
	if len(h["X-Forwarded-Proto"]) == 0 {
		h["X-Forwarded-Proto"] = []string{proto}
	}
}

// answerHeaders copies an upstream's headers to the client's answer, less what concerns the
// upstream's connection and what only the gateway may say.
func answerHeaders(dst, src http.Header) {
	dropHopByHop(src)
	dropOwn(src)
	for name, values := range src {
		dst[name] = values
	}
	if _, ok := src["Content-Type"]; !ok {
		dst["Content-Type"] = nil // keeps net/http from guessing one
	}
}

// eventStream says whether the answer is a stream of server-sent events.
func eventStream(h http.Header) bool {
	v := h.Get("Content-Type")
	const want = "text/event-stream"
	return len(v) >= len(want) && strings.EqualFold(v[:len(want)], want) &&
		(len(v) == len(want) || v[len(want)] == ';' || v[len(want)] == ' ')
}
