package cli

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
)

var numbers = message.NewPrinter(language.English)

// thousands writes a count with separators.
func thousands[N uint64 | int | int64](n N) string { return numbers.Sprintf("%d", n) }

// count writes a number of things whose plural ends in s.
func count[N uint64 | int | int64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return thousands(n) + " " + thing + "s"
}

// view draws a release: the way as one bar per step, what it waits for, what would take it back, and
// the evidence so far. Lines are at most width wide.
func (e *env) view(r api.Release, width int) string {
	width = max(60, min(width, 160))
	var b strings.Builder
	fmt.Fprintf(&b, "%s  release %d  %s → %s   %s at %s   %s\n", e.paint(bold, r.Model), r.Number, r.Live, e.paint(bold, r.Candidate),
		e.paint(phaseColor(r.Phase), string(r.Phase)), e.paint(bold, r.Share.String()), seconds(r.Duration))
	for _, s := range r.Steps {
		b.WriteString(e.stepLine(r, s))
	}
	e.explain(&b, r, width)
	e.watched(&b, r, width)
	e.tested(&b, r, width)
	if len(r.Verdicts) > 0 {
		b.WriteString(e.evidence(r, width))
	}
	return b.String()
}

// watched is what the standing watch sees since the release succeeded.
func (e *env) watched(b *strings.Builder, r api.Release, width int) {
	if r.Watch == nil {
		return
	}
	lines := []string{r.Watch.Reason}
	color := faint
	if a := r.Watch.Alarm; a != nil {
		color = bad
		lines = []string{fmt.Sprintf("alarm %d at %s: %s", a.Number, a.Time.UTC().Format("2006-01-02 15:04 UTC"), a.Reason), "since then: " + r.Watch.Reason}
	}
	head := "watch"
	for _, text := range lines {
		for _, part := range wrap(text, width-13) {
			fmt.Fprintf(b, "  %s %s\n", e.paint(color, fmt.Sprintf("%-9s", head)), part)
			head = ""
		}
	}
}

// tested is what the test step found, and how to see all of it.
func (e *env) tested(b *strings.Builder, r api.Release, width int) {
	if r.Test == nil {
		return
	}
	color := good
	if !r.Test.Passed {
		color = bad
	}
	head := "tests"
	for _, part := range wrap(r.Test.Summary, width-13) {
		fmt.Fprintf(b, "  %s %s\n", e.paint(color, fmt.Sprintf("%-9s", head)), part)
		head = ""
	}
	if r.Test.Report != "" {
		fmt.Fprintf(b, "  %-9s %s\n", "", e.paint(faint, fmt.Sprintf("sluice get %s %d --tests", r.Model, r.Number)))
	}
}

func phaseColor(p rollout.Phase) string {
	switch p {
	case rollout.Succeeded, rollout.Undone:
		return good
	case rollout.RolledBack, rollout.Stopped:
		return bad
	case rollout.Paused:
		return wait
	default:
		return ""
	}
}

const barWidth = 20

// stepLine is one step: mark, name, share, bar, and what the bar is about.
func (e *env) stepLine(r api.Release, s rollout.StepProgress) string {
	mark, color := "·", faint
	fraction := 0.0
	switch s.Place {
	case rollout.Future:
	case rollout.Past:
		mark, color, fraction = "✔", good, 1
	case rollout.Now:
		mark, color, fraction = "▶", bold, fractionOf(s)
		if r.Phase == rollout.RolledBack || r.Phase == rollout.Stopped {
			mark, color = "✖", bad
		}
		if r.Phase == rollout.Paused {
			mark, color = "‖", wait
		}
	}
	share := ""
	if s.Stages > 0 || s.Kind == release.StepProduction {
		share = s.Share.String()
	}
	if s.Stages > 1 {
		share += fmt.Sprintf(" %d/%d", s.Stage, s.Stages)
	}
	full := int(fraction*barWidth + 0.5)
	bar := strings.Repeat("█", full) + strings.Repeat("░", barWidth-full)
	return fmt.Sprintf("  %s %-10s %-8s %s %s\n", e.paint(color, mark), s.Kind, share, e.paint(color, bar), e.paint(faint, stepNote(r, s)))
}

