package compare

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Kind is what outputs are.
type Kind string

// The kinds.
const (
	Auto        Kind = "auto" // numeric if every output is a number and more than ten differ
	Categorical Kind = "categorical"
	Numeric     Kind = "numeric"
)

// Labels say what labels mean.
type Labels string

// The meanings of labels.
const (
	AutoLabels Labels = "auto"  // good if all labels are words of quality like 1/0, yes/no, good/bad; else truth
	Good       Labels = "good"  // whether the output was good
	Truth      Labels = "truth" // what the output should have been
)

// Options of a comparison.
type Options struct {
	Kind   Kind
	Labels Labels
}

// Number is a float64 that JSON can hold: infinities are strings, an undefined number is null.
type Number float64

// MarshalJSON implements json.Marshaler.
func (n Number) MarshalJSON() ([]byte, error) {
	switch x := float64(n); {
	case math.IsNaN(x):
		return []byte("null"), nil
	case math.IsInf(x, 1):
		return []byte(`"+Inf"`), nil
	case math.IsInf(x, -1):
		return []byte(`"-Inf"`), nil
	default:
		return strconv.AppendFloat(nil, x, 'g', -1, 64), nil
	}
}

// Interval is an estimate with its interval at 95 %, for one look.
type Interval struct {
	Estimate Number `json:"estimate"`
	Lo       Number `json:"lo"`
	Hi       Number `json:"hi"`
}

// Result is what two samples say.
type Result struct {
	A           string       `json:"a"`
	B           string       `json:"b"`
	Kind        Kind         `json:"kind"`
	NA          int          `json:"nA"`
	NB          int          `json:"nB"`
	Probability Probability  `json:"probability"`
	Information Information  `json:"information"`
	Differences []Difference `json:"differences,omitempty"` // categorical: by value, largest first
	Numbers     *Numbers     `json:"numbers,omitempty"`     // numeric only
	Better      *Better      `json:"better,omitempty"`      // with labels
	Conclusion  string       `json:"conclusion"`
	Warnings    []string     `json:"warnings,omitempty"`

	valuesA, valuesB []float64
}

const (
	level       = 0.95
	alpha       = 1 - level
	autoNumeric = 10      // differing numbers up to which numbers are taken for categories
	maxClasses  = 100_000 // beyond, outputs are texts and not categories
	fewExpected = 5       // of a cell: below, the test's p-value is approximate
)

// Compare says what two samples tell. Samples without values, numbers that are none, and labels in one sample only are errors.
func Compare(a, b Sample, o Options) (*Result, error) {
	r := &Result{A: a.Name, B: b.Name, NA: len(a.Values), NB: len(b.Values)}
	if r.NA == 0 || r.NB == 0 {
		return nil, fmt.Errorf("%s has %d outputs, %s has %d: nothing to compare", a.Name, r.NA, b.Name, r.NB)
	}
	xs, errA := numbersOf(a)
	ys, errB := numbersOf(b)
	switch {
	case o.Kind == Numeric && errA != nil:
		return nil, errA
	case o.Kind == Numeric && errB != nil:
		return nil, errB
	case o.Kind == Numeric, (o.Kind == Auto || o.Kind == "") && errA == nil && errB == nil && distinct(xs, ys) > autoNumeric:
		r.Kind = Numeric
	case o.Kind == Auto, o.Kind == "", o.Kind == Categorical:
		r.Kind = Categorical
	default:
		return nil, fmt.Errorf("there is no kind %q: use auto, categorical or numeric", o.Kind)
	}
	var t *table
	if r.Kind == Numeric {
		r.valuesA, r.valuesB = xs, ys
		t = binned(xs, ys)
		if err := r.numeric(xs, ys); err != nil {
			return nil, err
		}
	} else {
		t = tableOf(a.Values, b.Values)
		if len(t.values) > maxClasses {
			return nil, fmt.Errorf("%d different outputs: these are texts, not categories; compare a score or a class of them", len(t.values))
		}
	}
	if err := r.models(t); err != nil {
		return nil, err
	}
	if err := r.better(a, b, o.Labels); err != nil {
		return nil, err
	}
	r.conclude()
	return r, nil
}

