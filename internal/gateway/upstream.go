package gateway

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// newHTTP2 returns what asks versions by HTTP/2, over TLS or without. No compression is added, no proxy
// of the environment is obeyed, redirects are never followed (a transport does not).
func newHTTP2(dial func(ctx context.Context, network, addr string) (net.Conn, error), pattern *tls.Config) *http.Transport {
	if dial == nil {
		dial = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	t := &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        pattern.Clone(),
		TLSHandshakeTimeout:    5 * time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true, // answers are relayed as they are
		Protocols:              new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: 15 * time.Second, // a connection that is dead must not swallow all requests
			PingTimeout:     10 * time.Second,
		},
	}
	t.Protocols.SetHTTP2(true)
	t.Protocols.SetUnencryptedHTTP2(true)
	return t
}
