//go:build browser

package console_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"sluice.dev/sluice/internal/demo"
)

// TestBrowserWatchesADemo watches a real release advance on its own, by real servers, traffic and
// decisions, and takes it back.
func TestBrowserWatchesADemo(t *testing.T) {
	if chromium() == "" {
		t.Skip("no browser is installed: apt-get install chromium, or name one in SLUICE_CHROMIUM")
	}
	// The fewer requests, the longer each share lasts, and the more time a slow browser has to see it.
	d, err := demo.Start(t.Context(), demo.Options{Rate: 120, NoShadow: true, Say: t.Logf})
	must(t, err)
	t.Cleanup(d.Close)
	b := launch(t, d.Client().Base)
	b.do(t, visible("#token"), set("#token", d.Client().Token), click("#login"), visible(".model"))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() { // once the browser is there: it may take longer to start than half of the release takes
		defer close(done)
		_, _ = d.Run(ctx) // it is ended below by the abort, and by cancel
	}()
	for begun := false; !begun; {
		select {
		case <-done:
			t.Fatal("the demo ended before its first release began")
		case <-time.After(50 * time.Millisecond):
			_, err := d.Client().Release(t.Context(), "credit", 1)
			begun = err == nil
		}
	}
	b.do(t, goTo("#/models/credit/releases/latest", ".way"), until(`document.querySelectorAll(".way .past").length >= 1`), until(`document.querySelector(".sub").textContent.includes("50%")`))
	b.do(t, until(`document.querySelectorAll(".over canvas").length >= 4`))
	if why := b.text(t, ".why-box"); !strings.Contains(why, "would take") {
		t.Errorf("why it is held: %q", why)
	}
	if rows := get(t, b, chromedp.Evaluate[int](`document.querySelectorAll("#decisions tbody tr").length`)); rows < 2 {
		t.Errorf("%d decisions are shown", rows)
	}
	b.shot(t, "demo-advanced")
	b.do(t, click("#act-abort"), visible("dialog #reason"), keys("#reason", "seen enough"), click("#confirm"),
		until(`["Rolled back", "Succeeded"].includes(document.querySelector(".title .chip")?.textContent)`))
	rel, err := d.Client().Release(t.Context(), "credit", 1)
	must(t, err)
	if last := rel.Decisions[len(rel.Decisions)-1]; rel.Phase == "RolledBack" && !strings.Contains(last.Reason, "seen enough") {
		t.Errorf("on record: %+v", last)
	}
	b.do(t, goTo("#/settings", "#gateways tbody tr"), until(`document.querySelector("#store .chip").textContent === "healthy"`))
	b.shot(t, "demo-settings")
	b.clean(t)
}
