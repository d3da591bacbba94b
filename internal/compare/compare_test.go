package compare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func sample(name, values string) Sample { return Sample{Name: name, Values: strings.Split(values, "")} }

func near(t *testing.T, what string, got Number, want float64) {
	t.Helper()
	if math.Abs(float64(got)-want) > 5e-6*math.Max(1, math.Abs(want)) {
		t.Errorf("%s = %.7g, want %.7g", what, float64(got), want)
	}
}

// TestSeed holds the numbers of the article's data, computed with 50 digits elsewhere.
func TestSeed(t *testing.T) {
	r, err := Compare(sample("1", "aabbcc"), sample("2", "abbccd"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	i, p := r.Information, r.Probability
	near(t, "P(A)", p.PriorA, 0.5)
	near(t, "P(B)", p.PriorB, 0.5)
	near(t, "overlap of A", p.AInB, 1)
	near(t, "overlap of B", p.BInA, 5.0/6)
	near(t, "H(A)", i.HA, 1.584963)
	near(t, "H(B)", i.HB, 1.918296)
	near(t, "H(A), Miller-Madow", i.HAMM, 1.825412)
	near(t, "H(B), Miller-Madow", i.HBMM, 2.278970)
	near(t, "KL(A||B)", i.KLAB, 0.333333)
	if !math.IsInf(float64(i.KLBA), 1) {
		t.Errorf("KL(B||A) = %v: A never gives d", i.KLBA)
	}
	near(t, "mutual information", i.Mutual, 0.1037594)
	near(t, "balanced divergence", i.Balanced, 0.1037594)
	near(t, "H(U)", i.HPooled, 1.8553885)
	near(t, "H(U) - H(U|V)", i.HPooled-i.Conditional, 0.1037594)
	near(t, "G", i.G, 1.726092)
	near(t, "p", i.P, 0.631149)
	if i.DF != 3 || r.Kind != Categorical || !strings.HasPrefix(r.Conclusion, "These 12 outputs can't tell") {
		t.Errorf("df %d, %s: %s", i.DF, r.Kind, r.Conclusion)
	}
	b, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(b), `"klBA":"+Inf"`) {
		t.Errorf("JSON %s, %v", b, err)
	}
}

func TestCategories(t *testing.T) {
	many := func(n int, shares string) Sample {
		var s Sample
		for i := range n {
			s.Values = append(s.Values, string(shares[i%len(shares)]))
		}
		return s
	}
	r, err := Compare(many(1000, "yyyyyyynnn"), many(500, "yyyyynnnnn"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"answer differently", "20.0 points", "nothing says which"} {
		if !strings.Contains(r.Conclusion, want) {
			t.Errorf("conclusion lacks %q: %s", want, r.Conclusion)
		}
	}
	for _, d := range r.Differences {
		near(t, "difference of "+d.Value, d.Diff.Estimate, map[string]float64{"y": -0.2, "n": 0.2}[d.Value])
	}
	// Newcombe's method 10 on 56/70 and 48/80, his example (a): 0.2, 0.0524 to 0.3339.
	d := newcombe(48, 80, 56, 70)
	if math.Abs(float64(d.Lo)-0.0524) > 5e-5 || math.Abs(float64(d.Hi)-0.3339) > 5e-5 {
		t.Errorf("Newcombe's example: %+v", d)
	}
	if r, err = Compare(sample("", "aaa"), sample("", "aa"), Options{}); err != nil || !strings.Contains(r.Conclusion, "always gave the same") {
		t.Errorf("%v, %v", r, err)
	}
}

func TestLabels(t *testing.T) {
	a, b := Sample{Name: "a"}, Sample{Name: "b"}
	for i := range 400 {
		a.Values, b.Values = append(a.Values, "x"), append(b.Values, "x")
		a.Labels = append(a.Labels, []string{"x", "y"}[min(1, i%4/3)]) // right in 3 of 4
		b.Labels = append(b.Labels, []string{"x", "y"}[min(1, i%10/9)])
	}
	r, err := Compare(a, b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Better.Labels != Truth || r.Better.RightA != 300 || r.Better.RightB != 360 || !strings.HasPrefix(r.Conclusion, "B is better") || r.Better.PBBetter < 0.999 {
		t.Errorf("%+v: %s", r.Better, r.Conclusion)
	}
	if r, err = Compare(b, a, Options{}); err != nil || !strings.HasPrefix(r.Conclusion, "A is better") {
		t.Errorf("swapped: %v, %v", r, err)
	}
	a.Labels, b.Labels = []string{"1", "0", "1"}, []string{"yes", "no", "no"}
	a.Values, b.Values = a.Values[:3], b.Values[:3]
	if r, err = Compare(a, b, Options{}); err != nil || r.Better.Labels != Good || r.Better.RightA != 2 || !strings.Contains(r.Conclusion, "6 labelled outputs can't tell") {
		t.Errorf("%+v, %v", r, err)
	}
	b.Labels = nil
	if _, err := Compare(a, b, Options{}); err == nil {
		t.Error("labels on one side only")
	}
}

func TestNumbers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	draw := func(n int, mean, sd float64) (s Sample) {
		for range n {
			s.Values = append(s.Values, fmt.Sprint(mean+sd*rng.NormFloat64()))
		}
		return s
	}
	r, err := Compare(draw(500, 10, 2), draw(400, 11, 2), Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := r.Numbers
	if r.Kind != Numeric || !(n.Mean.Lo > 0.5 && n.Mean.Hi < 1.5) || n.P > 1e-6 || n.PMean < 0.999 || !strings.Contains(r.Conclusion, "larger on average") {
		t.Errorf("%+v: %s", n, r.Conclusion)
	}
	if math.Abs(float64(n.Effect)-0.5) > 0.15 || r.Information.DF != bins-1 {
		t.Errorf("effect %v, df %d", n.Effect, r.Information.DF)
	}
	if r, err = Compare(draw(100, 10, 2), draw(100, 10, 2), Options{}); err != nil || !strings.Contains(r.Conclusion, "can't tell") {
		t.Errorf("equal: %v, %v", r, err)
	}
	if r, err = Compare(draw(2000, 10, 1), draw(2000, 10, 3), Options{}); err != nil || !strings.Contains(r.Conclusion, "distributed differently") {
		t.Errorf("spread: %v, %v", r.Conclusion, err)
	}
	if _, err := Compare(sample("a", "123"), sample("b", "12x"), Options{Kind: Numeric}); err == nil {
		t.Error("x is a number")
	}
	if r, err = Compare(sample("a", "11"), sample("b", "22"), Options{Kind: Numeric}); err != nil || len(r.Warnings) == 0 {
		t.Errorf("constants: %+v, %v", r, err)
	}
	if b, err := json.Marshal(r); err != nil || !strings.Contains(string(b), `"p":null`) {
		t.Errorf("%s, %v", b, err)
	}
}

// TestIdentities: mutual information is H(U) - H(U|V), not negative, at most the versions' entropy, and blind to names; swapping
// the versions swaps everything.
func TestIdentities(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		a := Sample{Values: rapid.SliceOfN(word, 1, 60).Draw(t, "a")}
		b := Sample{Values: rapid.SliceOfN(word, 1, 60).Draw(t, "b")}
		r, err := Compare(a, b, Options{Kind: Categorical})
		if err != nil {
			t.Fatal(err)
		}
		back, err := Compare(b, a, Options{Kind: Categorical})
		if err != nil {
			t.Fatal(err)
		}
		i, j := r.Information, back.Information
		close := func(x, y Number) bool { return x == y || math.Abs(float64(x-y)) < 1e-9 }
		if !close(i.Mutual, i.HPooled-i.Conditional) || i.Mutual < 0 || i.Mutual > 1+1e-12 {
			t.Fatalf("mutual information %v of %+v", i.Mutual, i)
		}
		if !close(i.G, 2*Number(r.NA+r.NB)*i.Mutual*math.Ln2) {
			t.Fatalf("G %v, mutual information %v", i.G, i.Mutual)
		}
		if !close(i.HA, j.HB) || !close(i.KLAB, j.KLBA) || !close(i.Mutual, j.Mutual) || !close(r.Probability.AInB, back.Probability.BInA) {
			t.Fatalf("swapped: %+v, %+v", i, j)
		}
	})
}

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		name, file, text string
		src              Source
		values, labels   string
		err              string
	}{
		{"text", "v.txt", "a\n\n b \nc", Source{}, "a b c", "", ""},
		{"csv", "v.csv", "id,decision,outcome\n1,yes,no\n2,,no\n3,no,no\n", Source{Column: "decision", Label: "outcome"}, "yes no", "no no", ""},
		{"csv by number", "v.dat", "id,decision\n1,yes\n", Source{Column: "2"}, "yes", "", ""},
		{"csv of one column", "v.csv", "x\n1\n2\n", Source{}, "1 2", "", ""},
		{"json", "v.jsonl", "{\"r\":{\"x\":1.5},\"ok\":true}\n{\"r\":{}}\n{\"r\":{\"x\":\"b\"},\"ok\":false}\n", Source{Path: "r.x", Label: "ok"}, "1.5 b", "true false", ""},
		{"no column", "v.csv", "id,decision\n1,yes\n", Source{}, "", "", "id, decision"},
		{"short row", "v.csv", "id,decision\n1,yes\n2\n", Source{Column: "decision"}, "", "", "line 3"},
		{"no json", "v.jsonl", "{\"x\":1}\nx\n", Source{Path: "x"}, "", "", "line 2"},
		{"an object", "v.jsonl", "{\"x\":{}}\n", Source{Path: "x"}, "", "", "single value"},
		{"nothing", "v.txt", "\n\n", Source{}, "", "", "no outputs"},
		{"both", "v", "x", Source{Path: "x", Column: "x"}, "", "", "not both"},
		{"labels of text", "v.txt", "x", Source{Label: "x"}, "", "", "--column"},
		{"long line", "v.txt", strings.Repeat("x", maxLine+1), Source{}, "", "", "line 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Read(tt.file, strings.NewReader(tt.text), tt.src)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || strings.Join(s.Values, " ") != tt.values || strings.Join(s.Labels, " ") != tt.labels {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add("a,b\n1,2\n", "a", "", "b")
	f.Add("{\"a\":1}\n", "", "a", "")
	f.Add("x\ny\n", "", "", "")
	f.Fuzz(func(t *testing.T, text, column, path, label string) {
		s, err := Read("v.txt", strings.NewReader(text), Source{Column: column, Path: path, Label: label})
		if err != nil {
			return
		}
		if len(s.Values) == 0 || s.Labels != nil && len(s.Labels) != len(s.Values) {
			t.Fatalf("%d values, %d labels", len(s.Values), len(s.Labels))
		}
		if r, err := Compare(s, s, Options{}); err == nil && r.Information.Mutual > 1e-9 {
			t.Fatalf("a sample tells %v bits from itself", r.Information.Mutual)
		}
	})
}

func TestPlot(t *testing.T) {
	cats, err := Compare(sample("1", "aabbcc"), sample("2", "abcdefghijklmnop"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	nums, err := Compare(sample("1", "123"), sample("2", "234"), Options{Kind: Numeric})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Result{cats, nums} {
		for format, magic := range map[string]string{"png": "\x89PNG", "svg": "<?xml"} {
			var b bytes.Buffer
			if err := r.Plot(&b, format); err != nil || !strings.HasPrefix(b.String(), magic) {
				t.Errorf("%s: %v, %d bytes", format, err, b.Len())
			}
		}
	}
}
