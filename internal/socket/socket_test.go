//go:build unix

package socket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// ends returns the two ends of a connection over loopback: a socket and its peer.
func ends(t testing.TB) (*Socket, *net.TCPConn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.Close(), p.Close() })
	s := Of(c)
	if s == nil {
		t.Fatal("a TCP connection is no socket")
	}
	return s, c.(*net.TCPConn), p.(*net.TCPConn)
}

func say(t testing.TB, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Error(err)
	}
}

func hear(t testing.TB, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Errorf("heard %q, %v", b, err)
	}
}

// waits calls until something is so: what the peer did arrives when it arrives.
func waits(until func() bool) {
	for !until() {
		time.Sleep(100 * time.Microsecond)
	}
}

func TestOfOthers(t *testing.T) {
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	if Of(a) != nil {
		t.Error("a pipe is a socket")
	}
}

func TestRead(t *testing.T) {
	s, _, p := ends(t)
	b := make([]byte, 4)
	said := make(chan struct{})
	go func() { <-said; say(t, p, "hello"); _ = p.CloseWrite() }()
	close(said)
	var got []byte
	for {
		n, err := s.Read(b)
		got = append(got, b[:n]...)
		if err == io.EOF { //nolint:errorlint // it must be that very value, as of net.Conn
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if string(got) != "hello" {
		t.Errorf("read %q", got)
	}
	if _, err := s.Read(b); err != io.EOF { //nolint:errorlint // as above
		t.Errorf("behind the end: %v", err)
	}
}

// A wait holds no memory: room is asked when there is something, or once too early, and then told so.
func TestReadLate(t *testing.T) {
	s, _, p := ends(t)
	var asked, back int
	held := false
	room := func() []byte { asked++; held = true; return make([]byte, 8) }
	free := func() { back++; held = false }
	waiting := make(chan struct{})
	go func() { <-waiting; say(t, p, "x") }()
	close(waiting)
	n, err := s.ReadLate(room, free)
	if n != 1 || err != nil || !held || asked != back+1 {
		t.Errorf("%d bytes, %v; asked %d times, told %d times, held %v", n, err, asked, back, held)
	}
	_ = p.Close()
	asked, back = 0, 0
	if n, err = s.ReadLate(room, free); n != 0 || err != io.EOF || held || asked != back { //nolint:errorlint // as above
		t.Errorf("at the end: %d bytes, %v, held %v", n, err, held)
	}
}

func askInto(s *Socket, question, b []byte, kept bool) (sent, n int, err error) {
	return s.Ask(question, func() []byte { return b }, func() {}, kept)
}

// While the answer is waited for, neither the question's memory nor the answer's is needed.
func TestAskHoldsNothing(t *testing.T) {
	s, _, p := ends(t)
	asleep := make(chan struct{})
	question, b := []byte("question"), make([]byte, 16)
	go func() {
		<-asleep
		clear(question)
		hear(t, p, "question")
		say(t, p, "answer")
	}()
	sent, n, err := s.Ask(question, func() []byte {
		select {
		case <-asleep:
		default:
			t.Error("memory is asked for before there can be an answer")
		}
		return b
	}, func() { close(asleep) }, true)
	if sent != len(question) || string(b[:n]) != "answer" || err != nil {
		t.Errorf("sent %d, got %q, %v", sent, b[:n], err)
	}
}

// A stream that pauses holds no memory, and reads once for each piece that comes.
func TestStream(t *testing.T) {
	s, _, p := ends(t)
	var asked, back int
	b := make([]byte, 8)
	var got []string
	say(t, p, "one")
	err := s.Stream(func() []byte { asked++; return b }, func() { back++ }, func(n int) bool {
		switch got = append(got, string(b[:n])); len(got) {
		case 1:
			say(t, p, "12345678") // fills the memory: more may be there
		case 2:
			go say(t, p, "two")
		case 3:
			return false
		}
		return true
	})
	if err != nil || strings.Join(got, " ") != "one 12345678 two" {
		t.Errorf("%q, %v", got, err)
	}
	// In vain are at most the first read and the one behind a full memory.
	if asked > 5 || asked != back+2 {
		t.Errorf("%d reads, %d waits", asked, back)
	}
	go func() { _ = p.Close() }()
	if err := s.Stream(func() []byte { return b }, func() {}, func(int) bool { return true }); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if s.in.room != nil || s.in.came != nil {
		t.Error("the functions of a stream are held behind it")
	}
}

func TestAsk(t *testing.T) {
	for _, kept := range []bool{false, true} {
		s, _, p := ends(t)
		go func() {
			for range 3 {
				hear(t, p, "question")
				say(t, p, "answer")
			}
		}()
		for range 3 {
			b := make([]byte, 16)
			sent, n, err := askInto(s, []byte("question"), b, kept)
			if sent != len("question") || string(b[:n]) != "answer" || err != nil {
				t.Errorf("sent %d, got %q, %v", sent, b[:n], err)
			}
		}
	}
}

// A connection that its peer has closed, or spoken on, is asked nothing.
func TestAskIsStale(t *testing.T) {
	for name, do := range map[string]func(p *net.TCPConn){
		"closed":      func(p *net.TCPConn) { _ = p.Close() },
		"half closed": func(p *net.TCPConn) { _ = p.CloseWrite() },
		"reset":       func(p *net.TCPConn) { _, _ = p.SetLinger(0), p.Close() },
		"spoke":       func(p *net.TCPConn) { _, _ = io.WriteString(p, "x") },
	} {
		s, conn, p := ends(t)
		do(p)
		waits(func() bool { _, silent := s.Look(); return !silent })
		sent, n, err := askInto(s, []byte("question"), make([]byte, 8), true)
		if sent != 0 || n != 0 || !errors.Is(err, ErrStale) {
			t.Errorf("%s: sent %d, got %d, %v", name, sent, n, err)
		}
		if name == "spoke" { // what it said is still there, and nothing was said to it
			hear(t, conn, "x")
			_ = conn.Close()
			if b, err := io.ReadAll(p); len(b) > 0 || err != nil {
				t.Errorf("the peer got %q, %v", b, err)
			}
		}
	}
	// A new one may say something first: a greeting, or an error before the question.
	s, _, p := ends(t)
	say(t, p, "busy")
	waits(func() bool { _, silent := s.Look(); return !silent })
	b := make([]byte, 8)
	if sent, n, err := askInto(s, []byte("question"), b, false); sent != len("question") || string(b[:n]) != "busy" || err != nil {
		t.Errorf("sent %d, got %q, %v", sent, b[:n], err)
	}
	hear(t, p, "question")
}

// What the system does not take at once is left to the caller, who is told how much that is.
func TestShortWrites(t *testing.T) {
	question := bytes.Repeat([]byte("0123456789"), 400<<10)
	asks := map[string]func(s *Socket) int{
		"Write": func(s *Socket) int { return s.Write(question) },
		"Ask": func(s *Socket) int {
			sent, n, err := askInto(s, question, make([]byte, 8), true)
			if n != 0 || err != nil {
				t.Errorf("got %d, %v", n, err)
			}
			return sent
		},
	}
	for name, ask := range asks {
		s, c, p := ends(t)
		_ = c.SetWriteBuffer(16 << 10)
		_ = p.SetReadBuffer(16 << 10)
		sent := ask(s)
		if sent <= 0 || sent >= len(question) {
			t.Fatalf("%s: sent %d of %d to nobody", name, sent, len(question))
		}
		if n := s.Write(question[sent:]); name == "Write" && n > 1<<20 {
			t.Errorf("%d more are taken", n)
		} else {
			sent += n
		}
		go func() { _, _ = c.Write(question[sent:]); _ = c.CloseWrite() }()
		if got, err := io.ReadAll(p); !bytes.Equal(got, question) {
			t.Errorf("%s: %d bytes arrived of %d, or others: %v", name, len(got), len(question), err)
		}
	}
}

func TestWriteToNobody(t *testing.T) {
	s, c, p := ends(t)
	if n := s.Write(nil); n != 0 {
		t.Errorf("wrote %d of nothing", n)
	}
	_ = p.SetLinger(0)
	_ = p.Close()
	waits(func() bool { open, _ := s.Look(); return !open })
	waits(func() bool { return s.Write([]byte("x")) == 0 }) // the first may still be taken
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("net.Conn does not say why")
	}
	_ = c.Close()
	if n := s.Write([]byte("x")); n != 0 {
		t.Errorf("wrote %d to what is closed", n)
	}
}

func TestDeadlines(t *testing.T) {
	s, c, p := ends(t)
	reads := map[string]func() error{
		"Read":     func() error { _, err := s.Read(make([]byte, 1)); return err },
		"ReadLate": func() error { _, err := s.ReadLate(func() []byte { return make([]byte, 1) }, func() {}); return err },
		"Ask":      func() error { _, _, err := askInto(s, []byte("q"), make([]byte, 1), false); return err },
	}
	for name, read := range reads {
		_ = c.SetReadDeadline(time.Now().Add(-time.Second))
		if err := read(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s behind its deadline: %v", name, err)
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if err := read(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s until its deadline: %v", name, err)
		}
		_ = c.SetReadDeadline(time.Time{})
		say(t, p, "x")
		if err := read(); err != nil {
			t.Errorf("%s afterwards: %v", name, err)
		}
	}
	_ = c.SetWriteDeadline(time.Now().Add(-time.Second))
	if n := s.Write([]byte("x")); n != 0 {
		t.Errorf("wrote %d behind the deadline", n)
	}
}

// Close from another goroutine, and a deadline set by one, end a wait.
func TestWaitsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(c *net.TCPConn)
		want error
	}{
		"Close":    {func(c *net.TCPConn) { _ = c.Close() }, net.ErrClosed},
		"deadline": {func(c *net.TCPConn) { _ = c.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
	} {
		for range 50 {
			s, conn, p := ends(t)
			ended := make(chan error)
			go func() {
				_, _, err := askInto(s, []byte("q"), make([]byte, 1), true)
				ended <- err
			}()
			hear(t, p, "q") // it waits, or is about to
			runtime.Gosched()
			c.end(conn)
			if err := <-ended; !errors.Is(err, c.want) {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
}

func TestLook(t *testing.T) {
	s, c, p := ends(t)
	if open, silent := s.Look(); !open || !silent {
		t.Errorf("at first open %v, silent %v", open, silent)
	}
	say(t, p, "x")
	waits(func() bool { open, silent := s.Look(); return open && !silent })
	hear(t, c, "x") // it was only looked at
	if open, silent := s.Look(); !open || !silent {
		t.Errorf("then open %v, silent %v", open, silent)
	}
	_ = p.CloseWrite()
	waits(func() bool { open, silent := s.Look(); return !open && !silent })
	_ = c.Close()
	if open, silent := s.Look(); open || silent {
		t.Errorf("closed here: open %v, silent %v", open, silent)
	}
}

// An idle connection must not keep the memory of what it read and wrote before.
func TestNothingIsHeld(t *testing.T) {
	s, c, p := ends(t)
	say(t, p, "answer")
	waits(func() bool { _, silent := s.Look(); return !silent })
	_, _, _ = askInto(s, []byte("q"), make([]byte, 8), true) // stale
	if s.in.b != nil || s.in.ask != nil {
		t.Error("a refused request is held")
	}
	_, _ = s.Read(make([]byte, 8))
	s.Write([]byte("x"))
	_ = c.Close()
	s.Write([]byte("x"))
	_, _ = s.Read(make([]byte, 8))
	if s.in.b != nil || s.in.ask != nil || s.out.b != nil {
		t.Error("memory of a call is held behind it")
	}
}

func TestCallsAllocateNothing(t *testing.T) {
	s, c, p := ends(t)
	b := make([]byte, 64)
	room, back := func() []byte { return b }, func() {}
	question := []byte("question")
	var heard [8]byte
	for name, f := range map[string]func(){
		"Read":     func() { _, _ = p.Write(question); _, _ = s.Read(b) },
		"ReadLate": func() { _, _ = p.Write(question); _, _ = s.ReadLate(room, back) },
		"Write":    func() { s.Write(question); _, _ = io.ReadFull(p, heard[:]) },
		"Look":     func() { s.Look() },
		"Ask": func() { // the answer comes first, so that one goroutine is enough
			_, _ = p.Write(question)
			_, _, _ = s.Ask(question, room, back, false)
			_, _ = io.ReadFull(p, heard[:])
		},
	} {
		if n := testing.AllocsPerRun(100, f); n > 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	_ = c.Close()
}
