package stats

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func readVectors(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// All 26 functions and 210 cases of independent 50-digit computations, at their published tolerances.
func TestVectors(t *testing.T) {
	passed, failed, diff, err := Check(readVectors(t))
	if err != nil {
		t.Fatal(err)
	}
	if passed+failed != 210 {
		t.Errorf("%d cases, want 210", passed+failed)
	}
	for _, d := range diff {
		t.Error(d)
	}
}

// Every function of the file is listed, and every listed function is in the file.
func TestFunctionsMatchVectors(t *testing.T) {
	var file vectorFile
	if err := json.Unmarshal(readVectors(t), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Functions) != 26 || len(Functions()) != 26 {
		t.Fatalf("%d functions in the file, %d listed, want 26", len(file.Functions), len(Functions()))
	}
	for _, f := range Functions() {
		if len(file.Functions[f.Name].Cases) == 0 {
			t.Errorf("%s has no cases", f.Name)
		}
		if f.Doc == "" {
			t.Errorf("%s has no doc", f.Name)
		}
	}
}

// Check must be able to fail: a wrong number, a missing undefined, an unknown function, an empty file.
func TestCheckFails(t *testing.T) {
	for _, tc := range []struct{ name, file, want string }{
		{"wrong number", `{"functions":{"entropy":{"tolerance":{"rel":1e-9},"cases":[{"id":"x","in":{"counts":[1,1]},"out":{"h_bits":1.001}}]}}}`, "h_bits = 1, want 1.001"},
		{"undefined expected", `{"functions":{"entropy":{"cases":[{"id":"x","in":{"counts":[1,1]},"out":{"h_bits":null}}]}}}`, "want <nil>"},
		{"undefined got", `{"functions":{"entropy":{"tolerance":{"abs":9},"cases":[{"id":"x","in":{"counts":[0]},"out":{"h_bits":0}}]}}}`, "<nil>, want 0"},
		{"output unknown", `{"functions":{"entropy":{"cases":[{"id":"x","in":{"counts":[1,1]},"out":{"nope":null}}]}}}`, "nope"},
		{"function unknown", `{"functions":{"nope":{"cases":[{"id":"x","in":{},"out":{"a":1}}]}}}`, "no such function"},
		{"nothing expected", `{"functions":{"entropy":{"cases":[{"id":"x","in":{"counts":[1,1]},"out":{}}]}}}`, "expects nothing"},
		{"list length", `{"functions":{"e_bh":{"cases":[{"id":"x","in":{"ln_e":[],"alpha":0.05},"out":{"rejected":[0]}}]}}}`, "rejected"},
		{"input error", `{"functions":{"entropy":{"cases":[{"id":"x","in":{"count":[1]},"out":{"h_bits":1}}]}}}`, "unknown field"},
		{"domain error", `{"functions":{"bernoulli_cs":{"cases":[{"id":"x","in":{"k":2,"n":1,"alpha":0.1},"out":{"lo":1}}]}}}`, "domain"},
	} {
		passed, failed, diff, err := Check([]byte(tc.file))
		if err != nil || passed != 0 || failed != 1 || len(diff) != 1 || !strings.Contains(diff[0], tc.want) {
			t.Errorf("%s: passed %d failed %d diff %q err %v, want one difference with %q", tc.name, passed, failed, diff, err, tc.want)
		}
	}
	for _, bad := range []string{``, `{}`, `{"functions":{}}`, `[]`} {
		if _, _, _, err := Check([]byte(bad)); err == nil {
			t.Errorf("Check(%q) gave no error", bad)
		}
	}
}
