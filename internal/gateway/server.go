package gateway

import (
	"log/slog"
	"net/http"
	"time"
)

// NewServer returns an HTTP/1.1 server with the time limits that the gateway counts on. It has none
// for a whole request or answer: those would kill long streams. The gateway bounds bodies, answers
// and clients that take nothing by deadlines of its own.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    128 << 10, // of a request's head; Options.Limits.Header is the smaller bound
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
