//go:build browser && screenshots

package console_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"sluice.dev/sluice/internal/demo"
)

// The pictures of docs/images are taken from real runs of the demo: everything on them comes from real
// model servers, real traffic and real decisions. It takes some minutes, and Chinese needs a font:
//
//	go test -tags browser,screenshots -run Screenshots ./internal/console

var wide, phone = chromedp.EmulateViewport(1180, 1000), chromedp.EmulateViewport(390, 844)

// running starts a demo. The channel tells that all its releases have ended.
func running(t *testing.T) (*demo.Demo, chan error) {
	t.Helper()
	d, err := demo.Start(t.Context(), demo.Options{Rate: 600, Say: t.Logf})
	must(t, err)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); d.Close() })
	go func() {
		_, err := d.Run(ctx)
		done <- err
	}()
	return d, done
}

// TestScreenshotsRunning takes those of a release that runs.
func TestScreenshotsRunning(t *testing.T) {
	d, _ := running(t)
	b := launch(t, d.Client().Base)
	b.do(t, wide, visible("#token"), theme("light"), visible("#token"))
	b.picture(t, "console-login")
	b.do(t, set("#token", d.Client().Token), click("#login"), visible(".model"))

	// While the candidate answers half of the users.
	b.do(t, goTo("#/models/credit/releases/latest", ".way"), until(`document.querySelector(".sub").textContent.includes("50%")`), until(`document.querySelectorAll(".over canvas").length >= 5`))
	b.do(t, chromedp.EmulateViewport(1180, 1500), visible(".way"))
	b.picture(t, "console-release")
	b.do(t, click("#act-abort"), visible("dialog #reason"))
	b.picture(t, "console-command")
	b.do(t, evaluate(`document.querySelector("dialog").close()`))
	b.do(t, theme("dark"), visible(".way"), until(`document.querySelectorAll(".over canvas").length >= 5`))
	b.picture(t, "console-release-dark")
	b.do(t, theme("light"), click("#lang"), until(`document.querySelector(".crumbs a")?.textContent === "模型"`), visible(".way"), until(`document.querySelectorAll(".over canvas").length >= 5`))
	b.picture(t, "console-release-zh")
	b.do(t, phone, visible(".way"))
	b.picture(t, "console-release-phone-zh")
	b.do(t, click("#lang"), until(`document.querySelector(".crumbs a")?.textContent === "Models"`), visible(".way"))
	b.picture(t, "console-phone")
	b.do(t, goTo("#/", ".model"))
	b.picture(t, "console-models-phone")
	b.do(t, wide, visible(".model"))
	b.picture(t, "console-models")
	b.do(t, theme("dark"), visible(".model"))
	b.picture(t, "console-models-dark")
	b.do(t, theme("light"), goTo("#/models/credit/releases/latest", "#categories"), until(`document.querySelectorAll("#latency canvas").length > 0`),
		evaluate(`document.getElementById("latency").scrollIntoView()`))
	b.picture(t, "console-distributions")
	b.do(t, evaluate(`document.querySelector(".verdict:last-child details").open = true`), evaluate(`document.querySelector(".verdict:last-child").scrollIntoView()`), until(`document.querySelectorAll(".verdict details[open] canvas").length > 0`))
	b.picture(t, "console-numbers")
	b.clean(t)
}

// TestScreenshotsPages takes those that need no certain moment.
func TestScreenshotsPages(t *testing.T) {
	d, _ := running(t)
	b := launch(t, d.Client().Base)
	b.do(t, wide, visible("#token"), set("#token", d.Client().Token), click("#login"), visible(".model"), theme("light"))
	b.do(t, theme("light"), goTo("#/models/credit", "tbody tr"))
	b.picture(t, "console-model")
	b.do(t, goTo("#/settings", "#gateways tbody tr"))
	b.picture(t, "console-settings")
	b.do(t, goTo("#/models/credit/plan", "#plan-state"), until(`document.querySelector("#plan-state").textContent.includes("runs per effect")`), until(`document.querySelectorAll("#main canvas").length >= 4`), chromedp.EmulateViewport(1180, 1300), visible("#plan-state"))
	b.picture(t, "console-plan")
	b.do(t, wide, chromedp.Navigate(d.Client().Base+"/guide/en/index"), visible("article h1"))
	b.picture(t, "console-guide")
	b.clean(t)
}

// TestScreenshotsEnded takes that of a release that the evidence took back.
func TestScreenshotsEnded(t *testing.T) {
	d, done := running(t)
	must(t, <-done)
	b := launch(t, d.Client().Base)
	b.do(t, wide, visible("#token"), set("#token", d.Client().Token), click("#login"), visible(".model"), theme("dark"))
	b.do(t, goTo("#/models/credit/releases/2", ".way"), visible("#decisions tbody tr"))
	b.picture(t, "console-rolled-back-dark")
	b.do(t, theme("light"), visible("#decisions tbody tr"))
	b.do(t, goTo("#/models/credit/audit", "#chain .chip"), visible("tbody tr"))
	b.picture(t, "console-audit")
	b.do(t, theme("dark"), visible("tbody tr"))
	b.picture(t, "console-audit-dark")
	b.clean(t)
}

func (b *browser) picture(t *testing.T, name string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join("..", "..", "docs", "images", name+".png"), get(t, b, chromedp.CaptureScreenshot()), 0o644))
}
