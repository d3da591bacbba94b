package suite

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"sluice.dev/sluice/internal/release"
)

// gate is a checked Gate. Its head's name begins with that of its case.
type gate struct {
	Gate
	head
	alpha   float64 // of each side
	dialect release.Dialect
}

func (g *gate) paired() bool { return !g.NoWorseThanLive.IsZero() }

// reading is what a gate takes from one answer.
type reading struct {
	ok       bool // the answer had what the gate needs
	classed  bool // class is set, which may be the empty text
	class    string
	positive bool
	score    float64
	loss     float64 // sum over tokens of -ln probability
	tokens   float64
}

// observation is one row as a gate sees it.
type observation struct {
	truth    string
	positive bool // the truth is the positive class
	target   reading
	live     reading
	opinion  opinion  // the judge's
	slices   []string // by Slices; "" is in none
}

// judge makes the results of a gate: the limits overall and per slice, parity, and the comparison with live.
func (g *gate) judge(outs []outcome, opinions []opinion, haveLive bool) []Result {
	obs := make([]observation, len(outs))
	for i := range outs {
		obs[i] = g.observe(&outs[i])
		if opinions != nil {
			obs[i].opinion = opinions[i]
		}
	}
	var results []Result
	if g.AtLeast != nil || g.AtMost != nil {
		results = append(results, g.limits("", obs))
		for _, part := range g.parts(obs) {
			results = append(results, g.limits(part.name, part.obs))
		}
	}
	if !g.Parity.IsZero() {
		results = append(results, g.parity(obs))
	}
	if g.paired() {
		results = append(results, g.compare(obs, haveLive))
	}
	return results
}

func (g *gate) observe(o *outcome) observation {
	var v observation
	if g.Label != "" {
		v.truth = fold(g.truth(asText(o.row.values[g.Label])), g.Ignore)
		v.positive = v.truth == g.Positive
	}
	if !o.broken {
		v.target = g.read(o.body)
	}
	v.live = g.read(o.live)
	for _, s := range g.Slices {
		v.slices = append(v.slices, s.of(o.row))
	}
	return v
}

// read takes class and score from an answer.
func (g *gate) read(body []byte) (out reading) {
	if len(body) == 0 {
		return out
	}
	if g.consults() {
		return reading{ok: true}
	}
	if g.Metric == Perplexity || strings.HasPrefix(g.Prediction, "$") {
		return g.readText(body)
	}
	if !json.Valid(body) {
		return out
	}
	if g.Score != "" {
		v := gjson.GetBytes(body, g.Score)
		if v.Type != gjson.Number || math.IsInf(v.Num, 0) {
			return out
		}
		out.score = v.Num
		if g.Threshold != nil {
			out.positive = v.Num >= *g.Threshold
		}
	}
	if g.Prediction != "" {
		v := gjson.GetBytes(body, g.Prediction)
		if !v.Exists() || v.IsObject() || v.IsArray() || v.Type == gjson.Null {
			return out
		}
		out.class = v.String()
		if v.Type == gjson.Number {
			out.class = v.Raw
		}
		out.class, out.classed = fold(out.class, g.Ignore), true
		out.positive = out.class == g.Positive
	}
	out.ok = true
	return out
}

// What a prediction may be of a text.
const (
	predictText     = "$text"
	predictRefusal  = "$refusal"
	predictLanguage = "$language"
	predictFinish   = "$finish"
)

// readText takes what is asked for from the text of a language model.
func (g *gate) readText(body []byte) (out reading) {
	r, err := readReply(g.dialect, body)
	if err != nil {
		return out
	}
	if g.Metric == Perplexity {
		for _, l := range r.logprobs {
			out.loss -= l
		}
		out.tokens = float64(len(r.logprobs))
		out.ok = out.tokens > 0 && !math.IsInf(out.loss, 0) && !math.IsNaN(out.loss)
		return out
	}
	switch g.Prediction {
	case predictText:
		out.class = fold(r.text, g.Ignore)
	case predictRefusal:
		out.class = strconv.FormatBool(r.refused())
	case predictLanguage:
		out.class = languageCode(r.text)
	case predictFinish:
		out.class = r.finish
	}
	out.ok, out.classed, out.positive = true, true, out.class == g.Positive
	return out
}

