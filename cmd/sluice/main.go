// Command sluice releases AI models gradually and safely.
package main

import (
	"os"

	"sluice.dev/sluice/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)) }
