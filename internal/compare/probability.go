package compare

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"sluice.dev/sluice/internal/stats"
)

// Probability is the first model: which version did an output come from.
type Probability struct {
	PriorA  Number  `json:"priorA"` // P(A): the share of all outputs that are A's; how much of each was collected, no performance
	PriorB  Number  `json:"priorB"`
	AInB    Number  `json:"aInB"` // share of A's outputs whose value occurs in B: overlap of supports
	BInA    Number  `json:"bInA"`
	Shared  int     `json:"shared"` // values that occur in both
	Values  int     `json:"values"` // values that occur at all
	ByValue []Value `json:"byValue"`
}

// Value is one output value, or one interval of numbers.
type Value struct {
	Value      string `json:"value"`
	CountA     int    `json:"countA"`
	CountB     int    `json:"countB"`
	ShareA     Number `json:"shareA"`     // P(value | A), as observed
	ShareB     Number `json:"shareB"`     // P(value | B)
	PosteriorA Number `json:"posteriorA"` // P(A | value) at even priors, with half a count added to either side
}

// shownValues bounds what is listed by value.
const shownValues = 100

func (t *table) probability() Probability {
	p := Probability{PriorA: Number(t.nA / (t.nA + t.nB)), PriorB: Number(t.nB / (t.nA + t.nB)), Values: len(t.values)}
	var inB, inA float64
	k := float64(len(t.values))
	for i, v := range t.values {
		a, b := t.a[i], t.b[i]
		if b > 0 {
			inB += a
		}
		if a > 0 {
			inA += b
		}
		if a > 0 && b > 0 {
			p.Shared++
		}
		if i < shownValues {
			// Bayes with P(A) = P(B) = 1/2; half a count keeps a value that one side lacks from being proof.
			la, lb := (a+0.5)/(t.nA+k/2), (b+0.5)/(t.nB+k/2)
			p.ByValue = append(p.ByValue, Value{v, int(a), int(b), Number(a / t.nA), Number(b / t.nB), Number(la / (la + lb))})
		}
	}
	p.AInB, p.BInA = Number(inB/t.nA), Number(inA/t.nB)
	return p
}

// Difference is how much more often B gives a value than A.
type Difference struct {
	Value string   `json:"value"`
	Diff  Interval `json:"difference"` // of shares, B minus A; Newcombe's interval at 95 %, for this value alone
}

func (t *table) differences() []Difference {
	var out []Difference
	for i, v := range t.values {
		out = append(out, Difference{v, newcombe(t.a[i], t.nA, t.b[i], t.nB)})
	}
	slices.SortStableFunc(out, func(x, y Difference) int {
		return cmp.Compare(math.Abs(float64(y.Diff.Estimate)), math.Abs(float64(x.Diff.Estimate)))
	})
	return out[:min(len(out), shownValues)]
}

// z95 is the 97.5 % quantile of the normal distribution.
const z95 = 1.959963984540054

// newcombe is the difference of two proportions, B minus A, with the interval made of two Wilson intervals (Newcombe, Statistics in Medicine
// 17, 1998, method 10).
func newcombe(kA, nA, kB, nB float64) Interval {
	a, b := kA/nA, kB/nB
	aLo, aHi := wilson(kA, nA)
	bLo, bHi := wilson(kB, nB)
	d := b - a
	return Interval{Number(d), Number(d - math.Hypot(b-bLo, aHi-a)), Number(d + math.Hypot(bHi-b, a-aLo))}
}

func wilson(k, n float64) (lo, hi float64) {
	p, z2 := k/n, z95*z95
	centre := (p + z2/(2*n)) / (1 + z2/n)
	half := z95 * math.Sqrt(p*(1-p)/n+z2/(4*n*n)) / (1 + z2/n)
	return max(0, centre-half), min(1, centre+half)
}

// Better is what labels say: is B better.
type Better struct {
	RightA     int      `json:"rightA"`
	RightB     int      `json:"rightB"`
	N          [2]int   `json:"n"`
	Labels     Labels   `json:"labels"`
	Difference Interval `json:"difference"` // of the shares of right outputs, B minus A
	PBBetter   Number   `json:"pBBetter"`   // posterior P(B is right more often), Beta(1/2,1/2) priors
	LossB      Number   `json:"lossB"`      // expected loss of choosing B: how much less often right, on average over the posterior
	LossA      Number   `json:"lossA"`
}

// quality are words that say whether an output was good.
var quality = map[string]bool{
	"1": true, "true": true, "yes": true, "good": true, "right": true, "correct": true, "ok": true, "up": true,
	"0": false, "false": false, "no": false, "bad": false, "wrong": false, "incorrect": false, "down": false,
}

func (r *Result) better(a, b Sample, labels Labels) error {
	switch {
	case a.Labels == nil && b.Labels == nil:
		return nil
	case a.Labels == nil || b.Labels == nil:
		return fmt.Errorf("only one of %s and %s has labels", a.Name, b.Name)
	}
	switch labels {
	case Good, Truth:
	case AutoLabels, "":
		if labels = Truth; allQuality(a.Labels) && allQuality(b.Labels) {
			labels = Good
		}
	default:
		return fmt.Errorf("there is no meaning %q of labels: use auto, good or truth", labels)
	}
	kA, err := rights(a, labels)
	if err != nil {
		return err
	}
	kB, err := rights(b, labels)
	if err != nil {
		return err
	}
	nA, nB := float64(len(a.Labels)), float64(len(b.Labels))
	c, err := stats.BetaCompare(stats.Jeffreys(kA, nA), stats.Jeffreys(kB, nB))
	if err != nil {
		return err
	}
	r.Better = &Better{
		RightA: int(kA), RightB: int(kB), N: [2]int{len(a.Labels), len(b.Labels)}, Labels: labels, Difference: newcombe(kA, nA, kB, nB),
		PBBetter: Number(c.PBGreater), LossB: Number(c.LossB), LossA: Number(c.LossA),
	}
	return nil
}

func allQuality(labels []string) bool {
	for _, l := range labels {
		if _, ok := quality[strings.ToLower(l)]; !ok {
			return false
		}
	}
	return true
}

func rights(s Sample, meaning Labels) (k float64, err error) {
	for i, l := range s.Labels {
		if meaning == Truth {
			if l == s.Values[i] {
				k++
			}
			continue
		}
		good, ok := quality[strings.ToLower(l)]
		if !ok {
			return 0, fmt.Errorf("%s: label %q doesn't say whether the output was good: use 1 or 0, or --labels truth", s.Name, short(l))
		}
		if good {
			k++
		}
	}
	return k, nil
}
