package scoring_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sluice.dev/sluice/examples/credit"
	"sluice.dev/sluice/examples/credit/scoring"
)

const (
	linear  = `{"kind":"logistic","features":["a","b"],"weights":[1,2],"mean":[0,0],"scale":[1,2],"bias":0.5}`
	boosted = `{"kind":"gbt-logistic","features":["a","b"],"categories":{"b":["no","yes"]},"base_margin":0,"trees":[[[0,1.5,1,2,1],[-1],[1]]]}`
)

func TestParseNamesTheFault(t *testing.T) {
	tree := func(nodes string) string {
		return `{"kind":"gbt-logistic","features":["a","b"],"base_margin":0,"trees":[[[1]],` + nodes + `]}`
	}
	with := func(base, old, text string) string {
		if !strings.Contains(base, old) {
			t.Fatalf("%s is not in %s", old, base)
		}
		return strings.Replace(base, old, text, 1)
	}
	for _, c := range []struct{ name, file, want string }{
		{"empty", ``, "EOF"},
		{"no object", `[]`, "cannot unmarshal array"},
		{"cut short", boosted[:80], "unexpected EOF"},
		{"more behind", boosted + `{}`, "something follows"},
		{"unknown field", with(linear, `"bias"`, `"bia"`), `unknown field "bia"`},
		{"unknown kind", with(linear, `"logistic"`, `"forest"`), `kind "forest"`},
		{"no features", with(linear, `["a","b"]`, `[]`), "features: 0 names"},
		{"feature twice", with(linear, `["a","b"]`, `["a","a"]`), `features[1]: "a"`},
		{"nameless feature", with(linear, `["a","b"]`, `["a",""]`), `features[1]: ""`},
		{"weights short", with(linear, `[1,2]`, `[1]`), "weights: 1 values for 2 features"},
		{"mean missing", with(linear, `"mean":[0,0],`, ``), "mean: 0 values"},
		{"scale zero", with(linear, `"scale":[1,2]`, `"scale":[1,0]`), "scale[1]: 0"},
		{"fill short", with(linear, `"bias"`, `"fill":[1],"bias"`), "fill: 1 values"},
		{"bias missing", with(linear, `,"bias":0.5`, ``), "bias is missing"},
		{"null number", with(linear, `"bias":0.5`, `"mean":[null,0],"bias":1`), "null is not a finite number"},
		{"text number", with(linear, `[1,2]`, `["1",2]`), `"1" is not a finite number`},
		{"huge number", with(linear, `[1,2]`, `[1e999,2]`), "1e999 is not a finite number"},
		{"trees in logistic", with(linear, `"bias"`, `"trees":[],"bias"`), "belong to gbt-logistic"},
		{"weights in trees", with(boosted, `"base_margin"`, `"weights":[1],"base_margin"`), "belong to logistic"},
		{"category of nothing", with(boosted, `{"b"`, `{"c"`), "1 of 1 names are not among the features"},
		{"category twice", with(boosted, `["no","yes"]`, `["no","no"]`), `categories.b[1]: "no"`},
		{"no margin", with(boosted, `"base_margin":0,`, ``), "base_margin is missing"},
		{"no trees", with(boosted, `[[[0,1.5,1,2,1],[-1],[1]]]`, `[]`), "trees: none"},
		{"empty tree", tree(`[]`), "trees[1]: no nodes"},
		{"odd node", tree(`[[0,1.5]]`), "trees[1][0]: 2 numbers"},
		{"feature too high", tree(`[[2,1,1,2,0],[1],[1]]`), "trees[1][0]: feature 2, want 0 to 1"},
		{"feature negative", tree(`[[-1,1,1,2,0],[1],[1]]`), "feature -1"},
		{"feature broken", tree(`[[0.5,1,1,2,0],[1],[1]]`), "feature 0.5"},
		{"child too high", tree(`[[0,1,1,3,0],[1],[1]]`), "children 1 and 3, want 0 to 2"},
		{"child beyond int32", tree(`[[0,1,1,4294967297,0],[1],[1]]`), "children 1 and"},
		{"missing_left 2", tree(`[[0,1,1,2,2],[1],[1]]`), "missing_left 2"},
		{"threshold too big", tree(`[[0,1e300,1,2,0],[1],[1]]`), "beyond single precision"},
		{"itself as child", tree(`[[0,1,0,1,0],[1]]`), "trees[1][0]: reached twice"},
		{"cycle", tree(`[[0,1,1,2,0],[0,1,0,2,0],[1]]`), "reached twice"},
		{"shared branch", tree(`[[0,1,1,1,0],[1]]`), "trees[1][1]: reached twice"},
		{"remnant", tree(`[[0,1,1,2,0],[1],[1],[1]]`), "trees[1][3]: not reached"},
		{"too long", strings.Repeat(" ", scoring.MaxBytes+1), "at most"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := scoring.Parse([]byte(c.file))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Parse: %v, want an error with %q", err, c.want)
			}
			if m != nil {
				t.Error("Parse answered a model with its error")
			}
		})
	}
}

