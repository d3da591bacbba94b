package docs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// block is a fenced block of a page. Its words say what the tests do with it:
//
//	sh             is run, in the order of the guide, all pages in one shell
//	sh build       is run in the repository, before all others
//	sh no-run: WHY is shown only
//	yaml FILE      is written to FILE before the page's commands run, and linted
//	yaml part      are fields of a Model's spec, put into a whole file and linted
//	yaml config    are fields of a Config's spec, likewise
//	yaml no-lint: WHY is shown only
type block struct{ info, text string }

// page is a page of the guide, taken apart.
type page struct {
	title    string
	headings []int // their levels, in order
	blocks   []block
}

var heading = regexp.MustCompile(`^(#{1,6}) \S`)

func readPage(t *testing.T, file string) page {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var p page
	var open *block
	for i, line := range strings.Split(string(b), "\n") {
		switch {
		case open != nil && line == "```":
			p.blocks, open = append(p.blocks, *open), nil
		case open != nil:
			open.text += line + "\n"
		case strings.HasPrefix(line, "```"):
			open = &block{info: strings.TrimPrefix(line, "```")}
		case heading.MatchString(line):
			p.headings = append(p.headings, len(heading.FindStringSubmatch(line)[1]))
		}
		if i == 0 {
			p.title = strings.TrimPrefix(line, "# ")
		}
	}
	if open != nil {
		t.Errorf("%s: the block %q does not end", file, open.info)
	}
	return p
}

// pages lists the guide's pages in the order of its index; all of them must be there.
func pages(t *testing.T, dir string) []string {
	t.Helper()
	index, err := os.ReadFile(filepath.Join(dir, "index.md"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range regexp.MustCompile(`\]\(([a-z0-9-]+)\.md\)`).FindAllStringSubmatch(string(index), -1) {
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".md"); name != "index" && !slices.Contains(names, name) {
			t.Errorf("%s/index.md has no link to %s", dir, name)
		}
	}
	if len(names) != len(files)-1 || len(names) < 30 {
		t.Errorf("%s: %d pages are linked, %d are there", dir, len(names), len(files)-1)
	}
	return names
}

// TestLanguages: both languages have the same pages in the same order, with the same headings and the same blocks.
func TestLanguages(t *testing.T) {
	en, zh := pages(t, "guide"), pages(t, "guide.zh")
	if !slices.Equal(en, zh) {
		t.Fatalf("the pages differ:\n%v\n%v", en, zh)
	}
	for _, name := range append(en, "index") {
		a, b := readPage(t, "guide/"+name+".md"), readPage(t, "guide.zh/"+name+".md")
		if len(a.headings) == 0 || a.headings[0] != 1 || a.title == b.title && regexp.MustCompile(`^[a-z ]+$`).MatchString(a.title) {
			t.Errorf("%s: titles %q and %q", name, a.title, b.title)
		}
		same(t, name, a, b)
	}
}

// TestReadmes: the README in Chinese has the commands of the English one.
func TestReadmes(t *testing.T) {
	only := func(p page) page {
		p.blocks = slices.DeleteFunc(p.blocks, func(b block) bool { return !strings.HasPrefix(b.info, "sh") })
		return p
	}
	a, b := only(readPage(t, "../README.md")), only(readPage(t, "../README.zh-CN.md"))
	if len(a.blocks) < 3 {
		t.Errorf("the README has %d blocks of commands", len(a.blocks))
	}
	same(t, "README", a, b)
}

func same(t *testing.T, name string, a, b page) {
	t.Helper()
	if !slices.Equal(a.headings, b.headings) {
		t.Errorf("%s: the levels of the headings are %v and %v", name, a.headings, b.headings)
	}
	for i := range max(len(a.blocks), len(b.blocks)) {
		switch {
		case i >= len(a.blocks) || i >= len(b.blocks):
			t.Errorf("%s: %d blocks and %d", name, len(a.blocks), len(b.blocks))
			return
		case a.blocks[i] != b.blocks[i]:
			t.Errorf("%s: block %d differs:\n%q\n%q", name, i+1, a.blocks[i], b.blocks[i])
		}
	}
}

// base is what parts of a Model are put into.
const base = `match: {path: /base}
dialect: json
unit: {from: [header:X-User-Id]}
traffic: {requests: 1000/s, users: 5000000/day}
versions: {v1: {url: "http://127.0.0.1:9101"}, v2: {url: "http://127.0.0.1:9102"}}
live: v1
metrics:
  - {name: errors, source: error, margin: 1pp, role: guardrail}
  - {name: correct, source: "agree(json:decision, feedback:outcome)", window: 10m, direction: higher, margin: 2pp, role: objective}
plan: {steps: [{production: {holdback: 5%, watch: 24h}}]}
`

// whole makes a file of its parts: a field of part takes the place of base's.
func whole(kind, base, part string) []byte {
	field := regexp.MustCompile(`(?m)^([a-zA-Z]+):.*\n(?:(?:[ #].*)?\n)*`)
	for _, m := range field.FindAllStringSubmatch(part, -1) {
		base = regexp.MustCompile(`(?m)^`+m[1]+`:.*\n(?:(?:[ #].*)?\n)*`).ReplaceAllString(base, "")
	}
	return []byte("apiVersion: sluice.dev/v1alpha1\nkind: " + kind + "\nmetadata: {name: part}\nspec:\n" +
		regexp.MustCompile(`(?m)^(.)`).ReplaceAllString(base+part, "  $1"))
}

// guide is a folder in which the guide is followed.
type guide struct {
	dir   string
	ports *strings.Replacer // the guide's ports -> free ones
	env   []string
}

// newGuide builds what the guide tells to build, and makes a folder with the examples beside it.
func newGuide(t *testing.T) *guide {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the binaries and runs them")
	}
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("there is no %s", tool)
		}
	}
	g := &guide{dir: t.TempDir()}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "examples"), filepath.Join(g.dir, "examples")); err != nil {
		t.Fatal(err)
	}
	var pairs []string
	for _, port := range []string{"8080", "8081", "9101", "9102", "9301"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, "127.0.0.1:"+port, l.Addr().String())
		defer l.Close() // all are taken until all are known
	}
	g.ports = strings.NewReplacer(pairs...)
	g.env = append(os.Environ(), "PATH="+filepath.Join(g.dir, "bin")+":"+os.Getenv("PATH"), "SLUICE_SERVER=http://"+pairs[3], "SLUICE_TOKEN=")
	build := ""
	for _, b := range readPage(t, "guide/install.md").blocks {
		if b.info == "sh build" {
			build += b.text
		}
	}
	if build == "" {
		t.Fatal("install.md does not say how to build")
	}
	out, err := g.run(t.Context(), root, strings.ReplaceAll(build, "bin/", filepath.Join(g.dir, "bin")+"/"))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return g
}

