// Command evidence measures what the statistics of Sluice promise, and how long they take, on synthetic data: false alarms of identical
// versions, delays until harm is shown, and the rules of other tools beside them.
//
//	go run ./bench/evidence                          the whole table, with the replications of the acceptance figures
//	go run ./bench/evidence -runs 20 -only '^F6'     some of it, quickly
//	go run ./bench/evidence -o markdown a.json b.json   rows that were measured before, in parts, with -o json
//
// Where a rule for users who come back is what is measured, the real judge (and tally) decide; where a cell is about an engine, the functions of
// package stats do. The same flags give the same rows on every machine of one architecture, whatever the number of cores and
// whichever other rows are made.
//
// A false-alarm row passes if its rate is at most alpha + 2.33 standard errors and the same rule speaks where it should: decided is the share
// of the runs without harm that ended with the right statement, power the share of runs with harm in which it was found. If both are
// below one half the row is called silent. A delay row passes if its median is at most its target; bound is ln(1/alpha)/KL,
// the mean number of requests below which no test of that level can be that knows the alternative and looks at every request;
// ratio is the median over the bound. The exit code is 2 if a judged row misses its target.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
)

var errMissed = errors.New("a judged row missed its target")

func main() {
	switch err := command(os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errMissed):
		fmt.Fprintln(os.Stderr, "evidence:", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "evidence:", err)
		os.Exit(1)
	}
}

func command(args []string, stdout, stderr io.Writer) error {
	f := flag.NewFlagSet("evidence", flag.ContinueOnError)
	f.SetOutput(stderr)
	runs := f.Int("runs", 0, "replications per cell; 0: as many as the acceptance figures ask for, 500 to 2000")
	seed := f.Uint64("seed", 1, "seed of all draws")
	only := f.String("only", "", "a regular expression: only cells whose id and name match, for instance '^F6 .*3000 users'")
	format := f.String("o", "table", "output: table, json or markdown")
	picture := f.String("plot", "", "also draw how far each judged row is from its target, into this .png or .svg file")
	if err := f.Parse(args); err != nil {
		return err
	}
	var match *regexp.Regexp
	if *only != "" {
		var err error
		if match, err = regexp.Compile(*only); err != nil {
			return fmt.Errorf("-only: %w", err)
		}
	}
	if *runs < 0 {
		return errors.New("-runs must be at least 0")
	}
	picked := pick(cells(), match)
	if len(picked) == 0 {
		return fmt.Errorf("-only %q matches no cell", *only)
	}
	w, err := newWriter(stdout, *format)
	if err != nil {
		return err
	}
	var rows []row
	if f.NArg() > 0 {
		rows, err = reprint(w, f.Args())
	} else {
		rows, err = report(w, picked, *seed, *runs)
	}
	if err == nil && *picture != "" {
		err = plotRows(*picture, rows)
	}
	if err != nil {
		return err
	}
	for _, r := range rows {
		if r.Verdict == missed {
			return errMissed
		}
	}
	return nil
}

// report measures and prints cell by cell.
func report(w writer, picked []cell, seed uint64, runs int) (rows []row, err error) {
	for i := range picked {
		for _, r := range picked[i].replicate(seed, runs) {
			rows = append(rows, r)
			if err := w.row(r); err != nil {
				return nil, err
			}
		}
	}
	return rows, w.end()
}

// reprint prints rows that were measured before.
func reprint(w writer, files []string) ([]row, error) {
	rows, err := readRows(files)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if err := w.row(r); err != nil {
			return nil, err
		}
	}
	return rows, w.end()
}

// cells lists everything in the order of the table.
func cells() []cell {
	var all []cell
	for _, group := range [][]cell{
		engineAlarms(), engineDelays(), userAlarms(), judgedCells(), foldedCells(), shadowCells(), watchCells(), budgetCells(), comparisons(),
	} {
		all = append(all, group...)
	}
	return all
}
