package front

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice.dev/sluice/internal/socket"
)

// priors returns the server's end of a connection and its client's, whose buffers are small.
func priors(t *testing.T, limit time.Duration, read string) (*prior, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = client.(*net.TCPConn).SetReadBuffer(32 << 10)
	_ = c.(*net.TCPConn).SetWriteBuffer(8 << 10)
	p := newPrior(c, socket.Of(c), limit, []byte(read))
	t.Cleanup(func() { _, _ = p.Close(), client.Close() })
	return p, client.(*net.TCPConn)
}

// What has been read before comes first, small pieces come from one read, and nothing is held at the end.
func TestPriorReads(t *testing.T) {
	p, client := priors(t, 0, "before")
	sent := strings.Repeat("123456789", 5000)
	go func() { _, _ = io.WriteString(client, sent); _ = client.CloseWrite() }()
	var got bytes.Buffer
	for _, n := range []int{1, 9, 100, maxHead, 3 * maxHead, 9} {
		b := make([]byte, n)
		if _, err := io.ReadFull(p, b); err != nil {
			t.Fatal(err)
		}
		got.Write(b)
	}
	if _, err := io.Copy(&got, struct{ io.Reader }{p}); err != nil || got.String() != "before"+sent {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
	if n, err := p.Read(make([]byte, 9)); n != 0 || !errors.Is(err, io.EOF) || p.in.held != nil {
		t.Errorf("at the end %d, %v, with memory: %v", n, err, p.in.held != nil)
	}
}

// Whatever is written arrives in its order, from a writer who waits for the client or does not.
func TestPriorWrites(t *testing.T) {
	var want bytes.Buffer
	for i := range 80 {
		want.WriteString(strings.Repeat(string(rune('a'+i%26)), 1+i*i*7%(3*maxHead)))
	}
	for _, largest := range []int{500, 3 * maxHead} {
		p, client := priors(t, time.Minute, "")
		go func() {
			rest := want.Bytes()
			for i := 0; len(rest) > 0; i++ {
				n := min(1+i*i*7%largest, len(rest))
				if m, err := p.Write(rest[:n]); m != n || err != nil {
					t.Errorf("%d of %d are taken: %v", m, n, err)
					return
				}
				rest = rest[n:]
			}
		}()
		_ = client.SetReadDeadline(time.Now().Add(30 * time.Second))
		got := make([]byte, want.Len())
		if n, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%d of %d bytes arrived as they were: %v", n, want.Len(), err)
		}
		if err := p.CloseWrite(); err != nil || p.held != nil {
			t.Errorf("%v, and memory is held though all is sent: %v", err, p.held != nil)
		}
	}
}

// sluggish takes three bytes within each limit, and at last none.
type sluggish struct {
	net.Conn
	limits int
	got    string
}

func (s *sluggish) SetWriteDeadline(time.Time) error { s.limits++; return nil }

func (s *sluggish) Write(b []byte) (int, error) {
	n := min(3, len(b), 10-len(s.got))
	s.got += string(b[:n])
	if n == len(b) {
		return n, nil
	}
	return n, os.ErrDeadlineExceeded
}

// A client that takes a part within the limit is given the same time for the next.
func TestPriorSlowReader(t *testing.T) {
	slow := &sluggish{}
	p := &prior{Conn: slow, limit: time.Second}
	if n, err := p.wait([]byte("12345678")); n != 8 || err != nil || slow.got != "12345678" || slow.limits != 3 {
		t.Errorf("%d, %v, got %q within %d limits", n, err, slow.got, slow.limits)
	}
	if n, err := p.wait([]byte("90x")); n != 2 || !errors.Is(err, os.ErrDeadlineExceeded) || slow.limits != 5 {
		t.Errorf("%d, %v within %d limits", n, err, slow.limits)
	}
}

// The last words before the end are sent, though nobody waited for that.
func TestPriorLastWords(t *testing.T) {
	for range 50 {
		p, client := priors(t, 0, "")
		if _, err := io.WriteString(p, "farewell"); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(client); err != nil || string(got) != "farewell" {
			t.Fatalf("%q, %v", got, err)
		}
		if _, err := io.WriteString(p, "more"); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("written behind the end: %v", err)
		}
	}
}

// sent waits until what was written has been sent, or waits for the client, for which nobody who writes does.
func (p *prior) sent() (blocked bool) {
	for due := true; due; runtime.Gosched() {
		p.writes.Lock()
		due, blocked = p.due, p.blocked
		p.writes.Unlock()
	}
	return blocked
}

