package server_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sluice.dev/sluice/examples/images"
	"sluice.dev/sluice/examples/images/server"
	"sluice.dev/sluice/examples/web"
)

func post(h http.Handler, media string, body []byte) (int, string) {
	r := httptest.NewRequest(http.MethodPost, "/image", bytes.NewReader(body))
	r.Header.Set("Content-Type", media)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestServer(t *testing.T) {
	const media = "application/octet-stream"
	trousers, err := images.Files.ReadFile("data/sample.bin")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range images.Versions() {
		s, err := server.New(web.Flags{Version: version})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name, media string
			body        []byte
			code        int
			says        string
		}{
			{"sound", media, trousers, 200, `{"category":"Trouser","similar":["p`},
			{"empty image", media, make([]byte, images.Pixels), 200, `"version":"` + version + `"`},
			{"nothing", media, nil, 422, "0 bytes"},
			{"short", media, trousers[1:], 422, "783 bytes"},
			{"long", media, append(trousers[:len(trousers):len(trousers)], 0), 422, "785 bytes"},
			{"huge", media, make([]byte, 65<<10), 413, "longer"},
			{"media", "image/png", trousers, 415, "octet-stream"},
		} {
			if code, body := post(s, c.media, c.body); code != c.code || !strings.Contains(body, c.says) {
				t.Errorf("%s, %s: %d %s; want %d and %q", version, c.name, code, body, c.code, c.says)
			}
		}
	}
}
