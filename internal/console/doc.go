// Package console is Sluice's web console: static pages that are embedded into the binary and served at
// the admin port. In the browser they are a client of the REST API like any other, with a bearer token;
// the server knows nothing of them beyond their bytes.
//
// The pages are plain ES modules without a build step. static/main.js is where to begin reading: it
// picks the page for the address. Texts are in static/lang, one file per language. Charts over time are
// drawn by uPlot 1.6.32 (MIT, static/vendor/uplot: dist/uPlot.iife.min.js and uPlot.min.css of the npm
// package, unchanged).
//
// What the server says in sentences (reasons, what a release waits for) is shown as it comes, in English.
//
// The tests behind the tag browser drive a headless Chromium; those behind screenshots take the pictures
// of docs/images from a real run of the demo.
package console
