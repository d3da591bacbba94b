// Package console is Sluice's web console: static pages that are embedded into the binary and served at
// the admin port, and the guide, rendered from Markdown below /guide/. In the browser the pages are a client
// of the REST API like any other, logged in by a session cookie that no script can read; the server knows
// nothing of them beyond their bytes.
//
// The pages are plain ES modules without a build step. static/main.js is where to begin reading: it
// picks the page for the address. Texts are in static/lang, one file per language. Charts over time are
// drawn by uPlot 1.6.32 (MIT, static/vendor/uplot: dist/uPlot.iife.min.js and uPlot.min.css of the npm
// package, unchanged).
//
// A page is a module: models, model, release, audit, plan, settings, login. The release page is put
// together from way and meters (draw, gate), the course over time (history, chart, evidence), pictures of
// the sums (pictures), checks, the test report and decisions. Each look at the data replaces only what
// differs (dom.replace), so that nothing that somebody reads, marks or presses is taken away.
//
// What is on record (reasons of decisions) is shown as it was written. What the server says of the present
// in English sentences is put together from the same numbers in another language (words).
//
// The tests behind the tag browser drive a headless Chromium, with axe-core from testdata; those behind
// screenshots take the pictures of docs/images from real runs of the demo.
package console
