package credittraffic

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func newSource(tb testing.TB, cfg Config, rows int) *Source {
	tb.Helper()
	s, err := NewSource(cfg, rows)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func take(s *Source, n int) []Request {
	list := make([]Request, n)
	for i := range list {
		list[i] = s.Next()
	}
	return list
}

func TestSequenceDependsOnTheSeedAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{
			Seed:     rapid.Uint64().Draw(t, "seed"),
			Users:    rapid.IntRange(2, 300).Draw(t, "users"),
			NewShare: rapid.Float64Range(1e-6, 1).Draw(t, "new"),
			Tail:     rapid.Float64Range(.5, 10).Draw(t, "tail"),
		}
		sequence := func(cfg Config) []Request {
			s, err := NewSource(cfg, 1200)
			if err != nil {
				t.Fatal(err)
			}
			return take(s, 200)
		}
		first := sequence(cfg)
		if !slices.Equal(first, sequence(cfg)) {
			t.Fatal("the same seed gave another sequence")
		}
		cfg.Seed++
		if slices.Equal(first, sequence(cfg)) {
			t.Fatal("another seed gave the same sequence")
		}
	})
}

// TestPool checks against a plain list of the pool: new users have the next number, others are members.
func TestPool(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{
			Seed:     rapid.Uint64().Draw(t, "seed"),
			Users:    rapid.IntRange(2, 50).Draw(t, "users"),
			NewShare: rapid.Float64Range(.01, 1).Draw(t, "new"),
		}
		rows := rapid.IntRange(1, 5).Draw(t, "rows")
		s, err := NewSource(cfg, rows)
		if err != nil {
			t.Fatal(err)
		}
		var pool []uint64
		for u := range uint64(cfg.Users) {
			pool = append(pool, u)
		}
		for i, r := range take(s, 300) {
			if r.Row < 0 || r.Row >= rows {
				t.Fatalf("row %d of %d", r.Row, rows)
			}
			if r.New {
				if want := pool[len(pool)-1] + 1; r.User != want {
					t.Fatalf("request %d: new user %d, want %d", i, r.User, want)
				}
				pool = append(pool[1:], r.User)
			} else if !slices.Contains(pool, r.User) {
				t.Fatalf("request %d: user %d is not in the pool %v", i, r.User, pool)
			}
		}
	})
}

// TestSharesDoNotDrift looks at 200,000 requests of the defaults, as the demo makes them in 100 s. The seed is fixed,
// so the test cannot flicker; tolerances are 5 standard deviations.
func TestSharesDoNotDrift(t *testing.T) {
	const n, rows = 200_000, 1200
	s := newSource(t, Config{Seed: 1}, rows)
	var fresh [2]float64 // new users in the first and second half
	var perRow [rows]float64
	numbers := map[uint64]bool{}
	for i, r := range take(s, n) {
		perRow[r.Row]++
		if r.New {
			fresh[i*2/n]++
			numbers[r.User] = true
		}
	}
	share, half := s.Config().NewShare, float64(n)/2
	for i, got := range fresh {
		if sd := math.Sqrt(half * share * (1 - share)); math.Abs(got-half*share) > 5*sd {
			t.Errorf("half %d: %.0f new users, want %.0f +- %.0f", i, got, half*share, 5*sd)
		}
	}
	if float64(len(numbers)) != fresh[0]+fresh[1] {
		t.Errorf("%d numbers for %.0f new users", len(numbers), fresh[0]+fresh[1])
	}
	// Pearson's chi-squared with k degrees of freedom has mean k and variance 2k.
	const expected, k = float64(n) / rows, rows - 1.0
	chi2 := 0.0
	for _, c := range perRow {
		chi2 += (c - expected) * (c - expected) / expected
	}
	if math.Abs(chi2-k) > 5*math.Sqrt(2*k) {
		t.Errorf("rows: chi-squared %.0f with %.0f degrees of freedom", chi2, k)
	}
}

// activityOf counts the requests of each user, most active first.
func activityOf(list []Request) []int {
	perUser := map[uint64]int{}
	for _, r := range list {
		perUser[r.User]++
	}
	counts := slices.Collect(maps.Values(perUser))
	slices.SortFunc(counts, func(a, b int) int { return b - a })
	return counts
}

