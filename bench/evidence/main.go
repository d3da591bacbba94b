// Command evidence measures the promises and the delays of the statistical engines on synthetic data: false alarms of identical versions,
// delays until harm is shown, and threshold rules beside them. It prints a Markdown table. The same flags give the same
// table on every machine of one architecture.
//
//	go run ./bench/evidence -runs 200
//
// A false-alarm cell passes if its rate is at most alpha + 2.33 standard errors; a delay cell if its median is at most its target.
// "bound" is ln(1/alpha)/KL, the number of requests below which no test of that level can be on average when it knows the
// alternative and may look at every request; "ratio" is the median over the bound.
package main

import (
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
)

func main() {
	runs := flag.Int("runs", 200, "replications per cell")
	seed := flag.Uint64("seed", 1, "seed of all cells")
	only := flag.String("cell", "", "run the cells of this id alone, for instance F6")
	flag.Parse()
	if *runs < 2 {
		fmt.Fprintln(os.Stderr, "evidence: -runs must be at least 2")
		os.Exit(1)
	}
	if !report(os.Stdout, *runs, *seed, *only) {
		os.Exit(2)
	}
}

const alpha = 0.05

// row is one line of the table.
type row struct {
	id, scenario string
	measured     string
	target       string
	bound, ratio float64 // 0: none
	pass, judged bool
}

// cell measures one or more rows.
type cell struct {
	id  string
	run func(c chance, runs int) []row
}

func cells() []cell {
	return []cell{
		{"F1", labelAA},
		{"F3", mixtureAA},
		{"F6", returningUsers},
		{"F10", ratioAA},
		{"F12", falseNoWorse},
		{"D1", func(c chance, n int) []row {
			return []row{
				eventDelay(c, n, "D1", .01, .02, .5, 4700), eventDelay(c, n, "D1", .01, .02, .1, 12000),
				eventDelay(c, n, "D1", .01, .02, .05, 23000),
			}
		}},
		{"D2", func(c chance, n int) []row {
			return []row{eventDelay(c, n, "D2", .01, .015, .5, 13300), eventDelay(c, n, "D2", .01, .015, .1, 37800)}
		}},
		{"D5", func(c chance, n int) []row {
			return []row{eventDelay(c, n, "D5", .005, .05, .05, 2750), eventDelay(c, n, "D5", .01, .5, .01, 1080)}
		}},
		{"D6", func(c chance, n int) []row {
			return []row{shareDelay(c, n, .6, .57, .5, 7500), shareDelay(c, n, .6, .57, .1, 21900)}
		}},
		{"D9", pairsDelay},
		{"D11", ratioDelay},
		{"D13", watchDelay},
		{"C1", rules},
	}
}

// report prints the table and says whether every judged row passed.
func report(w io.Writer, runs int, seed uint64, only string) bool {
	fmt.Fprintf(w, "%d runs per cell, seed %d.\n\n", runs, seed)
	fmt.Fprintln(w, "| id | scenario | measured | target | bound | ratio | |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|")
	all := true
	for i, c := range cells() {
		if only != "" && c.id != only {
			continue
		}
		for _, r := range c.run(newChance(seed, uint64(i)), runs) {
			bound, ratio, verdict := "", "", ""
			if r.bound > 0 {
				bound, ratio = fmt.Sprintf("%.0f", r.bound), fmt.Sprintf("%.2f", r.ratio)
			}
			if r.judged {
				verdict = "pass"
				if !r.pass {
					verdict, all = "**MISSED**", false
				}
			}
			fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s |\n", r.id, r.scenario, r.measured, r.target, bound, ratio, verdict)
		}
	}
	return all
}

// rate makes a row of a false-alarm cell.
func rate(id, scenario string, hits, n int, level float64) row {
	limit := level + 2.33*math.Sqrt(level*(1-level)/float64(n))
	got := float64(hits) / float64(n)
	return row{
		id: id, scenario: scenario, measured: fmt.Sprintf("%.3f", got), target: fmt.Sprintf("<= %.3f", limit),
		pass: got <= limit, judged: true,
	}
}

// delay makes a row of a delay cell. never counts runs without detection: they are the slowest.
func delay(id, scenario string, at []int, never int, unit string, target, bound float64) row {
	for range never {
		at = append(at, math.MaxInt)
	}
	slices.Sort(at)
	median := float64(at[(len(at)-1)/2])
	r := row{id: id, scenario: scenario, target: fmt.Sprintf("<= %.0f", target), bound: bound, pass: median <= target, judged: true}
	r.measured = fmt.Sprintf("median %.0f %s, q90 %s", median, unit, quantile(at, 0.9))
	if bound > 0 {
		r.ratio = median / bound
	}
	return r
}

func quantile(sorted []int, q float64) string {
	x := sorted[int(q*float64(len(sorted)-1))]
	if x == math.MaxInt {
		return "not found"
	}
	return fmt.Sprint(x)
}
