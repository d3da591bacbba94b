package front

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"sync"
	"testing"
	"time"

	"sluice.dev/sluice/internal/head"
)

// Headers that are passed on as they came say the same as if the handler had set them.
func TestLines(t *testing.T) {
	const page = "<html></html>"
	for name, c := range map[string]struct {
		method string
		status int
		body   string
		lines  [][2]string
	}{
		"none":         {"GET", 200, page, nil},
		"a type":       {"GET", 200, page, [][2]string{{"Content-Type", "x/y"}, {"X", "1"}, {"X", "2"}}},
		"no type":      {"GET", 200, page, [][2]string{{"X", "1"}}},
		"compressed":   {"GET", 200, page, [][2]string{{"Content-Encoding", "gzip"}}},
		"not so":       {"GET", 200, page, [][2]string{{"Content-Encoding", ""}}},
		"dated":        {"GET", 200, page, [][2]string{{"Date", "Sat, 28 Nov 2026 00:00:00 GMT"}}},
		"counted":      {"GET", 200, page, [][2]string{{"Content-Length", "13"}}},
		"no number":    {"GET", 200, page, [][2]string{{"Content-Length", "many"}}},
		"counted HEAD": {"HEAD", 200, "", [][2]string{{"Content-Length", "2000"}, {"Content-Type", "x/y"}}},
		"framed":       {"GET", 200, page, [][2]string{{"Transfer-Encoding", "chunked"}}},
		"closing":      {"GET", 200, page, [][2]string{{"Connection", "close"}}},
		"not closing":  {"GET", 200, page, [][2]string{{"Connection", "keep-alive"}}},
		"204":          {"GET", 204, "", [][2]string{{"Content-Length", "9"}, {"Content-Type", "x/y"}}},
		"304":          {"GET", 304, "", [][2]string{{"Content-Length", "9"}, {"Content-Type", "x/y"}, {"Etag", "e"}}},
	} {
		t.Run(name, func(t *testing.T) {
			ask := func(asLines bool) (*http.Response, string) {
				r := inMemory(t, config(func(w http.ResponseWriter, _ *http.Request) {
					if asLines {
						var lines []head.Line
						for _, l := range c.lines {
							lines = append(lines, head.Line{Name: l[0], Value: l[1]})
						}
						w.(*response).Lines(lines)
					} else {
						for _, l := range c.lines {
							w.Header().Add(l[0], l[1])
						}
					}
					w.WriteHeader(c.status)
					if c.body != "" {
						_, _ = io.WriteString(w, c.body)
					}
				}))
				defer r.close()
				u := r.dial()
				u.send(c.method + " / HTTP/1.1\r\nHost: h\r\n\r\n")
				resp, err := http.ReadResponse(u.br, &http.Request{Method: c.method})
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				return resp, string(b)
			}
			got, body := ask(true)
			want, wantBody := ask(false)
			if _, ok := want.Header["Date"]; ok && name != "dated" {
				got.Header.Set("Date", want.Header.Get("Date")) // a second may end in between
			}
			if body != wantBody || got.Close != want.Close || got.ContentLength != want.ContentLength ||
				!reflect.DeepEqual(got.TransferEncoding, want.TransferEncoding) || !reflect.DeepEqual(got.Header, want.Header) {
				t.Errorf("as lines %v %q\nset      %v %q", got, body, want, wantBody)
			}
		})
	}
}

// A request's header is its own, unless the handler says that nobody needs it.
func TestRelease(t *testing.T) {
	var mu sync.Mutex
	var kept []http.Header
	r := onSockets(t, config(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/release" {
			w.(*response).Release()
		} else {
			mu.Lock()
			kept = append(kept, r.Header)
			mu.Unlock()
		}
		_, _ = io.WriteString(w, r.Header.Get("A")+r.Header.Get("B"))
	}))
	u := r.dial()
	many := ""
	for i := range 40 {
		many += fmt.Sprintf("Many-%d: x\r\n", i)
	}
	for i, c := range []struct{ path, headers, want string }{
		{"/release", "A: 1\r\n", "1"},
		{"/release", "B: 2\r\n", "2"},
		{"/keep", "A: 3\r\n", "3"},
		{"/release", "", ""},
		{"/keep", "B: 4\r\n", "4"},
		{"/release", many + "A: 5\r\n", "5"},
		{"/keep", "B: 6\r\n", "6"},
		{"/release", "A: 7\r\nA: 8\r\n", "7"},
	} {
		u.send("GET " + c.path + " HTTP/1.1\r\nHost: h\r\n" + c.headers + "\r\n")
		if u.gets(c.want); t.Failed() {
			t.Fatalf("request %d", i)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	want := []http.Header{{"A": {"3"}}, {"B": {"4"}}, {"B": {"6"}}}
	if !reflect.DeepEqual(kept, want) {
		t.Errorf("kept %v, not %v", kept, want)
	}
}

// Whoever was told of a context's end, or is still to be told, may look at it later: the next request has one of its own.
func TestReleaseOfAContext(t *testing.T) {
	nobody := func(context.Context) {}
	for name, c := range map[string]struct {
		asks   func(ctx context.Context)
		reused bool
	}{
		"nobody asks": {nobody, true},
		"taken back":  {func(ctx context.Context) { context.AfterFunc(ctx, func() {})() }, true},
		"a child ends": {func(ctx context.Context) {
			_, cancel := context.WithCancel(ctx)
			cancel()
		}, true},
		"to be called": {func(ctx context.Context) { context.AfterFunc(ctx, func() {}) }, false},
		"a child lives": {func(ctx context.Context) {
			_, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Minute, cancel)
		}, false},
		"it has ended": {func(ctx context.Context) { ctx.(*requestContext).cancel(context.Canceled) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			asks := []func(context.Context){nobody, c.asks, nobody}
			seen := make(chan *http.Request, len(asks))
			r := onSockets(t, config(func(w http.ResponseWriter, r *http.Request) {
				asks[len(seen)](r.Context())
				seen <- r
				w.(*response).Release()
			}))
			u := r.dial()
			for range asks {
				u.send(plainGet)
				u.gets("")
			}
			first, second, third := <-seen, <-seen, <-seen
			if first != second || (second == third) != c.reused {
				t.Errorf("the first request is the second: %v, the second the third: %v", first == second, second == third)
			}
			if third != second && second.Context().Err() == nil {
				t.Error("the context of a request that is over lives")
			}
		})
	}
}
