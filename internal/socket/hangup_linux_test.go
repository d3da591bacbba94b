package socket

import (
	"net"
	"testing"
	"time"
)

// told notes which watches were told of a hang-up.
type told chan uint64

func (c told) HungUp(id uint64) { c <- id }

func hangups(t *testing.T) *Hangups {
	t.Helper()
	h := &Hangups{}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func (c told) expects(t *testing.T, want uint64) {
	t.Helper()
	select {
	case id := <-c:
		if id != want {
			t.Errorf("told of %d, not %d", id, want)
		}
	case <-time.After(time.Minute):
		t.Fatalf("not told of %d", want)
	}
}

func watch(t *testing.T, h *Hangups, s *Socket, w Watcher) uint64 {
	t.Helper()
	id, err := h.Watch(s, w)
	if err != nil || id == 0 {
		t.Fatalf("not watched: %d, %v", id, err)
	}
	return id
}

// Whatever ends a connection is told of, whether it was watched before or not; data are not.
func TestHangups(t *testing.T) {
	for name, end := range map[string]func(*net.TCPConn) error{
		"end":      func(p *net.TCPConn) error { return p.Close() },
		"half end": func(p *net.TCPConn) error { return p.CloseWrite() },
		"reset":    func(p *net.TCPConn) error { _ = p.SetLinger(0); return p.Close() },
		"data first": func(p *net.TCPConn) error {
			_, _ = p.Write([]byte("x"))
			return p.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, w := hangups(t), make(told, 9)
			s, _, p := ends(t)
			before := watch(t, h, s, w)
			other, _, q := ends(t)
			watch(t, h, other, make(told))
			say(t, q, "only data")
			waits(func() bool { _, silent := other.Look(); return !silent })
			if err := end(p); err != nil {
				t.Fatal(err)
			}
			w.expects(t, before) // and of no other
			h.Forget(s, before)
			if after := watch(t, h, s, w); after == before {
				t.Error("an id is given twice")
			} else {
				w.expects(t, after)
			}
		})
	}
}

// A watch that is over is told nothing, and the next socket under the same number is another.
func TestHangupsOfAnotherSocket(t *testing.T) {
	h, w := hangups(t), make(told, 9)
	var last uint64
	var s *Socket
	var p *net.TCPConn
	for i := range 50 {
		var c *net.TCPConn
		s, c, p = ends(t)
		last = watch(t, h, s, w)
		switch i % 3 { // the numbers of closed sockets are taken by the next ones
		case 0:
			_ = c.Close()
			h.Forget(s, last)
		case 1:
			h.Forget(s, last)
			_ = p.Close()
		case 2:
			_ = c.Close() // forgotten by the system alone
		}
	}
	s, _, p = ends(t)
	last = watch(t, h, s, w)
	_ = p.Close()
	w.expects(t, last)
	if len(w) > 0 {
		t.Errorf("told of %d, too", <-w)
	}
}

// Many at once: more than one call of the system tells of.
func TestManyHangups(t *testing.T) {
	const n = 200
	h, w := hangups(t), make(told, n)
	ids, peers := make(map[uint64]bool), make([]*net.TCPConn, n)
	for i := range n {
		var s *Socket
		s, _, peers[i] = ends(t)
		ids[watch(t, h, s, w)] = true
	}
	for _, p := range peers {
		_ = p.Close()
	}
	for range n {
		delete(ids, <-w)
	}
	if len(ids) > 0 {
		t.Errorf("%d were not told of", len(ids))
	}
}

func TestHangupsEnd(t *testing.T) {
	h, w := hangups(t), make(told, 9)
	s, c, _ := ends(t)
	id := watch(t, h, s, w)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if id, err := h.Watch(s, w); err == nil || id != 0 {
		t.Errorf("watched after the end: %d, %v", id, err)
	}
	h.Forget(s, id)
	if err := h.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if err := (&Hangups{}).Close(); err != nil {
		t.Errorf("closed unused: %v", err)
	}
	h = hangups(t)
	_ = c.Close()
	if id, err := h.Watch(s, w); err == nil || id != 0 {
		t.Errorf("a closed socket is watched: %d, %v", id, err)
	}
	if n := len(h.watched); n > 0 {
		t.Errorf("%d watches are left of what was refused", n)
	}
}
