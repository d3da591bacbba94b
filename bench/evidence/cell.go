package main

import (
	"math"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

const alpha = 0.05

var want = -math.Log(alpha)

// cell is one scenario: many replications of run, each with draws of its own, and what their results are as rows of the table.
type cell struct {
	id, name string // name is unique: it seeds the draws
	reps     int    // replications that the acceptance figures ask for
	run      func(c chance) result
	rows     func(x results) []row
}

// result is what one replication gave: 1 or 0 for "it happened", or a delay, +Inf if it never came.
type result []float64

type results []result

// rate is the share of replications in which column i is not zero.
func (x results) rate(i int) float64 {
	n := 0
	for _, r := range x {
		if r[i] != 0 {
			n++
		}
	}
	return float64(n) / float64(len(x))
}

// column returns column i, ascending.
func (x results) column(i int) []float64 {
	out := make([]float64, 0, len(x))
	for _, r := range x {
		out = append(out, r[i])
	}
	slices.Sort(out)
	return out
}

func (x results) mean(i int) float64 {
	sum := 0.0
	for _, r := range x {
		sum += r[i]
	}
	return sum / float64(len(x))
}

// replicate runs a cell on all cores. runs = 0 takes the cell's own number.
func (c *cell) replicate(seed uint64, runs int) []row {
	if runs == 0 {
		runs = c.reps
	}
	out := make(results, runs)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runs, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < runs; i = int(next.Add(1)) - 1 {
				out[i] = c.run(newChance(seed, c.id+" "+c.name, i))
			}
		})
	}
	wg.Wait()
	rows := c.rows(out)
	for i := range rows {
		rows[i].Runs = runs
	}
	return rows
}

// pick returns the cells whose id and name, "F6 3000 users, ...", match.
func pick(all []cell, only *regexp.Regexp) []cell {
	return slices.DeleteFunc(all, func(c cell) bool { return only != nil && !only.MatchString(c.id+" "+c.name) })
}

func hit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// must is for formulas whose arguments are inside their domain by construction.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// geometric lists looks from first to last, each at least 1 and about the factor further than the one before.
func geometric(first, last int, factor float64) []int {
	var out []int
	for n := first; n < last; n = max(n+1, int(float64(n)*factor)) {
		out = append(out, n)
	}
	return append(out, last)
}

// even lists looks that are step apart.
func even(step, last int) []int {
	var out []int
	for n := step; n <= last; n += step {
		out = append(out, n)
	}
	return out
}
