// Package docs embeds the documentation, so that the console can serve it beside itself: the guide in
// English (guide) and Chinese (guide.zh), the papers beside them (*.md), and their pictures (images).
//
// A page is NAME.md in a language's folder; both languages have the same names. The first line is its
// title. guide/index.md is the entry, and the order of its links is the order of the pages. Links are
// written as they work in a file browser: other.md, other.md#heading, ../statistics.md, ../images/x.png.
package docs

import "embed"

// Files holds the Markdown files and pictures by their path below docs.
//
//go:embed *.md guide guide.zh images/*.png images/*.svg
var Files embed.FS
