//go:build browser

package console_test

import (
	_ "embed"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

//go:embed testdata/axe/axe.min.js
var axeSource string

// axeRun checks the page as it is and keeps one line per fault that is serious or critical.
const axeRun = `globalThis.axeSays = null, axe.run(document, {resultTypes: ["violations"], %s}).then(
	(r) => { axeSays = r.violations.filter((v) => v.impact === "serious" || v.impact === "critical")
		.map((v) => v.impact + " " + v.id + ": " + v.nodes.map((n) => n.target.join(" ") + " " + n.failureSummary).join("; ")); },
	(err) => { axeSays = ["axe failed: " + err]; })`

// axe fails for each serious or critical fault that axe-core finds on the page as it stands.
func (b *browser) axe(t *testing.T, name string) {
	t.Helper()
	b.check(t, name, "")
}

// contrast asks only what another theme can change of a page.
func (b *browser) contrast(t *testing.T, name string) {
	t.Helper()
	b.check(t, name, `runOnly: ["color-contrast"]`)
}

func (b *browser) check(t *testing.T, name, options string) {
	t.Helper()
	if !get(t, b, chromedp.Evaluate[bool](`Boolean(globalThis.axe)`)) {
		b.do(t, chromedp.Evaluate[chromedp.Void]("(() => {"+axeSource+"\n})(); void 0"))
	}
	start := time.Now()
	b.do(t, evaluate(fmt.Sprintf(axeRun, options)), until(`globalThis.axeSays !== null`))
	t.Logf("axe on %s: %v", name, time.Since(start).Round(time.Millisecond))
	for _, fault := range get(t, b, chromedp.Evaluate[[]string](`axeSays`)) {
		t.Errorf("axe on %s: %s", name, fault)
	}
}
