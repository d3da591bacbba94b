package cli

import (
	"bytes"
	"flag"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what commands print into the documents that show it")

// block is a fenced block of a document that is a file or a command with its output.
var block = regexp.MustCompile("(?ms)^```(text [^\n]+|console)\n(.*?)^```$")

// TestSeedModels runs the examples of docs/seed-models.md.
func TestSeedModels(t *testing.T) { runDocument(t, "../../docs/seed-models.md") }

// runDocument writes a document's files into a folder, runs its commands there and compares what they print.
func runDocument(t *testing.T, file string) {
	t.Helper()
	doc, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	commands := 0
	out := block.ReplaceAllFunc(text, func(b []byte) []byte {
		m := block.FindSubmatch(b)
		if name, ok := strings.CutPrefix(string(m[1]), "text "); ok {
			if err := os.WriteFile(name, m[2], 0o600); err != nil {
				t.Fatal(err)
			}
			return b
		}
		line, want, _ := strings.Cut(string(m[2]), "\n")
		args := words(strings.TrimPrefix(line, "$ "))
		if len(args) == 0 || args[0] != "sluice" {
			t.Fatalf("%q is no command of ours", line)
		}
		commands++
		code, got, errOut := runCLI(t, "", args[1:]...)
		if code != 0 {
			t.Errorf("%s: exit code %d: %s", line, code, errOut)
		}
		if !sameText(got, want) && !*rewrite {
			t.Errorf("%s prints\n%s\nthe document says\n%s", line, got, want)
		}
		return []byte("```console\n" + line + "\n" + got + "```")
	})
	if commands < 3 {
		t.Errorf("%s has %d commands only", file, commands)
	}
	if *rewrite && !bytes.Equal(out, text) {
		if err := os.WriteFile(doc, out, 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
	}
}

// sameText compares texts word by word, numbers to nine digits: processors differ in the last ones.
func sameText(got, want string) bool {
	g, w := strings.Fields(got), strings.Fields(want)
	if len(g) != len(w) {
		return false
	}
	for i := range g {
		x, errX := strconv.ParseFloat(strings.TrimRight(g[i], ",;"), 64)
		y, errY := strconv.ParseFloat(strings.TrimRight(w[i], ",;"), 64)
		if g[i] != w[i] && (errX != nil || errY != nil || !(math.Abs(x-y) <= 1e-9*math.Abs(y))) {
			return false
		}
	}
	return true
}

// words splits a command line at spaces outside single quotes.
func words(line string) []string {
	var out []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	return out
}

func TestCompare(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a, b := write("a.jsonl", "{\"x\":\"yes\"}\n{\"x\":\"no\"}\n"), write("b.jsonl", "{\"x\":\"yes\"}\n{\"x\":\"yes\"}\n")
	table := write("t.csv", "x,good\nyes,1\nno,0\n")
	picture := filepath.Join(dir, "out.png")
	for _, tt := range []struct {
		name string
		args []string
		in   string
		code int
		want string
	}{
		{"paths", []string{a, b, "--path", "x"}, "", 0, "can't tell the versions apart"},
		{"json", []string{a, b, "--path", "x", "-o", "json"}, "", 0, `"nA": 2`},
		{"standard input", []string{a, "-"}, "x\n", 0, "B  -, 1 outputs"},
		{"picture", []string{a, b, "--plot", picture}, "", 0, "can't tell"},
		{"no picture format", []string{a, b, "--plot", "out.gif"}, "", 1, ".png or .svg"},
		{"one file", []string{a}, "", 1, "accepts 2 arg"},
		{"no file", []string{a, a + "x"}, "", 1, "no such file"},
		{"no column", []string{table, table, "--column", "y"}, "", 1, "which column"},
		{"columns", []string{table, table, "--column", "x", "--label-column", "good"}, "", 0, "P(B better)  0.5"},
		{"not numbers", []string{a, b, "--kind", "numeric"}, "", 1, "is not a number"},
		{"no kind", []string{a, b, "--kind", "fruit"}, "", 1, "no kind"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errOut := runCLI(t, tt.in, append([]string{"compare"}, tt.args...)...)
			if code != tt.code || !strings.Contains(out+errOut, tt.want) {
				t.Errorf("exit code %d, want %d with %q:\n%s%s", code, tt.code, tt.want, out, errOut)
			}
		})
	}
	if png, err := os.ReadFile(picture); err != nil || !bytes.HasPrefix(png, []byte("\x89PNG")) {
		t.Errorf("the picture: %v, %d bytes", err, len(png))
	}
}
