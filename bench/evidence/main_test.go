package main

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

// TestReport runs every cell with few runs: each prints its rows, the same seed gives the same table, and the false-alarm
// rows of Sluice hold.
func TestReport(t *testing.T) {
	var a, b bytes.Buffer
	report(&a, 3, 7, "D5")
	report(&b, 3, 7, "D5")
	if a.String() != b.String() || strings.Count(a.String(), "| D5 |") != 2 {
		t.Errorf("one seed, two tables:\n%s\n%s", a.String(), b.String())
	}
	for _, c := range cells() {
		for _, r := range c.run(newChance(1, 1), 2) {
			if r.id == "" || r.measured == "" || (r.judged && r.target == "") || math.IsNaN(r.ratio) {
				t.Errorf("%s: row %+v", c.id, r)
			}
		}
	}
}

func TestRowsJudge(t *testing.T) {
	if r := rate("F", "", 9, 100, .05); !r.pass {
		t.Errorf(".09 of 100 is within 2.33 standard errors of .05: %+v", r)
	}
	if r := rate("F", "", 12, 100, .05); r.pass {
		t.Errorf(".12 of 100 is not: %+v", r)
	}
	if r := delay("D", "", []int{3, 1, 2}, 2, "requests", 3, 1.5); !r.pass || r.ratio != 2 {
		t.Errorf("median of 1, 2, 3 and two not found is 3: %+v", r)
	}
	if r := delay("D", "", []int{3}, 4, "requests", 3, 0); r.pass {
		t.Errorf("most runs found nothing: %+v", r)
	}
	if f := failures(3, math.MaxInt); !f(traffic{nB: 100, kB: 2}, traffic{}) {
		for range 2 {
			f(traffic{nB: 100, kB: 2}, traffic{})
		}
		if !f(traffic{nB: 100, kB: 2}, traffic{}) {
			t.Error("four bad minutes are more than three")
		}
	}
}
