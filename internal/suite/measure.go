package suite

import (
	"fmt"
	"math"
	"strconv"
)

// measured is a measure of some rows, or why there is none.
type measured struct {
	interval
	rows    int // that it rests on
	k       float64
	counted bool // it is k of rows
	problem string
	status  Status // with problem
}

// minMeans is the least number of rows, of each class where there are two, from which means are trusted.
const minMeans = 20

func (m *measured) write(numbers map[string]float64) {
	numbers["rows"] = float64(m.rows)
	if m.problem != "" {
		return
	}
	numbers["estimate"], numbers["lower"], numbers["upper"] = m.est, m.lo, m.hi
}

func (m *measured) text(name Measure, alpha float64) string {
	of := rowsText(m.rows)
	if m.counted {
		of = fmt.Sprintf("%.0f of %d", m.k, m.rows)
	}
	return fmt.Sprintf("%s %s (%s), at %s at least %s and at most %s", name, figure(m.est), of, percent(1-alpha), figure(m.lo), figure(m.hi))
}

func figure(x float64) string { return strconv.FormatFloat(x, 'f', 3, 64) }

// right says whether a class is the truth; numbers are compared as numbers, as CSV writes 1.0 where JSON has 1.
func right(class, truth string) bool {
	if class == truth {
		return true
	}
	a, errA := strconv.ParseFloat(class, 64)
	b, errB := strconv.ParseFloat(truth, 64)
	return errA == nil && errB == nil && a == b
}

// correct says whether the reading predicts the truth.
func (o *observation) correct(r reading) bool {
	if r.classed {
		return r.ok && right(r.class, o.truth)
	}
	return r.ok && r.positive == o.positive
}

// measure computes a measure of the version under test. An answer that could not be used counts as wrong for
// accuracy, sensitivity and specificity; the other measures have no value for it and fail.
func measure(m Measure, obs []observation, alpha float64) measured {
	var v measured
	unusable := 0
	for i := range obs {
		if !obs[i].target.ok {
			unusable++
		}
	}
	wrongIsEnough := m == Accuracy || m == ExactMatch || m == Sensitivity || m == Specificity || m == Similarity || m == Judged
	if unusable > 0 && !wrongIsEnough {
		return measured{problem: fmt.Sprintf("%d of %s gave no answer that can be used", unusable, rowsText(len(obs))), status: Failed, rows: len(obs)}
	}
	switch m {
	case AUC:
		v = measureAUC(obs, alpha)
	case LogLoss:
		v = measureLoss(obs, alpha)
	case F1:
		v = measureF1(obs, alpha)
	case Similarity:
		v = measureMean(similarities(obs, ofTarget), alpha)
	case Perplexity:
		v = measurePerplexity(obs, alpha)
	default:
		k, n := 0.0, 0.0
		for i := range obs {
			hit, counts := counted(m, &obs[i], obs[i].target)
			if counts {
				n++
			}
			if hit && counts {
				k++
			}
		}
		v = measured{rows: int(n), k: k, counted: true}
		if n > 0 {
			v.interval = proportion(k, n, alpha)
		}
	}
	if v.rows == 0 && v.problem == "" {
		v.problem, v.status = fmt.Sprintf("none of %s counts for %s", rowsText(len(obs)), m), Undecided
	}
	return v
}

// counted says for a measure that is a proportion whether a row counts, and whether as a hit.
func counted(m Measure, o *observation, r reading) (hit, counts bool) {
	switch m {
	case Sensitivity:
		return r.ok && r.positive, o.positive
	case Specificity:
		return r.ok && !r.positive, !o.positive
	case Precision:
		return o.positive, r.positive
	case Rate:
		return r.positive, true
	case Judged:
		return o.opinion.first > 0 && o.opinion.second > 0, o.opinion.told || !r.ok
	default:
		return o.correct(r), true
	}
}

