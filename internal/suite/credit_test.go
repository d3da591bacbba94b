package suite_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sluice.dev/sluice/examples/credit"
	"sluice.dev/sluice/examples/credit/server"
	"sluice.dev/sluice/internal/suite"
)

func creditSuite(t *testing.T) *suite.Suite {
	t.Helper()
	text, err := suite.BundleFS(credit.Files, "suite.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := suite.Unbundle(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func creditServer(t *testing.T, version string) http.Handler {
	t.Helper()
	m, err := credit.Load(version)
	if err != nil {
		t.Fatal(err)
	}
	h, err := server.New(server.Options{Version: version, Model: m})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestCreditVersionsPass: the example's suite is of form and function, so that v3, whose fault shows in
// service only, passes as well.
func TestCreditVersionsPass(t *testing.T) {
	s := creditSuite(t)
	for _, version := range credit.Versions() {
		t.Run(version, func(t *testing.T) {
			srv := httptest.NewServer(creditServer(t, version))
			defer srv.Close()
			report, err := suite.Run(context.Background(), s, suite.Options{BaseURL: srv.URL})
			if err != nil {
				t.Fatal(err)
			}
			if testing.Verbose() {
				t.Log(table(t, report))
			}
			if !report.Passed() {
				t.Error(table(t, report))
			}
			if n := report.RequiredCount(); n != 24 {
				t.Errorf("%d required cases ran, want 24", n)
			}
		})
	}
}

func table(t *testing.T, r *suite.Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