// TestAFewUsersMakeMuchOfTheTraffic compares the default tail with a thin one, in the figures that doc.go gives.
func TestAFewUsersMakeMuchOfTheTraffic(t *testing.T) {
	const n = 200_000
	for _, c := range []struct {
		tail                     float64
		topLow, topHigh          float64 // share of the requests that the most active hundredth makes
		mostLow, mostHigh, users int
	}{
		{tail: 1.3, topLow: .18, topHigh: .30, mostLow: 300, mostHigh: 1500, users: 55_000},
		{tail: 10, topLow: .01, topHigh: .05, mostLow: 5, mostHigh: 40, users: 60_000},
	} {
		counts := activityOf(take(newSource(t, Config{Seed: 1, Tail: c.tail}, 1200), n))
		top, squares, once := 0.0, 0.0, 0
		for i, v := range counts {
			if i < len(counts)/100 {
				top += float64(v) / n
			}
			if v == 1 {
				once++
			}
			squares += float64(v) * float64(v)
		}
		t.Logf("tail %.1f: %d users, %d of them asked once, most %d, top hundredth %.3f, effective users %.0f",
			c.tail, len(counts), once, counts[0], top, n*n/squares)
		if top < c.topLow || top > c.topHigh || counts[0] < c.mostLow || counts[0] > c.mostHigh || len(counts) < c.users {
			t.Errorf("tail %.1f: %d users, top hundredth %.3f, most %d; want %+v", c.tail, len(counts), top, counts[0], c)
		}
	}
}

// TestActivityIsHeavyTailed estimates the tail index of the drawn activities by maximum likelihood for a Pareto law
// cut at max (the plain Hill estimator, over the values below the cut, with the values at it as censored):
// index = number below the cut / sum of log activity. Its relative standard error is 1/sqrt(number).
func TestActivityIsHeavyTailed(t *testing.T) {
	for _, tail := range []float64{1.1, 1.3, 2} {
		s := newSource(t, Config{Seed: 3, Tail: tail}, 1)
		const n = 100_000
		below, logs := 0.0, 0.0
		for range n {
			a := float64(s.drawActivity()) / 1000
			if a < s.cfg.MaxActivity {
				below++
			}
			logs += math.Log(a)
		}
		if got := below / logs; math.Abs(got/tail-1) > 5/math.Sqrt(n)+.002 { // .002: thousandths are cut off
			t.Errorf("tail index %.4f, want %.1f", got, tail)
		}
	}
}

// TestRequestsFollowActivity lets nobody new in and compares how often each member asks with the weights.
func TestRequestsFollowActivity(t *testing.T) {
	s := newSource(t, Config{Seed: 5, Users: 50}, 1)
	s.cfg.NewShare = 0
	const n = 200_000
	asked := make([]float64, 50)
	sum := float64(s.activity.sum)
	for _, r := range take(s, n) {
		asked[r.User]++
	}
	for u, got := range asked {
		p := float64(s.activity.current[u]) / sum
		if sd := math.Sqrt(n * p * (1 - p)); math.Abs(got-n*p) > 5*sd {
			t.Errorf("user %d asked %.0f times, want %.0f +- %.0f", u, got, n*p, 5*sd)
		}
	}
}

// TestWeightsAgainstALinearScan compares the tree with its slow, obvious twin.
func TestWeightsAgainstALinearScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		tree, plain := newWeights(n), make([]uint64, n)
		for range 60 {
			i, w := rapid.IntRange(0, n-1).Draw(t, "i"), rapid.Uint64Range(0, 9).Draw(t, "w")
			tree.set(i, w)
			plain[i] = w
			var sum uint64
			for _, w := range plain {
				sum += w
			}
			if tree.sum != sum {
				t.Fatalf("sum %d, want %d", tree.sum, sum)
			}
			if sum == 0 {
				continue
			}
			x := rapid.Uint64Range(0, sum-1).Draw(t, "x")
			want, rest := 0, x
			for rest >= plain[want] {
				rest -= plain[want]
				want++
			}
			if got := tree.find(x); got != want {
				t.Fatalf("find(%d) = %d, want %d in %v", x, got, want, plain)
			}
		}
	})
}

func TestNewSourceRefuses(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		rows int
		want string
	}{
		{Config{Users: 1}, 1, "Users 1"},
		{Config{Users: -5}, 1, "Users -5"},
		{Config{NewShare: 1.1}, 1, "NewShare 1.1"},
		{Config{NewShare: math.NaN()}, 1, "NewShare NaN"},
		{Config{Tail: .1}, 1, "Tail 0.1"},
		{Config{MaxActivity: .5}, 1, "MaxActivity 0.5"},
		{Config{}, 0, "0 applicants"},
	} {
		if _, err := NewSource(c.cfg, c.rows); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want an error with %q", c.cfg, err, c.want)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	for _, users := range []int{20_000, 1_000_000} {
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			s := newSource(b, Config{Users: users}, 1200)
			b.ReportAllocs()
			for b.Loop() {
				s.Next()
			}
		})
	}
}
