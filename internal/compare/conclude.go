package compare

import (
	"fmt"
	"math"
)

// conclude writes the one sentence that the data allow. Labels come first: only they say which version is better.
func (r *Result) conclude() {
	switch {
	case r.Better != nil:
		r.Conclusion = r.concludeLabels()
	case r.Kind == Numeric:
		r.Conclusion = r.concludeNumbers()
	default:
		r.Conclusion = r.concludeCategories()
	}
}

const unlabelled = "; without labels nothing says which of them is better"

func (r *Result) concludeLabels() string {
	b := r.Better
	text := fmt.Sprintf("B was right in %s of %d outputs, A in %s of %d", percent(float64(b.RightB)/float64(b.N[1])), b.N[1],
		percent(float64(b.RightA)/float64(b.N[0])), b.N[0])
	gap := fmt.Sprintf("B minus A is %+.1f points, %+.1f to %+.1f at 95 %%", 100*b.Difference.Estimate, 100*b.Difference.Lo, 100*b.Difference.Hi)
	switch {
	case b.Difference.Lo > 0:
		return "B is better: " + text + " (" + gap + ")."
	case b.Difference.Hi < 0:
		return "A is better: " + text + " (" + gap + ")."
	}
	return fmt.Sprintf("These %d labelled outputs can't tell which version is better: %s (%s).", b.N[0]+b.N[1], text, gap)
}

func (r *Result) concludeCategories() string {
	i := r.Information
	if r.Information.DF == 0 {
		return fmt.Sprintf("Both versions always gave the same output: these %d outputs can't tell them apart.", r.NA+r.NB)
	}
	if i.P >= alpha {
		return fmt.Sprintf("These %d outputs can't tell the versions apart: equal versions would differ at least this much in %s of such samples (p = %.2g).",
			r.NA+r.NB, percent(float64(i.P)), float64(i.P))
	}
	d := r.Differences[0]
	return fmt.Sprintf("The versions answer differently (p = %.2g, %.3g bits of an output tell the version): %q is %+.1f points more frequent in B, %+.1f to %+.1f at 95 %%%s.",
		float64(i.P), float64(i.Mutual), short(d.Value), 100*d.Diff.Estimate, 100*d.Diff.Lo, 100*d.Diff.Hi, unlabelled)
}

func (r *Result) concludeNumbers() string {
	n := r.Numbers
	mean := fmt.Sprintf("the means differ by %+.4g, %+.4g to %+.4g at 95 %%", float64(n.Mean.Estimate), float64(n.Mean.Lo), float64(n.Mean.Hi))
	switch {
	case n.Mean.Lo > 0 || n.Mean.Hi < 0:
		word := "larger"
		if n.Mean.Hi < 0 {
			word = "smaller"
		}
		return "B's numbers are " + word + " on average: " + mean + unlabelled + "."
	case n.RankP < alpha:
		return fmt.Sprintf("The versions' numbers are spread differently (an output of B is larger than one of A in %s of pairs, p = %.2g), but %s%s.",
			percent(float64(n.Larger)), float64(n.RankP), mean, unlabelled)
	case r.Information.P < alpha && !math.IsNaN(float64(n.Mean.Lo)):
		return fmt.Sprintf("The versions' numbers are distributed differently (p = %.2g), but %s%s.", float64(r.Information.P), mean, unlabelled)
	case math.IsNaN(float64(n.Mean.Lo)):
		return fmt.Sprintf("These %d outputs don't vary enough to tell the versions apart.", r.NA+r.NB)
	}
	return fmt.Sprintf("These %d outputs can't tell the versions apart: %s.", r.NA+r.NB, mean)
}

func percent(x float64) string { return fmt.Sprintf("%.3g %%", 100*x) }