func measureF1(obs []observation, alpha float64) measured {
	tp, n := 0.0, 0.0
	for i := range obs {
		o := &obs[i]
		if o.positive && o.target.positive {
			tp++
		}
		if o.positive || o.target.positive {
			n++
		}
	}
	v := measured{rows: len(obs)}
	if n == 0 {
		v.problem, v.status = "no row is positive, in truth or by prediction", Undecided
		return v
	}
	v.interval = f1(tp, n, alpha)
	return v
}

// classes divides scores by the truth.
func classes(obs []observation, of func(*observation) reading) (positive, negative []float64) {
	for i := range obs {
		if s := of(&obs[i]).score; obs[i].positive {
			positive = append(positive, s)
		} else {
			negative = append(negative, s)
		}
	}
	return positive, negative
}

func ofTarget(o *observation) reading { return o.target }

func ofLive(o *observation) reading { return o.live }

func measureAUC(obs []observation, alpha float64) measured {
	v := measured{rows: len(obs)}
	positive, negative := classes(obs, ofTarget)
	if len(positive) == 0 || len(negative) == 0 {
		v.problem, v.status = fmt.Sprintf("all of %s are of one class", rowsText(len(obs))), Undecided
		return v
	}
	a, _, _ := auc(positive, negative)
	v.interval = aucInterval(a, float64(len(positive)), float64(len(negative)), alpha)
	return v
}

// loss is -ln of the probability that was given to the truth, which is kept from 0 by 1e-15.
func loss(score float64, positive bool) float64 {
	p := score
	if !positive {
		p = 1 - score
	}
	return -math.Log(math.Min(1, math.Max(p, 1e-15)))
}

// losses of all rows; false if a score is no probability.
func losses(obs []observation, of func(*observation) reading) ([]float64, bool) {
	out := make([]float64, len(obs))
	for i := range obs {
		s := of(&obs[i]).score
		if !(s >= 0 && s <= 1) {
			return nil, false
		}
		out[i] = loss(s, obs[i].positive)
	}
	return out, true
}

func measureLoss(obs []observation, alpha float64) measured {
	v := measured{rows: len(obs)}
	xs, ok := losses(obs, ofTarget)
	switch {
	case !ok:
		v.problem, v.status = "a score is no probability from 0 to 1", Failed
	case len(xs) < minMeans:
		v.problem, v.status = fmt.Sprintf("%s can't tell: a mean loss needs at least %d", rowsText(len(xs)), minMeans), Undecided
	default:
		v.interval = mean(xs, alpha)
	}
	return v
}

// measureMean is the mean of numbers of rows.
func measureMean(xs []float64, alpha float64) measured {
	v := measured{rows: len(xs)}
	if len(xs) < minMeans {
		v.problem, v.status = fmt.Sprintf("%s can't tell: a mean needs at least %d", rowsText(len(xs)), minMeans), Undecided
		return v
	}
	v.interval = mean(xs, alpha)
	v.lo, v.hi = math.Max(v.lo, 0), math.Min(v.hi, 1)
	return v
}

// similarities of answers to the truth; an answer that can't be used has none.
func similarities(obs []observation, of func(*observation) reading) []float64 {
	out := make([]float64, len(obs))
	for i := range obs {
		if r := of(&obs[i]); r.ok {
			out[i] = similarity(r.class, obs[i].truth)
		}
	}
	return out
}

// measurePerplexity is exp of all rows' loss over all rows' tokens. Rows are independent, the tokens in them are not,
// so that the interval is that of a ratio of sums over rows.
func measurePerplexity(obs []observation, alpha float64) measured {
	v := measured{rows: len(obs)}
	if len(obs) < minMeans {
		v.problem, v.status = fmt.Sprintf("%s can't tell: perplexity needs at least %d", rowsText(len(obs)), minMeans), Undecided
		return v
	}
	losses, tokens := make([]float64, len(obs)), make([]float64, len(obs))
	for i := range obs {
		losses[i], tokens[i] = obs[i].target.loss, obs[i].target.tokens
	}
	r := ratioOfSums(losses, tokens, alpha)
	v.interval = interval{math.Exp(r.est), math.Exp(r.lo), math.Exp(r.hi)}
	return v
}

