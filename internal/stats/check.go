package stats

import (
	"encoding/json"
	"fmt"
	"math"
	"sort"
)

// vectorFile is the format of a file of test vectors.
type vectorFile struct {
	Functions map[string]struct {
		Tolerance tolerance    `json:"tolerance"`
		Cases     []vectorCase `json:"cases"`
	} `json:"functions"`
}

type vectorCase struct {
	ID  string          `json:"id"`
	In  json.RawMessage `json:"in"`
	Out map[string]any  `json:"out"`
	Tol *tolerance      `json:"tol"`
}

type tolerance struct {
	Rel float64 `json:"rel"`
	Abs float64 `json:"abs"`
}

// Check runs a file of test vectors. A case passes if every expected output satisfies |got - want| <= abs + rel |want|, lists element by
// element, infinities and undefined values exactly; outputs that a case does not name are not tested. Differences name case,
// output, both values. A function that [Functions] lacks fails all its cases; malformed JSON or a file without cases is
// an error.
func Check(vectors []byte) (passed, failed int, differences []string, err error) {
	var file vectorFile
	if err := json.Unmarshal(vectors, &file); err != nil {
		return 0, 0, nil, fmt.Errorf("stats: test vectors: %w", err)
	}
	byName := map[string]Function{}
	for _, f := range Functions() {
		byName[f.Name] = f
	}
	names := make([]string, 0, len(file.Functions))
	for name := range file.Functions {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		for _, c := range file.Functions[name].Cases {
			tol := file.Functions[name].Tolerance
			if c.Tol != nil {
				tol = *c.Tol
			}
			diff := c.run(byName[name], tol)
			differences = append(differences, diff...)
			if len(diff) > 0 {
				failed++
			} else {
				passed++
			}
		}
	}
	if passed+failed == 0 {
		return 0, 0, nil, domain("test vectors", "no cases")
	}
	return passed, failed, differences, nil
}

// run returns what differs.
func (c vectorCase) run(f Function, tol tolerance) []string {
	if f.Call == nil {
		return []string{c.ID + ": no such function"}
	}
	if len(c.Out) == 0 {
		return []string{c.ID + ": the case expects nothing"}
	}
	got, err := f.Call(c.In)
	if err != nil {
		return []string{fmt.Sprintf("%s: %v", c.ID, err)}
	}
	keys := make([]string, 0, len(c.Out))
	for k := range c.Out {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var diff []string
	for _, k := range keys {
		if g, ok := got[k]; !ok || !tol.agree(g, c.Out[k]) {
			diff = append(diff, fmt.Sprintf("%s: %s = %v, want %v", c.ID, k, g, c.Out[k]))
		}
	}
	return diff
}

// agree compares an output with its JSON expectation.
func (t tolerance) agree(got, want any) bool {
	switch w := want.(type) {
	case nil:
		return got == nil
	case string:
		return got == want
	case float64:
		g, ok := asFloat(got)
		return ok && math.Abs(g-w) <= t.Abs+t.Rel*math.Abs(w)
	case []any:
		g, ok := asList(got)
		if !ok || len(g) != len(w) {
			return false
		}
		for i := range w {
			if !t.agree(g[i], w[i]) {
				return false
			}
		}
		return true
	}
	return false
}

func asFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int:
		return float64(v), true
	}
	return 0, false
}

func asList(v any) ([]any, bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case []float64:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = x
		}
		return out, true
	case []int:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = x
		}
		return out, true
	}
	return nil, false
}
