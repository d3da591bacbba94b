package stats

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// noNaN fails on a NaN or a bare infinity anywhere in an output: JSON has neither.
func noNaN(t interface{ Fatalf(string, ...any) }, name string, in []byte, out map[string]any) {
	if _, err := json.Marshal(out); err != nil {
		t.Fatalf("%s(%s): %v does not encode: %v", name, in, out, err)
	}
}

// extreme values for every numeric input: none, one, all, billions, vanishing probabilities.
var extremes = []float64{0, 1, 2, 0.5, 1e-300, 1e-12, 0.05, 0.999999999, 7, 1000, 1e9, 1e9 + 1, -1, 1e300, -1e300, 3.5}

func draw(t *rapid.T, name string) float64 { return rapid.SampledFrom(extremes).Draw(t, name) }

func drawList(t *rapid.T, name string, most int) []float64 {
	return rapid.SliceOfN(rapid.SampledFrom(extremes), 0, most).Draw(t, name)
}

// mutate replaces numbers inside a valid input by extreme ones.
func mutate(t *rapid.T, v any) any {
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			v[k] = mutate(t, v[k])
		}
	case []any:
		for i := range v {
			v[i] = mutate(t, v[i])
		}
	case float64:
		if rapid.IntRange(0, 2).Draw(t, "keep") == 0 {
			return draw(t, "x")
		}
	}
	return v
}

// Every function, on its own test cases with extreme numbers put in: an error or numbers, never NaN, never a panic.
func TestFunctionsOnExtremes(t *testing.T) {
	var file vectorFile
	if err := json.Unmarshal(readVectors(t), &file); err != nil {
		t.Fatal(err)
	}
	for _, f := range Functions() {
		cases := file.Functions[f.Name].Cases
		t.Run(f.Name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				var in any
				if err := json.Unmarshal(cases[rapid.IntRange(0, len(cases)-1).Draw(t, "case")].In, &in); err != nil {
					t.Fatal(err)
				}
				if m := in.(map[string]any); f.Name == "mann_whitney" {
					m["x"], m["y"] = drawList(t, "x", 6), drawList(t, "y", 6)
				}
				raw, err := json.Marshal(mutate(t, in))
				if err != nil {
					t.Fatal(err)
				}
				out, err := f.Call(raw)
				if err == nil {
					noNaN(t, f.Name, raw, out)
				}
			})
		})
	}
}

func FuzzFunctions(f *testing.F) {
	var file vectorFile
	if err := json.Unmarshal(readVectors(f), &file); err != nil {
		f.Fatal(err)
	}
	all := Functions()
	for i, fn := range all {
		for _, c := range file.Functions[fn.Name].Cases {
			f.Add(i, []byte(c.In))
		}
	}
	f.Fuzz(func(t *testing.T, i int, raw []byte) {
		if len(raw) > 4096 || i < 0 || i >= len(all) {
			return
		}
		out, err := all[i].Call(raw)
		if err == nil {
			noNaN(t, all[i].Name, raw, out)
		}
	})
}

func TestCallRefusesBadInput(t *testing.T) {
	for _, f := range Functions() {
		for _, raw := range []string{``, `null`, `[]`, `{"nope":1}`, `{} {}`, `{"alpha":"x"}`, strings.Repeat("[", 100000)} {
			out, err := f.Call(json.RawMessage(raw))
			if raw == `null` { // the zero input: an error or a defined answer, but no NaN
				if err == nil {
					noNaN(t, f.Name, []byte(raw), out)
				}
				continue
			}
			if err == nil {
				t.Errorf("%s(%.20q) gave no error", f.Name, raw)
			}
		}
	}
}

// The errata of the first description of this product: its entropies and its "probability" of 1.2.
func ExampleEntropy() {
	for _, counts := range [][]float64{{6, 4}, {8, 2}, {9, 1}} {
		e, err := Entropy(counts)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%.4f bits\n", e.Bits)
	}
	// Output:
	// 0.9710 bits
	// 0.7219 bits
	// 0.4690 bits
}

func ExampleLabel() {
	// errors of live and candidate in two periods, with 10 % and 50 % of users on the candidate
	l, err := NewLabel([]LabelStratum{{KA: 300, KB: 61, Rho: 0.1}, {KA: 250, KB: 340, Rho: 0.5}}, 0.5)
	if err != nil {
		fmt.Println(err)
		return
	}
	cs, err := l.Interval(0.1) // two-sided, agrees with one-sided decisions at 5 %
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("worse: %v\n", l.LnAbove(0) >= math.Log(1/0.05))
	fmt.Printf("rate ratio %.2f to %.2f\n", math.Exp(cs.Lo), math.Exp(cs.Hi))
	// Output:
	// worse: true
	// rate ratio 1.17 to 1.82
}

func ExampleNoWorseInPoints() {
	// nobody had an error on either side: still shown to be at most half a user in a hundred worse
	v, err := NoWorseInPoints(0, 2000, 0, 2000, 0.005, 0.05)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("shown %v, at most %.2f points, level reached %.3f\n", v.Shown, 100*v.Gap, math.Exp(v.LnLevel))
	// Output:
	// shown true, at most 0.40 points, level reached 0.007
}