// of names the slice that a row is in, "" for none.
func (s *Slice) of(r *row) string {
	v := r.values[s.Column]
	if len(s.Cuts) == 0 {
		if text := asText(v); text != "" {
			return s.Column + "=" + clean(text, 40)
		}
		return ""
	}
	x, ok := number(v)
	if !ok {
		return ""
	}
	at, _ := slices.BinarySearchFunc(s.Cuts, x, func(cut, x float64) int {
		if cut <= x {
			return -1
		}
		return 1
	})
	switch {
	case at == 0:
		return fmt.Sprintf("%s<%g", s.Column, s.Cuts[0])
	case at == len(s.Cuts):
		return fmt.Sprintf("%s>=%g", s.Column, s.Cuts[at-1])
	}
	return fmt.Sprintf("%g<=%s<%g", s.Cuts[at-1], s.Column, s.Cuts[at])
}

// part is one slice of the rows.
type part struct {
	name string
	obs  []observation
}

const maxParts = 50

// parts divides the rows by all slices, in the order of the names within each.
func (g *gate) parts(obs []observation) (out []part) {
	for i := range g.Slices {
		byName := map[string][]observation{}
		for _, o := range obs {
			if name := o.slices[i]; name != "" {
				byName[name] = append(byName[name], o)
			}
		}
		names := make([]string, 0, len(byName))
		for name := range byName {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names[:min(len(names), maxParts)] {
			out = append(out, part{name, byName[name]})
		}
	}
	return out
}

// limits judges AtLeast and AtMost for some rows.
func (g *gate) limits(slice string, obs []observation) Result {
	r := g.result(Undecided, "")
	if slice != "" {
		r.Name += " [" + slice + "]"
	}
	m := measure(g.Metric, obs, g.alpha)
	m.write(r.Numbers)
	if g.consults() && !g.trusts(&r, obs) {
		return r
	}
	if m.problem != "" {
		r.Status, r.Message = m.status, m.problem
		return r
	}
	var asked []string
	pass, fail := true, false
	if x := g.AtLeast; x != nil {
		r.Numbers["atLeast"] = *x
		asked = append(asked, fmt.Sprintf("at least %g", *x))
		pass, fail = pass && m.lo >= *x, fail || m.hi < *x
	}
	if x := g.AtMost; x != nil {
		r.Numbers["atMost"] = *x
		asked = append(asked, fmt.Sprintf("at most %g", *x))
		pass, fail = pass && m.hi <= *x, fail || m.lo > *x
	}
	text := fmt.Sprintf("%s; asked: %s", m.text(g.Metric, g.alpha), strings.Join(asked, " and "))
	switch {
	case fail:
		r.Status = Failed
	case pass:
		r.Status = Passed
	default:
		text += fmt.Sprintf("; %s can't tell%s", rowsText(m.rows), g.enough(m))
	}
	r.Message += text
	return r
}

// enough says about how many rows would settle the gate if the truth is what was estimated.
func (g *gate) enough(m measured) string {
	nearest := math.Inf(1)
	for _, x := range []*float64{g.AtLeast, g.AtMost} {
		if x != nil {
			nearest = math.Min(nearest, math.Abs(m.est-*x))
		}
	}
	half := math.Max(m.hi-m.est, m.est-m.lo)
	if nearest < 1e-3 || half == 0 {
		return ", and no number of rows soon will: the estimate is at the limit"
	}
	times := half / nearest
	return fmt.Sprintf(", about %d could", int(math.Ceil(float64(m.rows)*times*times/10))*10)
}

// parity judges the largest difference between two slices of the same column. Each of the d comparisons
// holds at level alpha/d, so that all hold together.
func (g *gate) parity(obs []observation) Result {
	r := g.result(Undecided, "")
	r.Name += " parity"
	limit := g.Parity.Value / 100
	pairs := g.pairsOfParts(obs)
	if len(pairs) == 0 {
		r.Message = "there are no two slices with rows to compare"
		return r
	}
	alpha := g.alpha / float64(len(pairs))
	var worst interval
	var words string
	pass, fail := true, false
	for _, p := range pairs {
		a, b := measure(g.Metric, p[0].obs, alpha), measure(g.Metric, p[1].obs, alpha)
		if a.problem != "" || b.problem != "" {
			r.Status, r.Message = worstStatus(a, b), firstOf(a.problem, b.problem)
			return r
		}
		d := difference(a.interval, b.interval)
		if d.est < 0 {
			d = interval{-d.est, -d.hi, -d.lo}
		}
		pass = pass && math.Max(d.hi, -d.lo) <= limit
		fail = fail || d.lo > limit
		if words == "" || d.est > worst.est {
			worst = d
			words = fmt.Sprintf("%s %s %.3f, %s %.3f", g.Metric, p[0].name, a.est, p[1].name, b.est)
		}
	}
	r.Numbers["difference"], r.Numbers["lower"], r.Numbers["upper"], r.Numbers["allowed"] = worst.est, worst.lo, worst.hi, limit
	text := fmt.Sprintf("%s: differ by %s points (at %s between %s and %s); at most %g allowed", words,
		points(worst.est), percent(1-alpha), points(worst.lo), points(worst.hi), g.Parity.Value)
	switch {
	case fail:
		r.Status = Failed
	case pass:
		r.Status = Passed
	default:
		text += "; " + rowsText(len(obs)) + " can't tell"
	}
	r.Message = text
	return r
}

func worstStatus(a, b measured) Status {
	if a.status == Failed || b.status == Failed {
		return Failed
	}
	return Undecided
}

// pairsOfParts pairs the slices of each column.
func (g *gate) pairsOfParts(obs []observation) (out [][2]part) {
	for i := range g.Slices {
		one := gate{Gate: Gate{Slices: g.Slices[i : i+1]}}
		narrowed := slices.Clone(obs)
		for j := range narrowed {
			narrowed[j].slices = obs[j].slices[i : i+1]
		}
		parts := one.parts(narrowed)
		for a := range parts {
			for b := a + 1; b < len(parts); b++ {
				out = append(out, [2]part{parts[a], parts[b]})
			}
		}
	}
	return out
}

// compare judges NoWorseThanLive on the rows that both versions answered.
func (g *gate) compare(obs []observation, haveLive bool) Result {
	r := g.result(Skipped, "no live version was given to compare with")
	r.Name += " no worse than live"
	if !haveLive {
		return r
	}
	r.Message = ""
	c := comparePairs(g.Metric, obs, g.alpha)
	if g.consults() && !g.trusts(&r, obs) {
		return r
	}
	if c.problem != "" {
		r.Status, r.Message = c.status, c.problem
		return r
	}
	if g.Metric == Perplexity {
		return g.compareRatio(r, c)
	}
	margin, unit, show := g.NoWorseThanLive.Value, "", plain
	if g.Metric != LogLoss {
		margin, unit, show = margin/100, " points", points
	}
	better := c.interval // higher is better from here on
	if g.Metric == LogLoss {
		better = interval{-c.est, -c.hi, -c.lo}
	}
	r.Numbers["difference"], r.Numbers["lower"], r.Numbers["upper"], r.Numbers["rows"] = c.est, c.lo, c.hi, float64(c.rows)
	r.Numbers["allowed"] = -margin
	if g.Metric == LogLoss {
		r.Numbers["allowed"] = margin
	}
	if c.binomial {
		r.Numbers["onlyCandidateRight"], r.Numbers["onlyLiveRight"], r.Numbers["pMcNemar"] = c.b, c.c, c.p
	}
	if g.Metric == Preference {
		r.Numbers["preferred"], r.Numbers["livePreferred"] = c.b, c.c
	}
	text := fmt.Sprintf("%s differs from live's by %s%s (at %s between %s and %s) on the same %s; at most %s%s worse allowed", g.Metric,
		show(c.est), unit, percent(1-g.alpha), show(c.lo), show(c.hi), rowsText(c.rows), show(margin), unit)
	switch {
	case better.lo >= -margin:
		r.Status = Passed
	case better.hi < -margin:
		r.Status = Failed
	default:
		r.Status = Undecided
		text += "; " + rowsText(c.rows) + " can't tell"
	}
	r.Message += text
	return r
}

// compareRatio judges a measure that is compared as a ratio, whose logarithm the comparison holds; lower is better.
func (g *gate) compareRatio(r Result, c comparison) Result {
	limit := g.NoWorseThanLive.Value
	est, lo, hi := math.Exp(c.est), math.Exp(c.lo), math.Exp(c.hi)
	r.Numbers["ratio"], r.Numbers["lower"], r.Numbers["upper"], r.Numbers["rows"] = est, lo, hi, float64(c.rows)
	r.Numbers["allowed"] = limit
	r.Message = fmt.Sprintf("%s is %.3g times live's (at %s between %.3g and %.3g) on the same %s; at most %.3g times allowed", g.Metric,
		est, percent(1-g.alpha), lo, hi, rowsText(c.rows), limit)
	switch {
	case hi <= limit:
		r.Status = Passed
	case lo > limit:
		r.Status = Failed
	default:
		r.Status = Undecided
		r.Message += "; " + rowsText(c.rows) + " can't tell"
	}
	return r
}

func plain(x float64) string { return strconv.FormatFloat(x, 'g', 3, 64) }

func points(x float64) string { return strconv.FormatFloat(x*100, 'f', 1, 64) }

func percent(x float64) string { return strconv.FormatFloat(math.Round(x*1e4)/100, 'f', -1, 64) + " %" }

func rowsText(n int) string {
	if n == 1 {
		return "1 row"
	}
	return strconv.Itoa(n) + " rows"
}