// fractionOf is how much of what a step asks for is there: the least of time and evidence.
func fractionOf(s rollout.StepProgress) float64 {
	f := s.Evidence
	if s.Hold > 0 {
		held := min(1, s.Served.Seconds()/s.Hold.Seconds())
		if s.Kind == release.StepProduction || s.Kind == release.StepPause {
			return held
		}
		f = min(f, held)
	}
	return f
}

func stepNote(r api.Release, s rollout.StepProgress) string {
	if s.Place != rollout.Now || r.Phase.Ended() {
		return ""
	}
	var parts []string
	if s.Hold > 0 {
		parts = append(parts, fmt.Sprintf("%s of %s", round(s.Served), round(s.Hold)))
	} else if s.Served > 0 {
		parts = append(parts, round(s.Served))
	}
	switch {
	case s.Kind == release.StepShadow:
		parts = append(parts, fmt.Sprintf("%s pairs, %s scored", thousands(r.Pairs), thousands(r.Scored)))
	case len(r.Exposures) > 1 && s.Share > 0:
		parts = append(parts, fmt.Sprintf("%s requests against %s", thousands(r.Exposures[1]), thousands(r.Exposures[0])))
	}
	if s.Evidence > 0 && s.Evidence < 1 {
		parts = append(parts, fmt.Sprintf("evidence %.0f %%", 100*s.Evidence))
	}
	return strings.Join(parts, ", ")
}

func round(d time.Duration) string {
	if d < time.Minute {
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Second).String(), "0s")
}

func (e *env) explain(b *strings.Builder, r api.Release, width int) {
	line := func(color, head, text string) {
		if text != "" {
			fmt.Fprintf(b, "  %s %s\n", e.paint(color, fmt.Sprintf("%-9s", head)), short(text, width-13))
		}
	}
	if r.Phase.Ended() {
		head := "because"
		for _, part := range wrap(r.Reason, width-13) {
			line(phaseColor(r.Phase), head, part)
			head = ""
		}
		return
	}
	for i, w := range r.Explain.Waiting {
		head := "waits for"
		if i > 0 {
			head = ""
		}
		if i == 3 {
			line(wait, head, fmt.Sprintf("and %d more", len(r.Explain.Waiting)-i))
			break
		}
		line(wait, head, w)
	}
	line("", "then", r.Explain.Next)
	line("", "or else", r.Explain.Deadline)
	for i, w := range r.Explain.Withdraw {
		head := "taken back if"
		if i > 0 {
			head = ""
		}
		fmt.Fprintf(b, "  %s %s\n", e.paint(bad, fmt.Sprintf("%-13s", head)), short(w, width-17))
	}
}

// wrap breaks a text at spaces into lines of at most n runes; a longer word is a line of its own.
func wrap(text string, n int) []string {
	var lines []string
	for _, word := range strings.Fields(text) {
		last := len(lines) - 1
		if last >= 0 && utf8.RuneCountInString(lines[last])+1+utf8.RuneCountInString(word) <= n {
			lines[last] += " " + word
			continue
		}
		lines = append(lines, word)
	}
	return lines
}

// evidence is a table of verdicts with an interval drawn against zero and the margin.
func (e *env) evidence(r api.Release, width int) string {
	var b strings.Builder
	for _, v := range r.Verdicts {
		fmt.Fprintf(&b, "  %s %-10s %s\n", e.paint(stateColor(v.State), fmt.Sprintf("%-11s", v.State)), v.Metric, short(strings.TrimPrefix(v.Reason, v.Metric+": "), width-26))
	}
	return b.String()
}

func stateColor(s judge.State) string {
	switch s {
	case judge.Better, judge.NoWorse:
		return good
	case judge.Worse:
		return bad
	default:
		return wait
	}
}
