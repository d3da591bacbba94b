package app

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/ofrep"
)

// Paths of the models reach the gateway as they were sent, whatever they look like.
func TestRemoteEvaluationIsBesideTheGateway(t *testing.T) {
	got := ""
	gateway := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.URL.EscapedPath() })
	h := beside(ofrep.New(ofrep.Options{Routes: func() *assign.Routes { return &assign.Routes{} }}), gateway)
	for path, want := range map[string]string{
		"/credit": "/credit", "//a//b": "//a//b", "/a/../b": "/a/../b", "/-/sluice/feedback": "/-/sluice/feedback",
		"/-/sluice/ofrepx": "/-/sluice/ofrepx", "/-/sluice/ofrep/v1/evaluate/flags": "", "/-/sluice/ofrep/v1/x": "",
	} {
		got = ""
		r := httptest.NewRequest(http.MethodPost, "http://host/", http.NoBody)
		r.URL.Path, r.URL.RawPath = path, ""
		h.ServeHTTP(httptest.NewRecorder(), r)
		if got != want {
			t.Errorf("%s reaches the gateway as %q, want %q", path, got, want)
		}
	}
}
