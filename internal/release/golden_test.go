package release

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write golden files and schemas instead of comparing them")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	same(t, filepath.Join("testdata", name), got)
}

// same compares got with a committed file.
func same(t *testing.T, path string, got []byte) {
	t.Helper()
	if *rewrite {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s is not current; look at what changed and run: go test ./internal/release -rewrite\n%s", path, got)
	}
}
