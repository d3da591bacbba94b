package suite

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// runSuite runs a suite that was read against a handler.
func runSuite(t *testing.T, s *Suite, h http.HandlerFunc, change ...func(*Options)) *Report {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	o := Options{BaseURL: srv.URL}
	for _, c := range change {
		c(&o)
	}
	r, err := Run(context.Background(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tableOf(t *testing.T, r *Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
