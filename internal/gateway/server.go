package gateway

import (
	"log/slog"
	"net/http"
	"time"
)

// NewServer returns a server with the time limits that the gateway counts on. It has none for a whole
// request or answer: those would kill long streams. The gateway bounds bodies, answers and clients that
// take nothing by deadlines of its own.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    128 << 10, // of a request's head; Options.Limits.Header is the smaller bound
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	Speak(s)
	return s
}

// Speak makes a server understand HTTP/1.1 and HTTP/2, over TLS as it is negotiated and without TLS by
// prior knowledge, which is what gRPC needs. It bounds what one connection may ask for at once.
func Speak(s *http.Server) {
	s.ConnContext = withPeer
	s.Protocols = new(http.Protocols)
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	s.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams: 250,
		MaxReadFrameSize:     1 << 20,
		// The largest body that one stream, and one connection, may have under way unread: enough for
		// a fast client far away, not more than a client by HTTP/1.1 gets from the socket's buffer.
		MaxReceiveBufferPerStream:     1 << 20,
		MaxReceiveBufferPerConnection: 1 << 20,
		WriteByteTimeout:              time.Minute, // a client that takes nothing holds all its streams
	}
}
