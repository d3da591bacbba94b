package app

import (
	"context"
	"log/slog"
	"testing"

	"sluice.dev/sluice/internal/release"
)

// TestLostAdminToken: the token is shown at the first start only, and can be made anew by whoever owns
// the data folder; otherwise a process killed before it printed the token would lock everybody out.
func TestLostAdminToken(t *testing.T) {
	cfg := release.DefaultConfig()
	cfg.Spec.DataDir = t.TempDir()
	cfg.Spec.Gateway.Listen, cfg.Spec.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	tokenOf := func(anew bool) string {
		a, err := Start(t.Context(), Options{Config: cfg, Log: slog.New(slog.DiscardHandler), NewAdminToken: anew})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := a.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		return a.Token()
	}
	first := tokenOf(false)
	if again := tokenOf(false); first == "" || again != "" {
		t.Errorf("first start %q, second start %q: want a token at the first alone", first, again)
	}
	if anew := tokenOf(true); anew == "" || anew == first {
		t.Errorf("asked for anew: %q after %q", anew, first)
	}
}