// run runs a script, and ends what it left running.
func (g *guide) run(ctx context.Context, dir, script string) (string, error) {
	cmd := exec.CommandContext(ctx, "bash", "-e", "-o", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = dir, g.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	file, err := os.CreateTemp(g.dir, "output") // no pipe: what is left running would keep it open
	if err != nil {
		return "", err
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	err = cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	out, readErr := os.ReadFile(file.Name())
	return string(out), errors.Join(err, readErr)
}

// TestGuide does what the guide says, with binaries that are built as it says.
func TestGuide(t *testing.T) {
	g := newGuide(t)
	t.Run("files", g.files)
	t.Run("commands", g.commands)
}

// files lints every file of the guide, and every part of one.
func (g *guide) files(t *testing.T) {
	var script strings.Builder
	n, checked := 0, map[string]bool{}
	for _, name := range append(pages(t, "guide"), "index") {
		for i, b := range readPage(t, "guide/"+name+".md").blocks {
			what, _ := strings.CutPrefix(b.info, "yaml")
			text := []byte(b.text)
			switch what = strings.TrimSpace(what); {
			case !strings.HasPrefix(b.info, "yaml"), strings.HasPrefix(what, "no-lint: "):
				continue
			case what == "part":
				text = whole("Model", base, b.text)
			case what == "config":
				text = whole("Config", "", b.text)
			case !strings.HasSuffix(what, ".yaml"):
				t.Errorf("%s: block %d %q is neither a file nor a part of one", name, i+1, b.info)
				continue
			}
			file := what
			if !strings.HasSuffix(what, ".yaml") {
				file = fmt.Sprintf("%s-%d.yaml", name, i+1)
			}
			if err := os.WriteFile(filepath.Join(g.dir, file), text, 0o600); err != nil {
				t.Fatal(err)
			}
			checked[file] = true
			fmt.Fprintf(&script, "sluice lint -f %s >out.txt 2>&1 || { cat out.txt %s; failed=1; }\n", file, file)
			n++
		}
	}
	if len(checked) < 20 || len(checked) != n {
		t.Errorf("the guide has %d files, of which %d have a name of their own", n, len(checked))
	}
	if out, err := g.run(t.Context(), g.dir, "failed=0\n"+script.String()+"exit $failed"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// commands follows the guide from its first page to its last, in one shell.
func (g *guide) commands(t *testing.T) {
	var script bytes.Buffer
	ran := 0
	for _, name := range pages(t, "guide") {
		for i, b := range readPage(t, "guide/"+name+".md").blocks {
			text := g.ports.Replace(b.text)
			switch word, rest, _ := strings.Cut(b.info, " "); {
			case word == "yaml" && strings.HasSuffix(rest, ".yaml"):
				fmt.Fprintf(&script, "cat >%s <<'THE END'\n%sTHE END\n", rest, text)
			case b.info == "sh":
				fmt.Fprintf(&script, "echo '=== %s, block %d'\n%s", name, i+1, text)
				ran++
			case word == "sh" && rest != "build" && !strings.HasPrefix(rest, "no-run: "):
				t.Errorf("%s: block %d: nobody knows what %q means", name, i+1, b.info)
			}
		}
	}
	if ran < 25 {
		t.Errorf("the guide has %d blocks to run", ran)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	out, err := g.run(ctx, g.dir, script.String())
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(g.dir, "sluice.log"))
		t.Fatalf("%v\n%s\n--- sluice.log\n%s", err, out[max(0, strings.LastIndex(out, "===")):], log[max(0, len(log)-4000):])
	}
	for _, want := range []string{"a valid Model", `did you mean "shares"?`, "none of the roles that may approve", "Succeeded", "is whole", "v1 is live again"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output does not hold %q; -v shows it", want)
		}
	}
	if testing.Verbose() {
		t.Log(out)
	}
}
