// Command imageserver answers POST /image with one version; see the README of the example.
package main

import (
	"net/http"

	"sluice.dev/sluice/examples/images/server"
	"sluice.dev/sluice/examples/web"
)

func main() {
	web.Main("imageserver", "127.0.0.1:9401", func(f web.Flags) (http.Handler, error) { return server.New(f) })
}
