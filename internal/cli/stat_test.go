package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// runCLI runs the command line and returns its exit code and what it printed.
func runCLI(t *testing.T, in string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = Run(context.Background(), args, nil, strings.NewReader(in), &o, &e)
	return code, o.String(), e.String()
}

func TestStat(t *testing.T) {
	wrong := filepath.Join(t.TempDir(), "wrong.json")
	vectors := `{"functions": {"entropy": {"tolerance": {"rel": 1e-9, "abs": 1e-12}, "cases": [
		{"id": "right", "in": {"counts": [6, 4]}, "out": {"h_bits": 0.970950594454669}},
		{"id": "seed", "in": {"counts": [6, 4]}, "out": {"h_bits": 0.724}}]}}}`
	if err := os.WriteFile(wrong, []byte(vectors), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		in   string
		code int
		out  []string
		err  string
	}{
		{"list", []string{"stat", "--list"}, "", 0, []string{"bernoulli_cs", "tas_weights"}, ""},
		{"call", []string{"stat", "entropy", `{"counts": [2, 2]}`}, "", 0, []string{`"h_bits": 1`}, ""},
		{"standard input", []string{"stat", "entropy", "-"}, `{"counts": [2, 2]}`, 0, []string{`"h_bits": 1`}, ""},
		{"infinite", []string{"stat", "divergence", `{"p": [1, 1], "q": [1, 0]}`}, "", 0, []string{`"+Inf"`}, ""},
		{"undefined", []string{"stat", "entropy", `{"counts": [0, 0]}`}, "", 0, []string{`"h_bits": null`}, ""},
		{"yaml", []string{"stat", "entropy", `{"counts": [2, 2]}`, "-o", "yaml"}, "", 0, []string{"h_bits: 1"}, ""},
		{"unknown function", []string{"stat", "entropie", `{}`}, "", 1, nil, "sluice stat --list"},
		{"unknown input", []string{"stat", "entropy", `{"count": [1]}`}, "", 1, nil, "count"},
		{"nothing", []string{"stat"}, "", 1, nil, "--check FILE"},
		{"vectors", []string{"stat", "--check", "../stats/testdata/vectors.json"}, "", 0, []string{"210 passed, 0 failed"}, ""},
		{"wrong vectors", []string{"stat", "--check", wrong}, "", 1, []string{"seed: h_bits = 0.97", "1 passed, 1 failed"}, ""},
		{"no file", []string{"stat", "--check", wrong + "x"}, "", 1, nil, "name a file"},
		{"no vectors", []string{"stat", "--check", "-"}, "{}", 1, nil, "vectors"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, errOut := runCLI(t, tt.in, tt.args...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d; %s", code, tt.code, errOut)
			}
			for _, want := range tt.out {
				if !strings.Contains(out, want) {
					t.Errorf("output lacks %q:\n%s", want, out)
				}
			}
			if !strings.Contains(errOut, tt.err) {
				t.Errorf("the error lacks %q: %s", tt.err, errOut)
			}
		})
	}
}
