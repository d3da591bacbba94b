package gateway

import (
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"sluice.dev/sluice/internal/upstream"
)

// Headers of the gateway's own. All of them begin with ownPrefix, none is forwarded to a model
// server as a client sent it.
const (
	HeaderID      = "X-Sluice-Id"      // answer: the exposure id
	HeaderVersion = "X-Sluice-Version" // answer, if asked for by Options.Expose: the version that answered
	HeaderArm     = "X-Sluice-Arm"     // answer, if asked for by Options.Expose: the unit's arm
	HeaderKey     = "X-Sluice-Key"     // request: an API key of the gateway
	// HeaderContinue of a request is the exposure id of an earlier answer of the same conversation, which is to be finished by the
	// version that it began with.
	HeaderContinue = "X-Sluice-Continue"

	HeaderHop    = "X-Sluice-Hop"    // to the upstream: how often the request passed a gateway
	HeaderShadow = "X-Sluice-Shadow" // to the upstream: "true" on mirrored requests, whose answer is discarded

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
	v := h[HeaderHop]
	if len(v) == 0 || v[0] == "" {
		return 0
	}
	n, err := strconv.Atoi(v[0])
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

// fields are the headers of a request to a version, each name once. A map would have to be filled from that of the client
// and cleared for the next request, only to be gone through once.
type fields []upstream.Field

// get returns a header's values, nil if there is none.
func (f fields) get(name string) []string {
	for i := range f {
		if f[i].Name == name {
			return f[i].Values
		}
	}
	return nil
}

// set puts a header in the place of that of the same name.
func (f *fields) set(name string, values []string) {
	for i := range *f {
		if (*f)[i].Name == name {
			(*f)[i].Values = values
			return
		}
	}
	f.add(name, values)
}

// add puts a header behind the others, none of which has its name.
func (f *fields) add(name string, values []string) {
	*f = append(*f, upstream.Field{Name: name, Values: values})
}

// clone returns a copy that shares nothing with f.
func (f fields) clone() fields {
	c := slices.Clone(f)
	for i := range c {
		c[i].Values = slices.Clone(c[i].Values)
	}
	return c
}

// header returns a copy that net/http takes.
func (f fields) header() http.Header {
	h := make(http.Header, len(f)+2)
	for i := range f {
		h[f[i].Name] = slices.Clone(f[i].Values)
	}
	return h
}

// outgoing appends the headers for the upstream of version v to h, which is empty: all that the client sent, less what
// concerns its connection, the gateway's own and, unless asked for, cookies; more, the version's
// own headers, which replace the client's of the same name. identity asks the upstream not to
// compress, because the answer must be read. own is memory for the gateway's own values.
func (p headerPolicy) outgoing(h *fields, own *values, r *http.Request, v *version, hop int, identity bool) {
	named := r.Header["Connection"]
	for name, values := range r.Header { // values are shared: nobody writes into them
		if !p.drops(name) && (len(named) == 0 || !namedBy(named, name)) {
			h.add(name, values)
		}
	}
	if identity {
		h.set("Accept-Encoding", identityValue)
	}
	p.forwarded(h, own, r)
	h.add(HeaderHop, hopValues[min(hop, maxHops)])
	for name, values := range v.headers {
		h.set(name, values)
	}
}

// drops says that a header of a client goes no further, whatever else it sends.
func (p headerPolicy) drops(name string) bool {
	switch name {
	case "Host":
		return true
	case "Expect": // the gateway has answered it by reading the body
		return true
	case "Content-Length": // set from the request's own field
		return true
	case "Cookie":
		return !p.keepCookies
	case "Authorization":
		return p.ownBearer
	case "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto":
		return !p.trustForwarded // forwarded says it anew
	}
	return noFurther(name)
}

// namedBy says that a header concerns one connection only because Connection names it.
func namedBy(lines []string, name string) bool {
	for _, line := range lines {
		for n := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(textproto.TrimString(n), name) {
				return !endToEnd(name)
			}
		}
	}
	return false
}

