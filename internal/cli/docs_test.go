package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// TestReference keeps docs/cli.md and the man pages what the commands say of themselves.
// go test ./internal/cli -run TestReference -rewrite writes them anew.
func TestReference(t *testing.T) {
	e := &env{in: strings.NewReader(""), out: io.Discard, err: io.Discard, vars: map[string]string{}}
	root := e.root()
	root.DisableAutoGenTag = true
	root.InitDefaultHelpCmd()

	docs := filepath.Join("..", "..", "docs")
	want := map[string][]byte{filepath.Join(docs, "cli.md"): reference(root)}
	for _, cmd := range commandsOf(root) {
		page, err := manPage(cmd)
		if err != nil {
			t.Fatal(err)
		}
		want[filepath.Join(docs, "man", strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1")] = page
		if cmd.Runnable() && cmd.Short == "" {
			t.Errorf("%s does not say what it does", cmd.CommandPath())
		}
	}
	if *rewrite {
		writeReference(t, docs, want)
	}
	have, err := filepath.Glob(filepath.Join(docs, "man", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(have, filepath.Join(docs, "cli.md")) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, want[file]) {
			t.Errorf("%s is not what the commands say now: go test ./internal/cli -run TestReference -rewrite", file)
		}
		delete(want, file)
	}
	for file := range want {
		t.Errorf("%s is missing: go test ./internal/cli -run TestReference -rewrite", file)
	}
}

func writeReference(t *testing.T, docs string, pages map[string][]byte) {
	t.Helper()
	man := filepath.Join(docs, "man")
	if err := os.RemoveAll(man); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(man, 0o755); err != nil {
		t.Fatal(err)
	}
	for file, content := range pages {
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// commandsOf returns a command and all below it, but for help.
func commandsOf(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, sub := range cmd.Commands() {
		if sub.Name() != "help" && !sub.Hidden {
			all = append(all, commandsOf(sub)...)
		}
	}
	return all
}

// manDate stands in the pages' foot; a date of the day would change them each day.
var manDate = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func manPage(cmd *cobra.Command) ([]byte, error) {
	var b bytes.Buffer
	err := doc.GenMan(cmd, &doc.GenManHeader{Section: "1", Source: "Sluice", Manual: "Sluice", Date: &manDate}, &b)
	return b.Bytes(), err
}

// reference is docs/cli.md: each command once, the common flags once.
func reference(root *cobra.Command) []byte {
	var b bytes.Buffer
	b.WriteString("# The command line\n\nMade from the commands; `sluice COMMAND --help` says the same. Man pages: [docs/man](man), `man -l docs/man/sluice.1`.\n\n" +
		"Exit codes: 0 done or promoted, 1 fault or wrong usage, 2 rolled back or tests failed, 3 undecided or waiting for a person, 4 timed out.\n\n" +
		"Flags of all commands:\n\n```text\n" + root.PersistentFlags().FlagUsages() + "```\n\n")
	all := commandsOf(root)[1:]
	for _, cmd := range all {
		fmt.Fprintf(&b, "- [%s](#%s): %s\n", cmd.CommandPath(), strings.ReplaceAll(cmd.CommandPath(), " ", "-"), cmd.Short)
	}
	for _, cmd := range all {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n", cmd.CommandPath(), strings.TrimSuffix(cmd.Short, "."))
		if cmd.Long != "" {
			fmt.Fprintf(&b, "\n%s\n", cmd.Long)
		}
		fmt.Fprintf(&b, "\n```text\n%s\n```\n", cmd.UseLine())
		if cmd.Example != "" {
			fmt.Fprintf(&b, "\n```text\n%s\n```\n", cmd.Example)
		}
		cmd.InitDefaultHelpFlag()
		if flags := cmd.NonInheritedFlags().FlagUsages(); strings.Count(flags, "\n") > 1 { // more than --help
			fmt.Fprintf(&b, "\n```text\n%s```\n", flags)
		}
	}
	return b.Bytes()
}
