package suite

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"sluice.dev/sluice/internal/release"
)

const defaultConfidence = 0.95

// gate checks a Gate of a case whose data are read.
func (c *checker) gate(at string, g *Gate, of *functionalCase) *gate {
	out := &gate{Gate: *g, head: of.head, alpha: 1 - defaultConfidence, dialect: c.suite.Spec.Target.Dialect}
	out.required = of.required && !g.Optional
	if g.Name == "" {
		out.Name = string(g.Metric)
	}
	if name := out.Name; name != clean(name, maxNameBytes) {
		c.fail(at+".name", "write a short name on one line", "%q is no name of a gate", clean(name, 40))
	}
	out.name = of.name + ": " + out.Name
	if key := "gate/" + out.name; c.names[key] {
		c.fail(at+".name", "give each gate of a case its own name", "%q is the name of another gate", out.Name)
	} else {
		c.names[key] = true
	}
	if g.Confidence != 0 {
		if g.Confidence < 0.5 || g.Confidence > 0.9999 {
			c.fail(at+".confidence", "write one like 0.95", "%g is not between 0.5 and 0.9999", g.Confidence)
		} else {
			out.alpha = 1 - g.Confidence
		}
	}
	if textMeasure := g.Metric == Accuracy || g.Metric == ExactMatch || g.Metric == Similarity; textMeasure && g.Prediction == "" && g.Score == "" && speaksText(out.dialect) {
		out.Prediction = predictText
	}
	out.Positive = fold(g.Positive, g.Ignore)
	c.gateNeeds(at, &out.Gate)
	c.gateLimits(at, g, of)
	c.gateData(at, g, of)
	return out
}

// gateNeeds checks that the gate says all that its measure needs.
func (c *checker) gateNeeds(at string, g *Gate) {
	switch {
	case strings.HasPrefix(g.Prediction, "$"):
		if !slices.Contains([]string{predictText, predictRefusal, predictLanguage, predictFinish}, g.Prediction) {
			c.fail(at+".prediction", "write $text, $refusal, $language or $finish", "%q is nothing that is read of a text", clean(g.Prediction, 40))
		}
		c.needsText(at+".prediction", g.Prediction)
	case g.Prediction != "":
		c.jsonPath(at+".prediction", g.Prediction)
	}
	if g.Score != "" {
		c.jsonPath(at+".score", g.Score)
	}
	need := func(field, value, why string) {
		if value == "" {
			c.fail(at+"."+field, "add it", "%s needs %s: %s", g.Metric, field, why)
		}
	}
	c.gateJudge(at, g)
	if g.Metric != Rate && g.Metric != Perplexity && !g.consults() {
		need("label", g.Label, "the column of the truth")
	}
	switch g.Metric {
	case Accuracy, ExactMatch:
		if g.Prediction == "" && (g.Score == "" || g.Threshold == nil) {
			c.fail(at+".prediction", "add prediction, or score with threshold and positive", "%s needs a predicted class", g.Metric)
		}
		if g.Prediction == "" {
			need("positive", g.Positive, "the class that a high score predicts")
		}
	case Similarity:
		need("prediction", g.Prediction, "the path of the text")
	case Perplexity:
		c.needsText(at+".metric", "perplexity")
		if c.suite.Spec.Target.Dialect == release.DialectAnthropic {
			c.fail(at+".metric", "use dialect: openai", "the dialect anthropic tells no probabilities of tokens")
		}
	case Preference, Judged:
	case AUC, LogLoss:
		need("score", g.Score, "the path of a number that is higher the likelier positive is")
		need("positive", g.Positive, "the class that a high score predicts")
	default:
		need("positive", g.Positive, "the class that counts")
		if g.Prediction == "" && (g.Score == "" || g.Threshold == nil) {
			c.fail(at+".prediction", "add prediction, or score with threshold", "%s needs a predicted class", g.Metric)
		}
	}
	if g.Threshold != nil && (g.Score == "" || g.Prediction != "") {
		c.fail(at+".threshold", "write it beside score, without prediction", "the threshold is not used")
	}
}

// consults says whether the judge is asked.
func (g *Gate) consults() bool { return g.Metric == Preference || g.Metric == Judged }

// counts says whether the measure is a share of rows, of which each is a hit or not.
func (g *Gate) counts() bool {
	switch g.Metric {
	case AUC, LogLoss, F1, Similarity, Perplexity, Preference:
		return false
	}
	return true
}

func (c *checker) needsText(at, what string) {
	if !speaksText(c.suite.Spec.Target.Dialect) {
		c.fail(at, "add target: {dialect: openai}", "%s needs the dialect openai or anthropic", what)
	}
}

// gateJudge checks what concerns the judge.
func (c *checker) gateJudge(at string, g *Gate) {
	if !g.consults() {
		if g.Rubric != "" || g.MinAgreement != nil {
			c.fail(at+".rubric", "use metric: preference or judged", "the judge is not asked about %s", g.Metric)
		}
		return
	}
	if c.suite.Spec.Judge == nil {
		c.fail(at+".metric", "add spec.judge: {url: ..., model: ...}", "%s needs a judge", g.Metric)
	}
	if strings.TrimSpace(g.Rubric) == "" || len(g.Rubric) > maxRubric {
		c.fail(at+".rubric", "say what makes an answer good", "%s needs a rubric of 1 to %d bytes", g.Metric, maxRubric)
	}
	if a := g.MinAgreement; a != nil && !(*a >= 0 && *a < 1) {
		c.fail(at+".minAgreement", "write a number like 0.5", "%g is not from 0 to below 1", *a)
	}
	switch {
	case g.Metric == Preference && (g.AtLeast != nil || g.AtMost != nil || !g.Parity.IsZero() || g.NoWorseThanLive.IsZero()):
		c.fail(at, "add noWorseThanLive: 5pp, and nothing else", "preference compares with live, and with nothing else")
	case g.Metric == Judged && !g.NoWorseThanLive.IsZero():
		c.fail(at+".noWorseThanLive", "use metric: preference", "judged is not compared in pairs")
	}
}

