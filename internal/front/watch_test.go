package front

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// watched waits until the client of each request that is served is watched.
func (r *running) watched(n int) {
	for m := 0; m < n; time.Sleep(time.Millisecond) {
		m = 0
		for _, c := range r.all() {
			c.watch.mu.Lock()
			if w := &c.watch; w.request != nil && w.free && (w.id != 0 || w.watches() && w.reading) {
				m++
			}
			c.watch.mu.Unlock()
		}
	}
}

// What a client does while its request is served, and whether that ends it.
func TestWhatEndsARequest(t *testing.T) {
	reset := func(u *user) { _ = u.Conn.(*net.TCPConn).SetLinger(0); _ = u.Close() }
	for name, c := range map[string]struct {
		does func(u *user)
		ends bool
	}{
		"closes":                      {func(u *user) { _ = u.Close() }, true},
		"sends its end":               {func(u *user) { _ = u.Conn.(*net.TCPConn).CloseWrite() }, true},
		"resets":                      {reset, true},
		"asks again":                  {func(u *user) { u.send(plainGet) }, false},
		"asks again and sends an end": {func(u *user) { u.send(plainGet); _ = u.Conn.(*net.TCPConn).CloseWrite() }, false},
	} {
		for _, first := range []bool{true, false} { // before it is watched, and after
			t.Run(fmt.Sprintf("%s, watched %v", name, !first), func(t *testing.T) {
				b := newBlock()
				r := onSockets(t, config(b.serve))
				u := r.dial()
				u.send(plainGet)
				req := <-b.begun
				if !first {
					r.watched(1)
				}
				c.does(u)
				if c.ends {
					<-req.Context().Done()
					return
				}
				time.Sleep(2 * watchAfter) // for what must not happen
				b.free <- struct{}{}
				u.gets("done")
				second := <-b.begun
				if strings.Contains(name, "end") {
					<-second.Context().Done() // nothing comes behind this one
					u.gets("cancelled")
					return
				}
				b.free <- struct{}{}
				u.gets("done")
			})
		}
	}
}

// A request that waits costs no goroutine beside its own where the system tells of hang-ups, and its connection is watched
// once and for all.
func TestWatchWithoutGoroutines(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system does not tell of hang-ups")
	}
	b := newBlock()
	r := onSockets(t, config(b.serve))
	u := r.dial()
	var id uint64
	for range 3 {
		u.send(plainGet)
		<-b.begun
		r.watched(1)
		w := &r.all()[0].watch
		if w.mu.Lock(); w.reading || w.id == 0 || id != 0 && w.id != id {
			t.Errorf("reads ahead %v, watched as %d after %d", w.reading, w.id, id)
		}
		id = w.id
		w.mu.Unlock()
		b.free <- struct{}{}
		u.gets("done")
	}
}

// Close ends the contexts of requests, whatever watches their clients; the watch of a connection ends with it.
func TestCloseEndsRequests(t *testing.T) {
	b := newBlock()
	r := onSockets(t, config(b.serve))
	var all []context.Context
	for range 3 {
		u := r.dial()
		u.send(plainGet)
		all = append(all, (<-b.begun).Context())
	}
	r.watched(3)
	r.close()
	for _, ctx := range all {
		<-ctx.Done()
	}
	for len(r.all()) > 0 {
		time.Sleep(time.Millisecond)
	}
}

// Requests that end as they begin to be watched, clients that leave at any time, connections whose numbers are taken again:
// a request that is not left is answered, one that is left ends.
func TestWatchRaces(t *testing.T) {
	slow := func(w http.ResponseWriter, r *http.Request) {
		d := watchAfter - time.Millisecond + rand.N(2*time.Millisecond)
		if r.URL.Path == "/left" {
			d = time.Hour
		}
		select {
		case <-time.After(d):
			_, _ = io.WriteString(w, "done")
		case <-r.Context().Done():
			_, _ = io.WriteString(w, "cancelled")
		}
	}
	r := onSockets(t, config(slow))
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 8 {
				u := r.dial()
				for range 1 + rand.N(4) {
					u.send(plainGet)
					u.gets("done")
				}
				if rand.N(2) == 0 {
					u.send("GET /left HTTP/1.1\r\nHost: a\r\n\r\n")
					time.Sleep(rand.N(2 * watchAfter))
				}
				_ = u.Close()
			}
		})
	}
	group.Wait()
	if err := r.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
