package gateway

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"

	"sluice.dev/sluice/internal/release"
)

// A prompt of 5 MB passes through, it does not come to lie in the gateway: client and server of this test hold no copy of it either,
// so what is allocated is the gateway's.
func TestLargePromptIsStreamed(t *testing.T) {
	const size, times = 5_000_000, 8
	n := &network{hosts: map[string]*listener{}, sockets: map[string]string{}}
	w := newWorldOn(t, n, credit(0, headerOnly), func(o *Options) { o.Sink = &ring{buf: make([]release.Exposure, 64)} })
	w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(struct{ io.Writer }{io.Discard}, r.Body)
		fmt.Fprint(rw, n, err)
	})
	conn, err := net.Dial("tcp", n.sockets["gateway"])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	head := fmt.Appendf(nil, "POST /credit HTTP/1.1\r\nHost: gateway\r\nX-User-Id: u\r\nContent-Length: %d\r\n\r\n", size)
	piece, r := bytes.Repeat([]byte{'x'}, 50_000), bufio.NewReader(conn)
	ask := func() {
		pieces := net.Buffers{head}
		for range size / len(piece) {
			pieces = append(pieces, piece)
		}
		if _, err := pieces.WriteTo(conn); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if want := fmt.Sprint(size, " ", nil); err != nil || string(body) != want {
			t.Fatalf("the server got %q, %v, not %q", body, err, want)
		}
	}
	ask()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		ask()
	}
	runtime.ReadMemStats(&after)
	per := (after.TotalAlloc - before.TotalAlloc) / times
	t.Logf("%d KB are allocated for a prompt of %d KB", per/1000, size/1000)
	if per > size/10 {
		t.Errorf("%d bytes are allocated for a prompt of %d", per, size)
	}
}
