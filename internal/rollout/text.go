package rollout

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
)

// words for what is to be shown.
var words = map[judge.State]string{judge.NoWorse: "no worse", judge.Better: "better"}

// title names a release: "credit/3 (v1 to v2)".
func title(s *State) string {
	return fmt.Sprintf("%s/%d (%s to %s)", s.Model, s.Number, s.Live, s.Candidate)
}

// verdictText is the verdict's own sentence, under its metric's name.
func verdictText(v judge.Verdict) string {
	text := orWord(v.Reason, string(v.State))
	if strings.HasPrefix(text, v.Metric) {
		return text
	}
	return v.Metric + ": " + text
}

// because adds what a verdict says and what it still needs.
func because(v judge.Verdict) string {
	text := " (" + string(v.State)
	if v.Reason != "" {
		text += ": " + v.Reason
	}
	if v.Needs != nil && v.Needs.Text != "" {
		text += "; needs " + v.Needs.Text
	}
	return text + ")"
}

// harmText names the harm with the sentences of its verdicts and the numbers behind them.
func harmText(a *judge.Assessment, names []string) string {
	var parts []string
	for _, v := range a.Verdicts {
		if v.Harm && contains(names, v.Metric) {
			text := verdictText(v)
			if !strings.Contains(text, " exposures") { // the judge's sentences name them themselves
				text += fmt.Sprintf(" (%s and %s exposures)", count(v.Candidate.Exposures), count(v.Live.Exposures))
			}
			parts = append(parts, text)
		}
	}
	if len(parts) == 0 {
		parts = names
	}
	return "harm is shown: " + sentence(parts)
}

func baselineText(b *release.Baseline) string {
	if len(b.Metrics) == 0 {
		return "no metric needs one"
	}
	parts := make([]string, 0, len(b.Metrics))
	for metric, m := range b.Metrics {
		parts = append(parts, fmt.Sprintf("%s from %s observations", metric, count(m.N)))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func approvers(a *release.ApprovalStep) string {
	switch {
	case a == nil || len(a.By) == 0 && !a.SecondPerson:
		return "a person"
	case len(a.By) == 0:
		return "a second person"
	case a.SecondPerson:
		return "one of " + list(a.By) + ", a second person"
	}
	return "one of " + list(a.By)
}

// span writes a duration of a clock, to the second: "1h30m", "45s".
func span(d time.Duration) string {
	if d >= time.Second {
		d = d.Truncate(time.Second)
	} else {
		d = d.Truncate(10 * time.Millisecond)
	}
	return release.Duration(d).String()
}

// count writes a number with its thousands apart.
func count(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func counts(units []uint64) string {
	parts := make([]string, len(units))
	for i, n := range units {
		parts[i] = count(n)
	}
	return strings.Join(parts, " and ")
}

func sentence(parts []string) string { return strings.Join(parts, "; ") }

func list[S ~string](words []S) string {
	if len(words) == 0 {
		return "nothing"
	}
	parts := make([]string, len(words))
	for i, w := range words {
		parts[i] = string(w)
	}
	return strings.Join(parts, ", ")
}

func contains(list []string, s string) bool { return slices.Contains(list, s) }

func orWord(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
