package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
)

// row is one line of the table.
type row struct {
	ID       string   `json:"id"`
	Scenario string   `json:"scenario"`
	Runs     int      `json:"runs"`
	Measured string   `json:"measured"`
	Value    float64  `json:"value"`            // what is compared with Limit
	Target   string   `json:"target,omitempty"` // in words
	Limit    float64  `json:"limit"`
	Decided  *float64 `json:"decided,omitempty"` // false alarms: share of the same runs that ended with the right statement
	Power    *float64 `json:"power,omitempty"`   // share of runs with a harm of stated size in which it was shown
	Bound    float64  `json:"bound,omitempty"`   // delays: ln(1/alpha)/KL
	Ratio    float64  `json:"ratio,omitempty"`   // median over bound
	Verdict  verdict  `json:"verdict,omitempty"`
	Rule     *ruled   `json:"rule,omitempty"` // C1: what one of the compared rules did
}

// ruled is what a rule did in a scenario of C1: the shares of the runs that it rolled back and promoted, and the median minute of roll-backs.
type ruled struct {
	Name     string  `json:"name"`
	In       string  `json:"in"`
	Back     float64 `json:"back"`
	Minute   string  `json:"minute,omitempty"`
	Promoted float64 `json:"promoted"`
}

// verdict is how a row did against its target.
type verdict string

const (
	pass   verdict = "pass"
	silent verdict = "silent" // no false alarm, but hardly any statement either: that is no success
	missed verdict = "MISSED"
)

// alarmLimit is the largest rate that does not yet speak against level: 2.33 standard errors above it.
func alarmLimit(level float64, n int) float64 {
	return level + 2.33*math.Sqrt(level*(1-level)/float64(n))
}

// alarm makes a row of false alarms of column i. It passes only together with decided or power: which of the two the cell can have is
// given by their columns, -1 for none. A rule that would speak in less than half of the runs in which it should is called silent.
func alarm(id, scenario string, x results, i int, level float64, decided, power int) row {
	r := row{ID: id, Scenario: scenario, Value: x.rate(i), Limit: alarmLimit(level, len(x)), Verdict: missed}
	r.Measured = fmt.Sprintf("%.3f", r.Value)
	r.Target = fmt.Sprintf("<= %.3f", r.Limit)
	speaks := 0.0
	for _, p := range []struct {
		to  **float64
		col int
	}{{&r.Decided, decided}, {&r.Power, power}} {
		if p.col >= 0 {
			v := x.rate(p.col)
			*p.to = &v
			speaks = math.Max(speaks, v)
		}
	}
	switch {
	case r.Value > r.Limit:
	case speaks < 0.5:
		r.Verdict = silent
	default:
		r.Verdict = pass
	}
	return r
}

// delay makes a row of the delays in column i; target 0 judges nothing.
func delay(id, scenario string, x results, i int, unit string, target, bound float64) row {
	at := x.column(i)
	median, q90 := at[(len(at)-1)/2], at[int(0.9*float64(len(at)-1))]
	r := row{ID: id, Scenario: scenario, Value: finiteOr(median), Limit: target, Bound: bound}
	r.Measured = fmt.Sprintf("median %s %s, q90 %s", number(median), unit, number(q90))
	if bound > 0 && !math.IsInf(median, 1) {
		r.Ratio = median / bound
	}
	if target > 0 {
		r.Target, r.Verdict = "<= "+number(target), missed
		if median <= target {
			r.Verdict = pass
		}
	}
	return r
}

// least makes a row of a share that must be at least the limit.
func least(id, scenario string, x results, i int, limit float64) row {
	r := row{ID: id, Scenario: scenario, Value: x.rate(i), Limit: limit, Target: fmt.Sprintf(">= %g", limit), Verdict: missed}
	r.Measured = fmt.Sprintf("%.3f", r.Value)
	if r.Value >= limit {
		r.Verdict = pass
	}
	return r
}

// shown makes a row that is not judged.
func shown(id, scenario string, x results, i int) row {
	return row{ID: id, Scenario: scenario, Value: x.rate(i), Measured: fmt.Sprintf("%.3f", x.rate(i))}
}

// also adds a remark to what was measured.
func (r row) also(format string, args ...any) row {
	r.Measured += "; " + fmt.Sprintf(format, args...)
	return r
}

