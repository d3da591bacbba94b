package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sluice.dev/sluice/examples/diagnosis"
	"sluice.dev/sluice/examples/diagnosis/server"
	"sluice.dev/sluice/examples/web"
)

func post(t *testing.T, h http.Handler, media, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/diagnose", strings.NewReader(body))
	r.Header.Set("Content-Type", media)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	out, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(out)
}

// sample is the first held-out sample as a request, changed.
func sample(t *testing.T, change map[string]any) string {
	t.Helper()
	names, err := diagnosis.Measurements()
	if err != nil {
		t.Fatal(err)
	}
	samples, err := diagnosis.Samples()
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	for i, n := range names {
		m[n] = samples[0].Values[i]
	}
	for k, v := range change {
		m[k] = v
		if v == nil {
			delete(m, k)
		}
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAnswers(t *testing.T) {
	// The first held-out sample is malignant: v1 misses it.
	for version, want := range map[string]string{
		"v1": `"diagnosis":"benign"`, "v2": `"diagnosis":"malignant"`,
	} {
		s, err := server.New(web.Flags{Version: version})
		if err != nil {
			t.Fatal(err)
		}
		code, body := post(t, s, "application/json", sample(t, map[string]any{"id": "s1"}))
		if code != http.StatusOK || !strings.Contains(body, want) || !strings.Contains(body, `"version":"`+version+`"`) {
			t.Errorf("%s: %d %s", version, code, body)
		}
	}
	if _, err := server.New(web.Flags{Version: "v9"}); err == nil {
		t.Error("a version that does not exist was served")
	}
}

func TestRefusals(t *testing.T) {
	s, err := server.New(web.Flags{Version: "v2"})
	if err != nil {
		t.Fatal(err)
	}
	const media = "application/json"
	for _, c := range []struct {
		name, media, body string
		code              int
		says              string
	}{
		{"empty", media, "", 400, "not JSON"},
		{"truncated", media, `{"mean_radius": 1`, 400, "not JSON"},
		{"array", media, `[]`, 422, "want a JSON object"},
		{"null", media, `null`, 422, "want a JSON object"},
		{"missing", media, sample(t, map[string]any{"worst_area": nil}), 422, "worst_area is missing"},
		{"text", media, sample(t, map[string]any{"worst_area": "12"}), 422, "worst_area: want a number"},
		{"negative", media, sample(t, map[string]any{"worst_area": -1}), 422, "worst_area"},
		{"huge", media, sample(t, map[string]any{"worst_area": 1e300}), 422, "worst_area"},
		{"unknown", media, sample(t, map[string]any{"age": 3}), 400, `\"age\" is no measurement`},
		{"twice", media, `{"mean_radius":1,"mean_radius":1}`, 400, "twice"},
		{"id", media, sample(t, map[string]any{"id": 7}), 422, "id:"},
		{"media", "text/plain", sample(t, nil), 415, "application/json"},
		{"encoding", media, "{\"\xff\":1}", 400, "UTF-8"},
		{"long", media, strings.Repeat(" ", 65<<10), 413, "longer"},
	} {
		if code, body := post(t, s, c.media, c.body); code != c.code || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s; want %d and %q", c.name, code, body, c.code, c.says)
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/diagnose", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}
