package gateway

import (
	"net"
	"net/http"
	"time"
)

// Upstream sends one request to a model server and returns its answer's head; the body streams.
// It must obey the request's context, close the request's body, and decode nothing. http.Transport
// is one; NewTransport returns one that is set up for a gateway.
type Upstream = http.RoundTripper

// NewTransport returns an HTTP/1.1 transport for many requests to few hosts. No compression is
// added, no proxy of the environment is obeyed, redirects are never followed (a transport does not),
// and a request's own context is the only deadline but for the connection's.
func NewTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		MaxIdleConns:           4096,
		MaxIdleConnsPerHost:    1024, // net/http's 2 closes nearly every connection under load
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true, // answers are relayed as they are
		ForceAttemptHTTP2:      false,
		WriteBufferSize:        16 << 10,
		ReadBufferSize:         16 << 10,
	}
}