// models fills both models from one table of counts.
func (r *Result) models(t *table) error {
	r.Probability = t.probability()
	if r.Kind == Categorical {
		r.Differences = t.differences()
	}
	var err error
	if r.Information, err = t.information(); err != nil {
		return err
	}
	if t.least() < fewExpected {
		r.Warnings = append(r.Warnings, "some values are so rare that the p-value is approximate")
	}
	if r.Kind == Categorical && 2*len(t.values) > r.NA+r.NB {
		r.Warnings = append(r.Warnings, "most outputs occur once: entropies and divergences of so many categories say little")
	}
	return nil
}

func numbersOf(s Sample) ([]float64, error) {
	xs := make([]float64, len(s.Values))
	for i, v := range s.Values {
		x, err := strconv.ParseFloat(v, 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) || math.Abs(x) > 1e100 {
			return nil, fmt.Errorf("%s: output %d, %q, is not a number", s.Name, i+1, short(v))
		}
		xs[i] = x
	}
	return xs, nil
}

func short(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:39]) + "…"
	}
	return s
}

func distinct(xs, ys []float64) int {
	seen := map[float64]bool{}
	for _, s := range [][]float64{xs, ys} {
		for _, x := range s {
			seen[x] = true
			if len(seen) > autoNumeric {
				return len(seen)
			}
		}
	}
	return len(seen)
}

// table counts outputs by value.
type table struct {
	values []string // most frequent first
	a, b   []float64
	nA, nB float64
}

func tableOf(a, b []string) *table {
	counts := map[string]*[2]float64{}
	for i, s := range [][]string{a, b} {
		for _, v := range s {
			if counts[v] == nil {
				counts[v] = &[2]float64{}
			}
			counts[v][i]++
		}
	}
	t := &table{}
	for v := range counts {
		t.values = append(t.values, v)
	}
	slices.SortFunc(t.values, func(x, y string) int {
		if d := counts[y][0] + counts[y][1] - counts[x][0] - counts[x][1]; d != 0 {
			return int(d)
		}
		return strings.Compare(x, y)
	})
	for _, v := range t.values {
		t.push(counts[v][0], counts[v][1])
	}
	return t
}

func (t *table) push(a, b float64) {
	t.a, t.b = append(t.a, a), append(t.b, b)
	t.nA += a
	t.nB += b
}

// least is the smallest expected count of a cell if the versions were equal.
func (t *table) least() float64 {
	least := math.Inf(1)
	for i := range t.a {
		least = min(least, (t.a[i]+t.b[i])*min(t.nA, t.nB)/(t.nA+t.nB))
	}
	return least
}

// bins is the largest number of intervals into which numbers are cut for the information model.
const bins = 10

// binned cuts numbers at the pooled sample's quantiles, so that about equally many fall into each interval.
func binned(xs, ys []float64) *table {
	pooled := slices.Concat(xs, ys)
	slices.Sort(pooled)
	k := min(bins, max(2, int(math.Sqrt(float64(len(pooled))))))
	var cuts []float64
	for i := 1; i < k; i++ {
		c := pooled[i*len(pooled)/k]
		if len(cuts) == 0 && c > pooled[0] || len(cuts) > 0 && c > cuts[len(cuts)-1] {
			cuts = append(cuts, c)
		}
	}
	t := &table{}
	counts := [2][]float64{make([]float64, len(cuts)+1), make([]float64, len(cuts)+1)}
	for side, s := range [][]float64{xs, ys} {
		for _, x := range s {
			i, found := slices.BinarySearch(cuts, x)
			if found {
				i++ // an interval holds its lower end
			}
			counts[side][i]++
		}
	}
	for i := range counts[0] {
		lo, hi := "", ""
		if i > 0 {
			lo = fmt.Sprintf("from %.4g", cuts[i-1])
		}
		if i < len(cuts) {
			hi = fmt.Sprintf("below %.4g", cuts[i])
		}
		t.values = append(t.values, strings.TrimSpace(lo+" "+hi))
		t.push(counts[0][i], counts[1][i])
	}
	return t
}
