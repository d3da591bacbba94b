// Command llmserver is an OpenAI-compatible server of one version of the small language model; see the README of the
// example.
package main

import (
	"net/http"

	"sluice.dev/sluice/examples/llm/server"
	"sluice.dev/sluice/examples/web"
)

func main() {
	web.Main("llmserver", "127.0.0.1:9301", func(f web.Flags) (http.Handler, error) { return server.New(f) })
}
