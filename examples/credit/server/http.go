package server

import (
	"net/http"
	"time"
)

// HTTPServer returns a server for h with limits on what a slow or hostile client can hold: 5 s for the headers of
// a request, 10 s for all of it, 30 s to its answer more than the longest delay, 32 KiB of headers.
func HTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      maxDelay + 30*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
	}
}
