package gateway

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"sluice.dev/sluice/internal/release"
)

// sessions are connections that were switched to another protocol, such as WebSocket. The server no
// longer knows of them.
type sessions struct {
	mu     sync.Mutex
	open   map[io.Closer]struct{}
	closed bool
}

// add takes a session in; false: the gateway is closing.
func (s *sessions) add(c io.Closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.open == nil {
		s.open = make(map[io.Closer]struct{})
	}
	s.open[c] = struct{}{}
	return true
}

func (s *sessions) drop(c io.Closer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// close cuts all sessions: where a message ends is known to their ends alone, who connect again.
func (s *sessions) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.open {
		_ = c.Close()
	}
}

// upgradeOf returns the protocol that a request asks to switch to, "" if none or if it can't.
func upgradeOf(r *http.Request) string {
	if r.ProtoMajor != 1 || r.ProtoMinor == 0 || len(r.Header["Upgrade"]) != 1 || r.ContentLength != 0 {
		return ""
	}
	for _, line := range r.Header["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(name), "upgrade") {
				return token(r.Header["Upgrade"][0])
			}
		}
	}
	return ""
}

// token returns the name of one protocol, "" if it is something else. h2c is dropped: the gateway speaks
// HTTP/2 itself, and a server that would take it could be asked past the gateway.
func token(s string) string {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == ',' || c == ';' {
			return ""
		}
	}
	if strings.EqualFold(s, "h2c") {
		return ""
	}
	return s
}

// switched relays a connection that speaks another protocol from now on, both ways, until one end
// closes it. The exposure is complete when it begins: how long people talk is no latency.
func (x *exchange) switched(try *outcome) (cut bool) {
	up, ok := try.resp.Body.(io.ReadWriteCloser)
	if !ok || !strings.EqualFold(try.resp.Header.Get("Upgrade"), x.upgrade) {
		try.problem, try.fault = problemUpstream, release.FaultUpstream
		x.e.Fault, x.e.Status, x.class = try.fault, uint16(try.problem.status), classBroken
		x.refuse(try.problem, "")
		return false
	}
	h := x.w.Header()
	answerHeaders(h, try.resp.Header)
	if h["Content-Type"] == nil {
		delete(h, "Content-Type")
	}
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{x.upgrade}
	conn, buffered, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		try.problem, try.fault = problemInternal, release.FaultGateway
		x.e.Fault, x.e.Status, x.class = try.fault, uint16(try.problem.status), classGateway
		x.refuse(try.problem, "")
		return false
	}
	x.w.begun = true
	defer func() { _ = conn.Close() }()
	x.e.Status, x.class = http.StatusSwitchingProtocols, class2xx
	x.record()
	if !x.g.sessions.add(conn) {
		return false
	}
	defer x.g.sessions.drop(conn)
	_ = conn.SetDeadline(time.Time{})
	if err := x.acknowledge(conn, h); err != nil {
		return false
	}
	x.talk(conn, buffered.Reader, up)
	return false
}

// acknowledge tells the client that the protocol is switched.
func (x *exchange) acknowledge(conn net.Conn, h http.Header) error {
	_ = conn.SetWriteDeadline(time.Now().Add(x.g.opts.Limits.WriteTime))
	w := bufio.NewWriterSize(conn, 1<<10)
	if _, err := w.WriteString("HTTP/1.1 101 Switching Protocols\r\n"); err != nil {
		return err
	}
	if err := h.Write(w); err != nil {
		return err
	}
	if _, err := w.WriteString("\r\n"); err != nil {
		return err
	}
	return w.Flush()
}

// talk copies both ways until both ends have finished, or one failed, or nothing was said for so long
// as the version's timeouts.between allows.
func (x *exchange) talk(client net.Conn, from *bufio.Reader, server io.ReadWriteCloser) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _, _ = client.Close(), server.Close() })
	defer stop()
	touch := func() {} // either end's word keeps both
	if idle := x.sending.v.timeouts.Between.Std(); idle > 0 {
		server, _ := server.(interface{ SetReadDeadline(t time.Time) error })
		touch = func() {
			until := time.Now().Add(idle)
			_ = client.SetReadDeadline(until)
			if server != nil {
				_ = server.SetReadDeadline(until)
			}
		}
	}
	wait := x.g.opts.Limits.WriteTime
	touch()
	var group sync.WaitGroup
	group.Go(func() {
		if carry(server, from, touch, wait) != nil {
			cancel()
			return
		}
		closeWrite(server)
	})
	group.Go(func() {
		if carry(client, server, touch, wait) != nil {
			cancel()
			return
		}
		closeWrite(client)
	})
	group.Wait()
}

// carry copies from one end to the other. nil: from has finished.
func carry(to io.Writer, from io.Reader, touch func(), wait time.Duration) error {
	p := newPipe(-1)
	defer p.free()
	writer, _ := to.(interface{ SetWriteDeadline(t time.Time) error })
	for {
		n, err := from.Read(p.buf)
		if n > 0 {
			touch()
			if writer != nil {
				_ = writer.SetWriteDeadline(time.Now().Add(wait))
			}
			if _, werr := to.Write(p.buf[:n]); werr != nil {
				return werr
			}
			p.grow(n)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func closeWrite(c io.Closer) {
	if w, ok := c.(interface{ CloseWrite() error }); ok && w.CloseWrite() == nil {
		return
	}
	_ = c.Close()
}
