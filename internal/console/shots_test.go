//go:build screenshots

package console_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"sluice.dev/sluice/internal/demo"
)

// TestScreenshots runs the demo and takes the pictures of docs/images from it: everything on them comes
// from real model servers, real traffic and real decisions. It takes about two minutes:
//
//	go test -tags browser,screenshots -run Screenshots ./internal/console
func TestScreenshots(t *testing.T) {
	d, err := demo.Start(t.Context(), demo.Options{Rate: 1000, Say: t.Logf})
	must(t, err)
	defer d.Close()
	b := launch(t, d.Client().Base)
	done := make(chan error, 1)
	go func() {
		result, err := d.Run(t.Context())
		for _, r := range result.Releases {
			t.Logf("release %d ended %s", r.Number, r.Phase)
		}
		done <- err
	}()
	b.do(t, visible("#token"), set("#token", d.Client().Token), click("#login"), visible(".models"), chromedp.EmulateViewport(1100, 1240), theme("light"),
		until(`document.querySelector(".model .sharebar .fill")?.style.width === "50%"`))
	b.do(t, goTo("#/models/credit/releases/1", ".way"), until(`document.querySelectorAll(".interval .point").length >= 4`))
	b.picture(t, "console-release")
	b.do(t, click("#lang"), until(`document.documentElement.lang === "zh-CN"`), visible(".way"), until(`document.querySelectorAll(".interval .point").length >= 3`))
	b.picture(t, "console-release-zh")
	b.do(t, click("#lang"), until(`document.documentElement.lang === "en"`))
	must(t, <-done)
	b.do(t, theme("dark"), goTo("#/models/credit/releases/2", ".way"), visible(".decisions"))
	b.picture(t, "console-rolled-back-dark")
	b.do(t, chromedp.EmulateViewport(390, 844), theme("light"), goTo("#/models/credit/releases/1", ".way"),
		until(`document.querySelector(".crumbs")?.textContent.endsWith("1")`))
	b.picture(t, "console-phone")
	b.clean(t)
}

func (b *browser) picture(t *testing.T, name string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join("..", "..", "docs", "images", name+".png"), get(t, b, chromedp.CaptureScreenshot()), 0o644))
}
