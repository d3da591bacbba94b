package upstream

import (
	"errors"
	"os"
	"sync"
	"time"
)

// alarm is the deadline of what is read. One of the socket costs a timer each time it is set, and nearly all answers come in
// time: one that would ring too early is left as it is, and set anew when it has rung.
type alarm struct {
	due   time.Time // zero: none
	armed time.Time // the socket's; zero: none

	mu      sync.Mutex
	flowing bool // a stream is read, which learns of its connection's end by a deadline
	hung    bool // it has
}

// within says when what is waited for must be there; the zero time: no limit.
func (c *conn) within(t time.Time) {
	a := &c.alarm
	if a.due = t; !c.patient() || !t.IsZero() && (a.armed.IsZero() || t.Before(a.armed)) {
		c.arm()
	}
}

// patient says that a wait which ended too early can be begun again.
func (c *conn) patient() bool { return c.sock != nil && c.host.tls == nil }

func (c *conn) arm() {
	a := &c.alarm
	if a.armed.Equal(a.due) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.hung {
		a.armed = a.due
		_ = c.net.SetReadDeadline(a.due) // of a closed connection: the wait says so
	}
}

// early says that a wait ended by a deadline that was not its own, and sets its own.
func (c *conn) early(err error) bool {
	a := &c.alarm
	if err == nil || !c.patient() || !errors.Is(err, os.ErrDeadlineExceeded) || !a.due.IsZero() && !time.Now().Before(a.due) {
		return false
	}
	a.armed = past // whatever it was
	c.arm()
	return true
}

var past = time.Unix(1, 0)

// HungUp implements socket.Watcher: it ends the wait of a stream. It may come when the connection already serves others.
func (c *conn) HungUp(uint64) {
	c.alarm.mu.Lock()
	defer c.alarm.mu.Unlock()
	if c.alarm.flowing {
		c.alarm.hung = true
		_ = c.net.SetReadDeadline(past)
	}
}

// flows says that a stream is read from now on, or no more. It returns whether its connection had an end.
func (c *conn) flows(on bool) (hung bool) {
	a := &c.alarm
	a.mu.Lock()
	defer a.mu.Unlock()
	if hung = a.hung; hung {
		a.armed = past
	}
	a.flowing, a.hung = on, false
	return hung
}

func (c *conn) hangs() bool {
	c.alarm.mu.Lock()
	defer c.alarm.mu.Unlock()
	return c.alarm.hung
}
