package front

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"sluice.dev/sluice/internal/socket"
)

// Server serves an http.Server's handler. Its limits, error log and contexts are the http.Server's, which also
// serves the connections that are handed over; MaxHeaderBytes, TLS, ConnState and whether connections are kept alive
// are asked for by those alone.
type Server struct {
	// Log is told that no connection can be accepted for the time being; nil: the http.Server's error log is. Set it before Serve.
	Log *slog.Logger

	http    *http.Server
	over    *handover
	hangups socket.Hangups // of clients

	closing atomic.Bool
	mu      sync.Mutex
	conns   map[*conn]struct{}
	ports   map[net.Listener]struct{}
	once    sync.Once
}

// New returns a server before h, whose fields must be set. h must be used for nothing else.
func New(h *http.Server) *Server {
	return &Server{
		http: h, over: newHandover(),
		conns: make(map[*conn]struct{}), ports: make(map[net.Listener]struct{}),
	}
}

// Serve accepts connections until the server is shut down or closed, and returns http.ErrServerClosed then.
// Any other error is the listener's.
func (s *Server) Serve(l net.Listener) error {
	if !s.listens(l) {
		_ = l.Close()
		return http.ErrServerClosed
	}
	s.once.Do(func() { go func() { _ = s.http.Serve(s.over.from(l)) }() })
	base := context.Background()
	if s.http.BaseContext != nil {
		base = s.http.BaseContext(l)
	}
	base = context.WithValue(base, http.ServerContextKey, s.http)
	for pause := time.Duration(0); ; {
		c, err := l.Accept()
		switch {
		case s.closing.Load():
			if err == nil {
				_ = c.Close()
			}
			return http.ErrServerClosed
		case temporary(err): // no file descriptors left, say: those of others will be closed
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.refuses(err, pause)
			time.Sleep(pause)
		case err != nil:
			return err
		default:
			pause = 0
			s.begin(c, base)
		}
	}
}

// refuses says that no connection can be accepted.
func (s *Server) refuses(err error, pause time.Duration) {
	if s.Log == nil {
		s.logf("front: accept: %v; again in %v", err, pause)
		return
	}
	s.Log.Warn("no connection can be accepted: raise the limit of open files, or look who holds them", "error", err, "again", pause)
}

// temporary says that a listener will go on working after err.
func temporary(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Temporary() //nolint:staticcheck // net/http's server asks the same
}

// listens notes a listener; false: the server is over.
func (s *Server) listens(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		return false
	}
	s.ports[l] = struct{}{}
	return true
}

func (s *Server) begin(raw net.Conn, base context.Context) {
	ctx := base
	if s.http.ConnContext != nil {
		ctx = s.http.ConnContext(ctx, raw)
	}
	ctx = context.WithValue(ctx, http.LocalAddrContextKey, raw.LocalAddr())
	c := newConn(s, raw, ctx)
	s.mu.Lock()
	if s.closing.Load() {
		s.mu.Unlock()
		_ = raw.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	go c.serve()
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Shutdown stops accepting, closes connections that wait for a request, and waits for the others to finish
// theirs, or for ctx to end.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.stopListening()
	ended := make(chan error, 1)
	go func() { ended <- s.http.Shutdown(ctx) }()
	timer := time.NewTimer(time.Millisecond)
	defer timer.Stop()
	for pause := time.Millisecond; !s.closeIdle(); {
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err(), <-ended)
		case <-timer.C:
			pause = min(2*pause, 500*time.Millisecond)
			timer.Reset(pause)
		}
	}
	return errors.Join(err, <-ended, s.hangups.Close())
}

// Close closes all listeners and connections at once, and ends the contexts of the requests under way.
func (s *Server) Close() error {
	err := s.stopListening()
	s.over.hasty.Store(true)
	s.mu.Lock()
	for c := range s.conns {
		c.cut()
		c.watch.gone() // the system tells nothing of what is closed on this side
	}
	s.mu.Unlock()
	return errors.Join(err, s.http.Close(), s.hangups.Close())
}

func (s *Server) stopListening() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing.Store(true)
	var faults []error
	for l := range s.ports {
		faults = append(faults, l.Close())
	}
	clear(s.ports)
	s.over.close()
	return errors.Join(faults...)
}

// freshTime is for how long a connection that has said nothing yet is given the time to.
const freshTime = 5 * time.Second

// closeIdle closes what waits for a request and says whether nothing is left.
func (s *Server) closeIdle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		fresh := c.state.Load() == stateNew && time.Since(c.opened) < freshTime
		if !fresh && (c.state.CompareAndSwap(stateIdle, stateClosed) || c.state.CompareAndSwap(stateNew, stateClosed)) {
			_ = c.net.Close()
			delete(s.conns, c)
		}
	}
	return len(s.conns) == 0
}

func (s *Server) logf(format string, args ...any) {
	if s.http.ErrorLog == nil {
		log.Printf(format, args...) // as net/http does
		return
	}
	s.http.ErrorLog.Printf(format, args...)
}