func finiteOr(x float64) float64 {
	if math.IsInf(x, 1) {
		return math.MaxFloat64
	}
	return x
}

func number(x float64) string {
	switch {
	case math.IsInf(x, 1):
		return "not found"
	case x == math.Trunc(x) || x >= 100:
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.3g", x)
}

// A writer prints rows as they come.
type writer interface {
	row(r row) error
	end() error
}

func newWriter(w io.Writer, format string) (writer, error) {
	switch format {
	case "table":
		return table{w}, nil
	case "markdown":
		_, err := fmt.Fprint(w, "| id | scenario | runs | measured | target | decided | power | bound | ratio | |\n|---|---|---|---|---|---|---|---|---|---|\n")
		return &markdown{w: w}, err
	case "json":
		return &list{w: w, rows: []row{}}, nil
	}
	return nil, fmt.Errorf("there is no format %q; use table, json or markdown", format)
}

func (r *row) cells() []string {
	share := func(p *float64) string {
		if p == nil {
			return ""
		}
		return fmt.Sprintf("%.2f", *p)
	}
	bound, ratio := "", ""
	if r.Bound > 0 {
		bound = number(math.Round(r.Bound))
	}
	if r.Ratio > 0 {
		ratio = fmt.Sprintf("%.2f", r.Ratio)
	}
	return []string{r.ID, r.Scenario, fmt.Sprint(r.Runs), r.Measured, r.Target, share(r.Decided), share(r.Power), bound, ratio, string(r.Verdict)}
}

// markdown prints rows, and C1 as a table of its own with a column per rule.
type markdown struct {
	w     io.Writer
	rules []row
}

func (m *markdown) row(r row) error {
	if r.Rule != nil {
		m.rules = append(m.rules, r)
		return nil
	}
	c := r.cells()
	if r.Verdict != "" && r.Verdict != pass {
		c[len(c)-1] = "**" + string(r.Verdict) + "**"
	}
	_, err := fmt.Fprintf(m.w, "| %s |\n", strings.Join(c, " | "))
	return err
}

func (m *markdown) end() error {
	if len(m.rules) == 0 {
		return nil
	}
	var lines []string
	first, scenario := m.rules[0].Rule.In, ""
	head, dashes := "| C1: scenario |", "|---|"
	for _, r := range m.rules {
		if r.Rule.In == first {
			head += " " + r.Rule.Name + " |"
			dashes += "---|"
		}
		if r.Rule.In != scenario {
			scenario = r.Rule.In
			lines = append(lines, "| "+scenario+" |")
		}
		at := ""
		if r.Rule.Minute != "" {
			at = " @" + r.Rule.Minute
		}
		if r.Verdict != "" {
			at += ", " + string(r.Verdict)
		}
		lines[len(lines)-1] += fmt.Sprintf(" %.3f%s; %.3f |", r.Rule.Back, at, r.Rule.Promoted)
	}
	_, err := fmt.Fprintf(m.w, "\n%s\n%s\n%s\n", head, dashes, strings.Join(lines, "\n"))
	return err
}

type table struct{ w io.Writer }

func (t table) row(r row) error {
	c := r.cells()
	text := fmt.Sprintf("%-4s %-7s %-78s %s", c[0], c[9], c[1], c[3])
	for i, name := range []string{4: "target", 5: "decided", 6: "power", 7: "bound", 8: "ratio"} {
		if name != "" && c[i] != "" {
			text += fmt.Sprintf("  %s %s", name, c[i])
		}
	}
	_, err := fmt.Fprintln(t.w, text)
	return err
}

func (t table) end() error { return nil }

type list struct {
	w    io.Writer
	rows []row
}

func (l *list) row(r row) error {
	l.rows = append(l.rows, r)
	return nil
}

// readRows reads what earlier runs printed with -o json.
func readRows(files []string) (rows []row, err error) {
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var part []row
		if err := json.Unmarshal(data, &part); err != nil {
			return nil, fmt.Errorf("%s: %w; want what -o json printed", name, err)
		}
		rows = append(rows, part...)
	}
	return rows, nil
}

func (l *list) end() error {
	e := json.NewEncoder(l.w)
	e.SetIndent("", "  ")
	return e.Encode(l.rows)
}
