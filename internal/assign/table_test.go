package assign

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sluice.dev/sluice/internal/release"
)

func mustTable(tb testing.TB, salt string, shares ...release.Share) *Table {
	tb.Helper()
	intervals, err := Reshape(Initial(), shares)
	if err != nil {
		tb.Fatal(err)
	}
	table, err := NewTable(salt, intervals)
	if err != nil {
		tb.Fatal(err)
	}
	return table
}

// The compiled lookup answers what the obvious one does, at and around every boundary.
func TestTableAgreesWithIntervals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		intervals := Initial()
		n := rapid.IntRange(1, release.MaxArms).Draw(t, "arms")
		for range rapid.IntRange(0, 5).Draw(t, "steps") {
			var err error
			if intervals, err = Reshape(intervals, drawShares(t, n, "share")); err != nil {
				t.Fatal(err)
			}
		}
		table, err := NewTable("salt", intervals)
		if err != nil {
			t.Fatal(err)
		}
		probes := []uint64{0, 1, math.MaxUint64, rapid.Uint64().Draw(t, "hash")}
		for _, iv := range intervals {
			probes = append(probes, iv.Last-1, iv.Last, iv.Last+1)
		}
		for _, h := range probes {
			if got, want := table.ArmOf(h), armOf(intervals, h); got != want {
				t.Fatalf("ArmOf(%d) = %d, want %d in %v", h, got, want, intervals)
			}
		}
		unit := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "unit")
		want := armOf(intervals, Hash("salt", unit))
		if a, b := table.Arm(unit), table.ArmString(string(unit)); a != want || b != want {
			t.Fatalf("Arm %d, ArmString %d, want %d", a, b, want)
		}
	})
}

func TestTableRefuses(t *testing.T) {
	if _, err := NewTable("a\x00b", Initial()); release.KindOf(err) != release.KindInvalid {
		t.Errorf("a salt with a zero byte: %v", err)
	}
	if _, err := NewTable("a", nil); release.KindOf(err) != release.KindInvalid {
		t.Errorf("no intervals: %v", err)
	}
}

// The share of real units on each arm is within five standard deviations of the binomial, for shares
// from a thousandth to nearly all. Units and salts are fixed, so the test can't flicker.
func TestShareIsRealised(t *testing.T) {
	const n = 200_000
	for _, s := range []release.Share{1_000, 10_000, 200_000, 500_000, 950_000} {
		for salt := range 3 {
			table := mustTable(t, fmt.Sprintf("credit/%d", salt), release.Whole-s, s)
			var got float64
			for i := range n {
				got += float64(table.ArmString(fmt.Sprintf("user-%d", i)))
			}
			p := float64(s) / float64(release.Whole)
			if sd := math.Sqrt(n * p * (1 - p)); math.Abs(got-n*p) > 5*sd {
				t.Errorf("share %v, salt %d: %v of %d units, expected %.0f +- %.0f", p, salt, got, n, n*p, sd)
			}
		}
	}
}

// Groups of two releases are independent, and so are arm, bin and mirror sample of one: chi-square of
// the joint table, its .999 quantile at 4 degrees of freedom (18.47) and at 15 (37.70).
func TestIndependence(t *testing.T) {
	const n = 90_000
	first := mustTable(t, "credit/1", 400_000, 300_000, 300_000)
	second := mustTable(t, "credit/2", 500_000, 250_000, 250_000)
	var arms [3][3]float64
	var bins [2][16]float64
	var mirror [3][2]float64
	for i := range n {
		unit := fmt.Appendf(nil, "u%d@example", i)
		a := first.Arm(unit)
		arms[a][second.Arm(unit)]++
		bins[min(a, 1)][Bin(unit)>>6]++
		m := 0
		if Hash("credit/1"+mirrorSuffix, unit) < Measure(300_000) {
			m = 1
		}
		mirror[a][m]++
	}
	check := func(name string, chi, limit float64) {
		if chi > limit {
			t.Errorf("%s: chi-square %.1f above %.1f", name, chi, limit)
		}
	}
	check("two releases", chiSquare(rows(arms[:])), 18.47)
	check("arm and partition", chiSquare(rows(bins[:])), 37.70)
	check("arm and mirror", chiSquare(rows(mirror[:])), 13.82) // 2 degrees of freedom
	if same := chiSquare([][]float64{{45_000, 0}, {0, 45_000}}); same < 1000 {
		t.Errorf("the check does not see dependence: %v", same)
	}
}

func rows[T [2]float64 | [3]float64 | [16]float64](in []T) [][]float64 {
	out := make([][]float64, len(in))
	for i, row := range in {
		switch r := any(row).(type) {
		case [2]float64:
			out[i] = r[:]
		case [3]float64:
			out[i] = r[:]
		case [16]float64:
			out[i] = r[:]
		}
	}
	return out
}

// chiSquare of independence of rows and columns.
func chiSquare(table [][]float64) float64 {
	row, col, n := make([]float64, len(table)), make([]float64, len(table[0])), 0.0
	for i := range table {
		for j, x := range table[i] {
			row[i], col[j], n = row[i]+x, col[j]+x, n+x
		}
	}
	var chi float64
	for i := range table {
		for j, x := range table[i] {
			e := row[i] * col[j] / n
			chi += (x - e) * (x - e) / e
		}
	}
	return chi
}

func TestHashSeparatesSaltFromUnit(t *testing.T) {
	if Hash("ab", "c") == Hash("a", "bc") {
		t.Error("salt and unit run together")
	}
	long := strings.Repeat("u", inline)
	if Hash("s", long) != Hash("s", []byte(long)) {
		t.Error("string and bytes differ")
	}
}

func TestAssignmentDoesNotAllocate(t *testing.T) {
	table := mustTable(t, "credit/1/5d1f0c2a", 800_000, 200_000)
	unit := []byte("3f2a9c1e-6f7b-4b57-9f5e-0d3b8a1c2e4f")
	if n := testing.AllocsPerRun(100, func() { table.Arm(unit); Bin(unit) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkArm(b *testing.B) {
	unit := []byte("3f2a9c1e-6f7b-4b57-9f5e-0d3b8a1c2e4f")
	many := []release.Share{300_000, 100_000, 100_000, 100_000, 100_000, 100_000, 100_000, 100_000}
	for _, c := range []struct {
		name   string
		shares []release.Share
	}{{"two", []release.Share{800_000, 200_000}}, {"eight", many}} {
		table := mustTable(b, "credit/1/5d1f0c2a", c.shares...)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				table.Arm(unit)
			}
		})
	}
}
