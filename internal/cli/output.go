package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/goccy/go-yaml"
	"golang.org/x/term"
)

// print writes v as JSON or YAML if asked for, else calls table.
func (e *env) print(v any, table func()) error {
	if e.output == "table" {
		table()
		return nil
	}
	return e.printAs(e.output, v)
}

func (e *env) printAs(format string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if format == "yaml" {
		if b, err = yaml.JSONToYAML(b); err != nil {
			return err
		}
		_, err = e.out.Write(b)
		return err
	}
	_, err = fmt.Fprintf(e.out, "%s\n", b)
	return err
}

// terminal says whether w is one, and how wide.
func terminal(w io.Writer) (int, bool) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 100, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	return width, true
}

// colored says whether output may carry colours.
func (e *env) colored() bool {
	switch e.color {
	case "always":
		return true
	case "never":
		return false
	}
	_, tty := terminal(e.out)
	return tty && e.vars["NO_COLOR"] == "" && e.vars["TERM"] != "dumb"
}

// Colours, by what they mean.
const (
	good  = "32"
	bad   = "31"
	wait  = "33"
	faint = "2"
	bold  = "1"
)

func (e *env) paint(code, s string) string {
	if !e.colored() || code == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func releaseNumber(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, usage(fmt.Sprintf("%q is not a release number", s), "sluice get MODEL lists them")
	}
	return uint32(n), nil
}
