// Command diagnosisserver answers POST /diagnose with one version of the model; see the README of the example.
package main

import (
	"net/http"

	"sluice.dev/sluice/examples/diagnosis/server"
	"sluice.dev/sluice/examples/web"
)

func main() {
	web.Main("diagnosisserver", "127.0.0.1:9201", func(f web.Flags) (http.Handler, error) { return server.New(f) })
}