func (c *checker) gateLimits(at string, g *Gate, of *functionalCase) {
	if g.AtLeast == nil && g.AtMost == nil && g.Parity.IsZero() && g.NoWorseThanLive.IsZero() {
		c.fail(at, "add atLeast, atMost, parity or noWorseThanLive", "the gate asks for nothing")
	}
	for field, limit := range map[string]*float64{"atLeast": g.AtLeast, "atMost": g.AtMost} {
		if limit != nil && (*limit < 0 || *limit > 1 && g.Metric != LogLoss && g.Metric != Perplexity) {
			c.fail(at+"."+field, "write a number from 0 to 1, like 0.7", "%g is no %s", *limit, g.Metric)
		}
	}
	if g.AtLeast != nil && g.AtMost != nil && *g.AtLeast > *g.AtMost {
		c.fail(at+".atMost", "write atLeast below atMost", "nothing is at least %g and at most %g", *g.AtLeast, *g.AtMost)
	}
	binomial := g.counts()
	if m := g.Parity; !m.IsZero() {
		switch {
		case m.Unit != release.Points || m.Value <= 0 || m.Value > 100:
			c.fail(at+".parity", "write points, like 10pp", "%s is no number of points", m)
		case len(g.Slices) == 0:
			c.fail(at+".parity", "add slices: [{column: ...}]", "parity compares slices, and there are none")
		case !binomial:
			c.fail(at+".parity", "use rate, accuracy, sensitivity, specificity or precision", "parity is not judged for %s", g.Metric)
		}
	}
	c.marginOf(at, g)
	n := 0
	if of.table != nil {
		if n = of.rows; n == 0 {
			n = len(of.table.rows)
		}
	}
	if n > 0 && binomial && g.AtLeast != nil && *g.AtLeast <= 1 {
		alpha := 1 - defaultConfidence
		if g.Confidence >= 0.5 && g.Confidence < 1 {
			alpha = 1 - g.Confidence
		}
		if best := math.Pow(alpha, 1/float64(n)); best < *g.AtLeast {
			c.fail(at+".atLeast", "use more rows or a lower limit", "even %d of %d rows right would only show at least %.3f, so this gate can never pass", n, n, best)
		}
	}
}

// marginOf checks noWorseThanLive: points for shares and areas, the loss's own unit for logLoss.
func (c *checker) marginOf(at string, g *Gate) {
	m := g.NoWorseThanLive
	at += ".noWorseThanLive"
	switch {
	case m.IsZero():
	case g.Metric == F1 || g.Metric == Precision || g.Metric == Rate:
		c.fail(at, "use accuracy, sensitivity, specificity, auc or logLoss", "%s is not compared in pairs", g.Metric)
	case g.Metric == Perplexity:
		c.factor(at, m)
	case g.Metric == LogLoss && (m.Unit != release.Absolute || m.Value <= 0):
		c.fail(at, "write a number above 0, like 0.02", "%s is no difference of losses", m)
	case g.Metric == Judged: // gateJudge says so
	case g.Metric != LogLoss && (m.Unit != release.Points || m.Value <= 0 || m.Value > 100):
		c.fail(at, "write points above 0, like 2pp", "%s is no number of points", m)
	}
}

// gateData checks columns and labels.
func (c *checker) gateData(at string, g *Gate, of *functionalCase) {
	for i, s := range g.Slices {
		place := fmt.Sprintf("%s.slices[%d]", at, i)
		for j := 1; j < len(s.Cuts); j++ {
			if !(s.Cuts[j-1] < s.Cuts[j]) {
				c.fail(place+".cuts", "write them rising", "%g is not below %g", s.Cuts[j-1], s.Cuts[j])
			}
		}
		if of.table != nil && !of.table.has(s.Column) {
			c.fail(place+".column", "name a column of the data file", "there is no column %q", clean(s.Column, 40))
		}
	}
	if of.table == nil || g.Label == "" {
		return
	}
	if !of.table.has(g.Label) {
		c.fail(at+".label", "name a column of the data file", "there is no column %q", clean(g.Label, 40))
		return
	}
	seen := g.Positive == ""
	for i := range of.table.rows {
		text := asText(of.table.rows[i].values[g.Label])
		if text == "" {
			c.fail(at+".label", "give each row a label, or remove the row", "row %s has no %s", strconv.Itoa(i), clean(g.Label, 40))
			return
		}
		seen = seen || g.truth(text) == g.Positive
	}
	if !seen {
		c.fail(at+".positive", "write a value of the label, after map", "no row is %q", clean(g.Positive, 40))
	}
}

// truth is a label in the words of the answers.
func (g *Gate) truth(label string) string {
	if word, ok := g.Map[label]; ok {
		return word
	}
	return label
}