// comparison is a measure's difference, version under test minus live, on the same rows.
type comparison struct {
	measured
	binomial bool
	b, c     float64 // rows that only the version under test, or only live, has right
	p        float64 // McNemar
}

// comparePairs compares both versions. Rows without a usable answer of live are left out; if they are more
// than one in ten, nothing can be said. Without a usable answer of the version under test the row is wrong.
func comparePairs(m Measure, obs []observation, alpha float64) comparison {
	var both []observation
	unusable := 0
	for i := range obs {
		if obs[i].live.ok {
			both = append(both, obs[i])
		}
		if !obs[i].target.ok {
			unusable++
		}
	}
	out := comparison{measured: measured{rows: len(both)}}
	switch {
	case len(obs)-len(both) > len(obs)/10 || len(both) == 0:
		out.problem, out.status = fmt.Sprintf("live answered only %d of %s", len(both), rowsText(len(obs))), Undecided
	case m == Preference:
		comparePreference(both, alpha, &out)
	case m == AUC || m == LogLoss || m == Perplexity || m == Similarity:
		if unusable > 0 {
			out.problem, out.status = fmt.Sprintf("%d of %s gave no answer that can be used", unusable, rowsText(len(obs))), Failed
			return out
		}
		compareScores(m, both, alpha, &out)
	default:
		n := 0.0
		for i := range both {
			mine, counts := counted(m, &both[i], both[i].target)
			theirs, _ := counted(m, &both[i], both[i].live)
			switch {
			case !counts:
				continue
			case mine && !theirs:
				out.b++
			case theirs && !mine:
				out.c++
			}
			n++
		}
		out.binomial, out.rows = true, int(n)
		if n == 0 {
			out.problem, out.status = fmt.Sprintf("none of %s counts for %s", rowsText(len(both)), m), Undecided
			return out
		}
		out.interval, out.p = pairedDifference(out.b, out.c, n, alpha), mcNemar(out.b, out.c)
	}
	return out
}

func compareScores(m Measure, both []observation, alpha float64, out *comparison) {
	pos1, neg1 := classes(both, ofTarget)
	pos2, neg2 := classes(both, ofLive)
	if m == AUC {
		if min(len(pos1), len(neg1)) < minMeans {
			out.problem, out.status = fmt.Sprintf("%d and %d rows of the classes can't tell: each needs at least %d", len(pos1), len(neg1), minMeans), Undecided
			return
		}
		out.interval = pairedAUC(pos1, neg1, pos2, neg2, alpha)
		return
	}
	if m == Perplexity || m == Similarity {
		compareTexts(m, both, alpha, out)
		return
	}
	mine, ok1 := losses(both, ofTarget)
	theirs, ok2 := losses(both, ofLive)
	switch {
	case !ok1 || !ok2:
		out.problem, out.status = "a score is no probability from 0 to 1", Failed
	case len(mine) < minMeans:
		out.problem, out.status = fmt.Sprintf("%s can't tell: a mean loss needs at least %d", rowsText(len(mine)), minMeans), Undecided
	default:
		for i := range mine {
			mine[i] -= theirs[i]
		}
		out.interval = mean(mine, alpha)
	}
}

// compareTexts compares similarity by the mean difference, and perplexity by the logarithm of the ratio: by how much
// more the version under test is surprised by the same rows, per token of live. Both are told the same text when the
// prompt is echoed, however they cut it into tokens.
func compareTexts(m Measure, both []observation, alpha float64, out *comparison) {
	if len(both) < minMeans {
		out.problem, out.status = fmt.Sprintf("%s can't tell: a mean needs at least %d", rowsText(len(both)), minMeans), Undecided
		return
	}
	differences, tokens := make([]float64, len(both)), make([]float64, len(both))
	if m == Perplexity {
		for i := range both {
			differences[i], tokens[i] = both[i].target.loss-both[i].live.loss, both[i].live.tokens
		}
		out.interval = ratioOfSums(differences, tokens, alpha)
		return
	}
	theirs := similarities(both, ofLive)
	for i, x := range similarities(both, ofTarget) {
		differences[i] = x - theirs[i]
	}
	out.interval = mean(differences, alpha)
}
