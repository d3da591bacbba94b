// Package console is Sluice's web console: static pages that are embedded into the binary and served at
// the admin port. In the browser they are a client of the REST API like any other, with a bearer token;
// the server knows nothing of them beyond their bytes.
//
// The pages are plain ES modules without a build step. static/main.js is where to begin reading: it
// picks the page for the address. Texts are in static/lang, one file per language.
package console