// values is memory for values of headers, so that one allocation serves for all of them.
type values struct {
	of [6]string
	n  int
}

// one returns a header's values: this one.
func (v *values) one(s string) []string {
	if v.n == len(v.of) {
		return []string{s}
	}
	v.of[v.n] = s
	v.n++
	return v.of[v.n-1 : v.n : v.n]
}

// Values that never change. Nobody writes into them.
var (
	identityValue = []string{"identity"}
	httpValue     = []string{"http"}
	httpsValue    = []string{"https"}
	hopValues     = [maxHops + 1][]string{{"1"}, {"2"}, {"3"}, {"4"}}
)

// forwarded tells the upstream who asked. What a client claims is dropped unless its network is
// trusted.
func (p headerPolicy) forwarded(h *fields, own *values, r *http.Request) {
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		client = "unknown"
	}
	proto := httpValue
	if r.TLS != nil {
		proto = httpsValue
	}
	if !p.trustForwarded {
		h.add("X-Forwarded-For", own.one(client))
		h.add("X-Forwarded-Host", own.one(r.Host))
		h.add("X-Forwarded-Proto", proto)
		return
	}
	if prior := h.get("X-Forwarded-For"); len(prior) > 0 {
		client = strings.Join(prior, ", ") + ", " + client
	}
	h.set("X-Forwarded-For", own.one(client))
	if len(h.get("X-Forwarded-Host")) == 0 {
		h.set("X-Forwarded-Host", own.one(r.Host))
	}
	if len(h.get("X-Forwarded-Proto")) == 0 {
		h.set("X-Forwarded-Proto", proto)
	}
}

// answerHeaders copies an upstream's headers to the client's answer, less what concerns the
// upstream's connection and what only the gateway may say.
func answerHeaders(dst, src http.Header) {
	if len(src["Connection"]) > 0 {
		dropHopByHop(src)
	}
	for name, values := range src {
		if !noFurther(name) {
			dst[name] = values
		}
	}
	if _, typed := src["Content-Type"]; !typed {
		dst["Content-Type"] = nil // keeps net/http from guessing one
	}
}

// noFurther says that a header goes no further, be it a client's or an upstream's: it concerns one connection, or only the gateway may say
// it.
func noFurther(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade": // = hopByHop
		return true
	}
	return strings.HasPrefix(name, ownPrefix)
}

// passable is answerHeaders for headers that are passed on as they came: it returns, in place, those that go to the client. false: of
// these, a stream's, something is to be made; nothing was done then.
func passable(lines []upstream.Line, dst http.Header) (kept []upstream.Line, ok bool) {
	typed := false
	for i := range lines {
		if lines[i].Name == "Content-Type" {
			if typed = true; isEventStream(lines[i].Value) {
				return nil, false
			}
		}
	}
	kept = lines[:0]
	for i := range lines {
		if !noFurther(lines[i].Name) {
			kept = append(kept, lines[i])
		}
	}
	if !typed {
		dst["Content-Type"] = nil
	}
	return kept, true
}

// headerOf makes a header of lines, which keeps nothing of their memory: trailers are written when the exchange is over.
func headerOf(lines []upstream.Line) http.Header {
	h := make(http.Header, len(lines))
	for _, l := range lines {
		name := strings.Clone(l.Name)
		h[name] = append(h[name], strings.Clone(l.Value))
	}
	return h
}

// eventStream says whether the answer is a stream of server-sent events.
func eventStream(h http.Header) bool {
	return isEventStream(h.Get("Content-Type"))
}

func isEventStream(v string) bool {
	const want = "text/event-stream"
	return len(v) >= len(want) && strings.EqualFold(v[:len(want)], want) &&
		(len(v) == len(want) || v[len(want)] == ';' || v[len(want)] == ' ')
}
