// Command sluice releases AI models gradually and safely.
package main

import (
	"os"
	"runtime"

	"sluice.dev/sluice/internal/cli"
)

func main() {
	runtime.MemProfileRate = 0 // nothing shows a heap profile; to take its samples would cost a third of a percent of a request
	os.Exit(cli.Main(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}
