package release

import (
	"strings"
	"testing"
)

// TestColonInsideFlow: a colon without a space after it is part of a plain scalar, also in a list
// inside a flow mapping.
func TestColonInsideFlow(t *testing.T) {
	read := func(unit string) (*Model, Faults) {
		m, _, faults := DecodeStrict[Model]("m.yaml", []byte("apiVersion: "+APIVersion+"\nkind: Model\nmetadata: {name: x}\nspec:\n  unit: "+unit+"\n"), KindModel)
		return m, faults
	}
	for text, want := range map[string]string{
		"{from: [header:X-User-Id]}":                          "header:X-User-Id",
		"{from: [header:X-User-Id, json:b.c], missing: live}": "header:X-User-Id json:b.c",
		"{from: [json:a:b]}":                                  "json:a:b",
		`{from: ["header:X"]}`:                                "header:X",
		"\n    from: [header:X, cookie:uid]":                  "header:X cookie:uid",
	} {
		m, faults := read(text)
		var got []string
		for _, s := range m.Spec.Unit.From {
			got = append(got, string(s))
		}
		if strings.Contains(faults.Error(), "unit.") || strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, want %q; %v", text, got, want, faults)
		}
	}
	for _, text := range []string{"{from: [header: X]}", `{from: ["header":X]}`, "{from: [{header: X}]}", "{from: [header:[X]]}"} {
		if _, faults := read(text); len(faults) == 0 || !strings.Contains(faults.Error(), "unit.from[0]: it must be text") {
			t.Errorf("%s: %v", text, faults)
		}
	}
}