// What was taken is sent, though the client is slow and the server has closed the connection. Nothing is read meanwhile, and a second
// Close does not wait.
func TestPriorEndsWithWhatWasTaken(t *testing.T) {
	for _, patient := range []bool{true, false} {
		p, client := priors(t, time.Minute, "")
		var want strings.Builder
		for blocked := false; !blocked; {
			want.WriteString(long[:100])
			if _, err := io.WriteString(p, long[:100]); err != nil {
				t.Fatal(err)
			}
			blocked = p.sent()
		}
		want.WriteString("farewell")
		if _, err := io.WriteString(p, "farewell"); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() { ended <- p.Close() }()
		if _, err := p.Read(make([]byte, 9)); err == nil {
			t.Error("it is read behind the end")
		}
		for err := error(nil); err == nil; runtime.Gosched() { // until Close has begun
			p.writes.Lock()
			if p.ended {
				err = net.ErrClosed
			}
			p.writes.Unlock()
		}
		if _, err := io.WriteString(p, "more"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("written behind the end: %v", err)
		}
		if !patient {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			<-ended
			continue
		}
		if got, err := io.ReadAll(client); err != nil || string(got) != want.String() {
			t.Errorf("%d of %d bytes, %v", len(got), want.Len(), err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// A server that is closed waits for nobody.
func TestPriorClosedInHaste(t *testing.T) {
	p, _ := priors(t, time.Hour, "")
	p.hasty = new(atomic.Bool)
	for blocked := false; !blocked; {
		if _, err := io.WriteString(p, "word"); err != nil {
			t.Fatal(err)
		}
		blocked = p.sent()
	}
	p.hasty.Store(true)
	if err := p.Close(); err != nil || p.held != nil {
		t.Errorf("%v, memory is held: %v", err, p.held != nil)
	}
}

// A client that takes nothing within the limit costs the connection, for its reader, too.
func TestPriorNobodyTakes(t *testing.T) {
	p, _ := priors(t, 20*time.Millisecond, "")
	var err error
	for err == nil {
		_, err = io.WriteString(p, long)
	}
	if _, err := p.Read(make([]byte, 9)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the reader is told %v", err)
	}
	if p.held != nil {
		t.Error("memory is held")
	}
}

// All waits for the client end with the connection.
func TestPriorClosedWhileItWaits(t *testing.T) {
	p, _ := priors(t, 0, "")
	ended := make(chan error)
	for range 2 {
		go func() {
			var err error
			for err == nil {
				_, err = io.WriteString(p, long)
			}
			ended <- err
		}()
	}
	for waits := false; !waits; time.Sleep(time.Millisecond) {
		p.writes.Lock()
		waits = p.blocked && len(p.out)+len(long) > maxHead // of one for the client, of the other for the first
		p.writes.Unlock()
	}
	_ = p.Close()
	for range 2 {
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("a wait ended with %v", err)
		}
	}
}

// prefaced says hello by HTTP/2: the preface, and empty settings.
const prefaced = priorLine + "\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// Requests side by side by HTTP/2, with bodies of all sizes in both directions.
func TestHTTP2(t *testing.T) {
	s := config(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
		_, _ = io.WriteString(w, r.URL.Path)
	})
	s.HTTP2 = &http.HTTP2Config{WriteByteTimeout: time.Minute}
	r := onSockets(t, s)
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	var group sync.WaitGroup
	for i := range 60 {
		group.Go(func() {
			body := strings.Repeat(string(rune('a'+i%26)), i*i*40)
			resp, err := client.Post(fmt.Sprintf("http://%s/%d", r.l.Addr(), i), "text/plain", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			got, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if want := fmt.Sprint(body, "/", i); err != nil || string(got) != want {
				t.Errorf("%d: %d bytes instead of %d, %v", i, len(got), len(want), err)
			}
		})
	}
	group.Wait()
}

// Who breaks the protocol is told so before the end.
func TestHTTP2Broken(t *testing.T) {
	r := onSockets(t, config(hello))
	u := r.dial()
	u.send(prefaced + "\x00\x00\x01\x06\x00\x00\x00\x00\x00x") // a ping of one byte
	const goAway = "\x07\x00\x00\x00\x00\x00"
	var told []byte
	for !strings.Contains(string(told), goAway) {
		b, err := u.br.ReadByte()
		if told = append(told, b); err != nil {
			t.Fatalf("told %q, %v", told, err)
		}
	}
}
