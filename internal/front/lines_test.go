package front

import (
	"io"
	"net/http"
	"reflect"
	"testing"

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
