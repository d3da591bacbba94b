package dialect

import "embed"

//go:embed testdata/*.sse testdata/*.json
var testdata embed.FS