func TestScoreByHand(t *testing.T) {
	sigmoid := func(s float64) float64 { return 1 / (1 + math.Exp(-s)) }
	nan := math.NaN()
	filled := strings.Replace(linear, `"bias"`, `"fill":[3,4],"bias"`, 1)
	for _, c := range []struct {
		name, file string
		x          []float64
		want       float64
	}{
		{"linear", linear, []float64{1, 1}, sigmoid(.5 + 1 + 1)},
		{"linear, filled", filled, []float64{nan, 1}, sigmoid(.5 + 3 + 1)},
		{"linear, missing", linear, []float64{nan, 1}, nan},
		{"left", boosted, []float64{1, 0}, sigmoid(-1)},
		{"right at the threshold", boosted, []float64{1.5, 0}, sigmoid(1)},
		{"right in single precision", boosted, []float64{1.5 - 1e-12, 0}, sigmoid(1)},
		{"missing goes left", boosted, []float64{nan, 0}, sigmoid(-1)},
		{"missing goes right", strings.Replace(boosted, "2,1]", "2,0]", 1), []float64{nan, 0}, sigmoid(1)},
		{"beyond single precision", boosted, []float64{math.MaxFloat64, 0}, sigmoid(1)},
	} {
		m, err := scoring.Parse([]byte(c.file))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := m.Score(c.x)
		if math.IsNaN(got) != math.IsNaN(c.want) || math.Abs(got-c.want) > 1e-15 {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestCode(t *testing.T) {
	m, err := scoring.Parse([]byte(boosted))
	if err != nil {
		t.Fatal(err)
	}
	if m.IsCategory(0) || !m.IsCategory(1) {
		t.Errorf("IsCategory: %t and %t, want false and true", m.IsCategory(0), m.IsCategory(1))
	}
	if got := m.Code(1, "yes"); got != 1 {
		t.Errorf(`Code of "yes": %v, want 1`, got)
	}
	if got := m.Code(1, "Yes"); !math.IsNaN(got) {
		t.Errorf("Code of an unknown category: %v, want NaN", got)
	}
}

func TestDecide(t *testing.T) {
	for p, want := range map[float64]string{
		0: scoring.Approve, .3499999: scoring.Approve, .35: scoring.Deny, 1: scoring.Deny, math.NaN(): scoring.Deny,
	} {
		if got := scoring.Decide(p); got != want {
			t.Errorf("Decide(%v) = %s, want %s", p, got, want)
		}
	}
}

func TestScoreWithAWrongNumberOfValuesPanics(t *testing.T) {
	m := load(t, "v2")
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	m.Score(make([]float64, 12))
}

// grow draws a tree of at most the given depth as the file holds it and returns the place of its root.
func grow(t *rapid.T, nodes *[][]float64, features, depth int) int {
	at := len(*nodes)
	*nodes = append(*nodes, nil)
	value := rapid.Float64Range(-3, 3)
	if depth == 0 || rapid.IntRange(0, 3).Draw(t, "leaf") == 0 {
		(*nodes)[at] = []float64{value.Draw(t, "value")}
		return at
	}
	n := []float64{float64(rapid.IntRange(0, features-1).Draw(t, "feature")), value.Draw(t, "threshold"), 0, 0, 0}
	n[2] = float64(grow(t, nodes, features, depth-1))
	n[3] = float64(grow(t, nodes, features, depth-1))
	n[4] = float64(rapid.IntRange(0, 1).Draw(t, "missing"))
	(*nodes)[at] = n
	return at
}

// walk is the slow, obvious twin of Score's walk.
func walk(nodes [][]float64, at int, x []float64) float64 {
	n := nodes[at]
	if len(n) == 1 {
		return n[0]
	}
	v := x[int(n[0])]
	if math.IsNaN(v) && n[4] == 1 || !math.IsNaN(v) && float32(v) < float32(n[1]) {
		return walk(nodes, int(n[2]), x)
	}
	return walk(nodes, int(n[3]), x)
}

func TestTreesAgreeWithTheirTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		features := rapid.IntRange(1, 70).Draw(t, "features") // beyond 64 Score takes its other path
		file := map[string]any{"kind": "gbt-logistic", "base_margin": 0.25}
		var names []string
		for i := range features {
			names = append(names, fmt.Sprint("f", i))
		}
		var trees [][][]float64
		for range rapid.IntRange(1, 5).Draw(t, "trees") {
			var nodes [][]float64
			grow(t, &nodes, features, 4)
			trees = append(trees, nodes)
		}
		file["features"], file["trees"] = names, trees
		data, err := json.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		m, err := scoring.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		value := rapid.OneOf(rapid.Float64Range(-3, 3), rapid.Just(math.NaN()))
		x := rapid.SliceOfN(value, features, features).Draw(t, "x")
		margin := 0.25
		for _, nodes := range trees {
			margin += walk(nodes, 0, x)
		}
		if got, want := m.Score(x), 1/(1+math.Exp(-margin)); got != want {
			t.Fatalf("Score %v, want %v", got, want)
		}
	})
}

func TestScoreAllocatesNothing(t *testing.T) {
	list := applicants(t)
	for _, version := range credit.Versions() {
		m := load(t, version)
		x := list[0].Features(m)
		if n := testing.AllocsPerRun(100, func() { m.Score(x) }); n != 0 {
			t.Errorf("%s: %v allocations per Score, want 0", version, n)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(linear))
	f.Add([]byte(boosted))
	f.Add([]byte(`{"kind":"gbt-logistic","features":["a"],"base_margin":0,"trees":[[[0,1,0,0,1]]]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := scoring.Parse(data)
		if err != nil {
			return
		}
		for _, v := range []float64{math.NaN(), 0, 1, -1e30} {
			x := make([]float64, len(m.Features()))
			for i := range x {
				x[i] = v
			}
			if p := m.Score(x); p < 0 || p > 1 || (math.IsNaN(p) && m.Kind() == "gbt-logistic") {
				t.Errorf("Score of %v everywhere: %v", v, p)
			}
		}
	})
}
