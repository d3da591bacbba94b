package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
)

func rowsOf(t *testing.T, only string, runs int) []row {
	t.Helper()
	var out []row
	for _, c := range pick(cells(), regexp.MustCompile(only)) {
		out = append(out, c.replicate(1, runs)...)
	}
	if len(out) == 0 {
		t.Fatalf("%q matches nothing", only)
	}
	return out
}

// TestAllCells runs every cell once. Each gives complete rows, and the ids that the acceptance figures name are all there.
func TestAllCells(t *testing.T) {
	ids := map[string]int{}
	names := map[string]bool{}
	for _, c := range cells() {
		if names[c.id+c.name] || c.reps < 500 {
			t.Errorf("%s %s: the name is not unique, or %d runs are too few", c.id, c.name, c.reps)
		}
		names[c.id+c.name] = true
		for _, r := range c.replicate(1, 1) {
			ids[r.ID]++
			if r.Scenario == "" || r.Measured == "" || r.Runs != 1 || math.IsNaN(r.Value) || (r.Verdict != "") != (r.Target != "") {
				t.Errorf("%+v", r)
			}
		}
	}
	for id, n := range map[string]int{
		"F1": 8, "F2": 8, "F3": 4, "F4": 6, "F5": 14, "F6": 54, "F7": 1, "F8": 2, "F9": 2, "F10": 2, "F11": 10, "F12": 5,
		"D1": 4, "D2": 2, "D3": 1, "D4": 2, "D5": 2, "D6": 2, "D7": 2, "D8": 2, "D9": 1, "D10": 4, "D11": 1, "D12": 4, "D13": 3, "D14": 5,
		"C1": 18 * 11, "N1": 1, "N2": 1, "N3": 1, "N4": 3, "N5": 1, "N6": 3, "N7": 5, "N8": 4,
	} {
		if ids[id] < n {
			t.Errorf("%s has %d rows, want at least %d", id, ids[id], n)
		}
	}
}

// TestPromisesHold measures some of the table with enough runs to see a broken promise: nothing may miss.
func TestPromisesHold(t *testing.T) {
	for only, runs := range map[string]int{
		"^F1 .*share 0.1,": 60, "^F3 .*0.5,": 60, "^F9": 60, "^F6 3000 users, Zipf 1.3, concentration (3|0.5),": 40, "^F8 10": 30, "^F5 3000.*5/25/50": 20,
		"^F12 R3": 40, "^N1": 40, "^N2": 60, "^N3": 15, "^N4": 20, "^N5": 30, "^D5": 300, "^D9": 300, "^D14": 60, "^F11.*(1.1x|1.25x),": 30,
	} {
		for _, r := range rowsOf(t, only, runs) {
			if strings.HasPrefix(r.Target, ">=") {
				r.Verdict = pass // .99 cannot be asked of so few runs
				if r.Value < .9 {
					r.Verdict = missed
				}
			}
			if r.Verdict == missed {
				t.Errorf("%+v", r)
			}
		}
	}
}

// TestOtherRulesFail: the comparison is worth nothing if what it warns of does not show.
func TestOtherRulesFail(t *testing.T) {
	for _, r := range rowsOf(t, `^C1 errors (0.8 -> 0.8|0.1 -> 0.5) %, 10000 requests/min$`, 40) {
		switch {
		case strings.HasPrefix(r.Scenario, "errors 0.8") && strings.HasSuffix(r.Scenario, "Argo, success >= 99 %, limit 3"):
			if r.Value < .9 {
				t.Errorf("a threshold of 99 %% rolls 0.8 %% back sooner or later: %+v", r)
			}
		case strings.HasPrefix(r.Scenario, "errors 0.1") && strings.HasSuffix(r.Scenario, "threshold 5"):
			if r.Value > .1 {
				t.Errorf("a threshold of 99 %% does not see 0.5 %%: %+v", r)
			}
		case strings.HasSuffix(r.Scenario, ": Sluice"):
			if r.Value > alarmLimit(alpha, 40) || r.Power != nil && *r.Power < .9 {
				t.Errorf("%+v", r)
			}
		}
	}
	c := pick(cells(), regexp.MustCompile("^F6 20000 users, Zipf 1.3, concentration 3, share 0.5"))[0]
	x := make(results, 60)
	for i := range x {
		x[i] = c.run(newChance(1, "per request", i))
	}
	if x.rate(4) < .2 || x.rate(3) > .15 {
		t.Errorf("users who come back: per request %.2f, per user %.2f", x.rate(4), x.rate(3))
	}
}

// TestSeeds: one seed gives one table, whatever else is made and on however many cores.
func TestSeeds(t *testing.T) {
	print := func(args ...string) string {
		var b bytes.Buffer
		if err := command(append([]string{"-runs", "8", "-o", "markdown"}, args...), &b, &b); err != nil && !errors.Is(err, errMissed) {
			t.Fatal(err)
		}
		return b.String()
	}
	both, one := print("-only", "^D5|^D6"), print("-only", "^D6")
	if !strings.Contains(both, strings.SplitN(one, "\n", 3)[2]) {
		t.Errorf("a row depends on its neighbours:\n%s\n%s", both, one)
	}
	if one == print("-only", "^D6", "-seed", "2") {
		t.Error("the seed changes nothing")
	}
}

// TestFrontierIsALookAfterEveryEvent compares walks that skip what cannot matter with walks that look after each event.
func TestFrontierIsALookAfterEveryEvent(t *testing.T) {
	for _, rho := range []float64{.5, .05, .97} {
		f := newFrontier(rho, 2, 400)
		least := make([]int, 401)
		for n := 1; n <= 400; n++ {
			least[n] = f.least(n, least[n-1])
		}
		for n := 1; n <= 400; n += 7 {
			if k := least[n]; k <= n && !f.crossed(n, k) || f.crossed(n, k-1) {
				t.Fatalf("share %g: %d of %d is not where it crosses", rho, k, n)
			}
		}
		var fast, slow float64
		const walks = 1500
		for i := range walks {
			fast += hit(!math.IsInf(f.first(newChance(1, "fast", i), rho), 1))
			c := newChance(1, "slow", i)
			for n, k := 1, 0; n <= 400; n++ {
				if k += int(hit(c.flip(rho))); k >= least[n] {
					slow++
					break
				}
			}
		}
		if d := math.Abs(fast-slow) / walks; d > .03 {
			t.Errorf("share %g: %g crossings, look by look %g", rho, fast/walks, slow/walks)
		}
	}
}

func TestDraws(t *testing.T) {
	c := newChance(1, "draws", 0)
	for _, tc := range []struct {
		n int
		p float64
	}{{20, .3}, {1000, .002}, {50, .97}, {5000, .4}} {
		const many = 20_000
		sum, squares := 0.0, 0.0
		for range many {
			k := float64(c.binomial(tc.n, tc.p))
			sum += k
			squares += k * k
		}
		mean, want := sum/many, float64(tc.n)*tc.p
		sd := math.Sqrt(want * (1 - tc.p))
		if math.Abs(mean-want) > 5*sd/math.Sqrt(many) || math.Abs(squares/many-mean*mean-sd*sd) > .06*sd*sd {
			t.Errorf("binomial(%d, %g): mean %g, variance %g", tc.n, tc.p, mean, squares/many-mean*mean)
		}
	}
	z := newZipf(5, 1)
	var seen [5]float64
	for range 50_000 {
		seen[z.draw(c)]++
	}
	for i := range seen {
		if want := 50_000 / (2.2833333 * float64(i+1)); math.Abs(seen[i]-want) > 5*math.Sqrt(want) {
			t.Errorf("user %d sent %g requests, want about %g", i, seen[i], want)
		}
	}
	sum := 0.0
	for range 2000 {
		sum += c.trials(10, .05)
	}
	if math.Abs(sum/2000-200) > 8 {
		t.Errorf("ten events of chance .05 take %g requests, want 200", sum/2000)
	}
}

func TestRowsJudge(t *testing.T) {
	runs := func(hits, n int, speaks float64) results {
		x := make(results, n)
		for i := range x {
			x[i] = result{hit(i < hits), hit(float64(i) < speaks*float64(n))}
		}
		return x
	}
	for _, tc := range []struct {
		hits   int
		speaks float64
		want   verdict
	}{{9, .9, pass}, {12, .9, missed}, {0, .3, silent}, {12, .3, missed}} {
		if r := alarm("F", "", runs(tc.hits, 100, tc.speaks), 0, alpha, -1, 1); r.Verdict != tc.want || *r.Power != tc.speaks {
			t.Errorf("%d alarms of 100, power %g: %s, want %s", tc.hits, tc.speaks, r.Verdict, tc.want)
		}
	}
	late := results{{3}, {1}, {2}, {math.Inf(1)}, {math.Inf(1)}}
	if r := delay("D", "", late, 0, "requests", 3, 1.5); r.Verdict != pass || r.Ratio != 2 {
		t.Errorf("the median of 1, 2, 3 and two that were not found is 3: %+v", r)
	}
	if r := delay("D", "", append(late, result{math.Inf(1)}), 0, "requests", 2, 0); r.Verdict != missed {
		t.Errorf("later than the target: %+v", r)
	}
}

func TestRulesAsATable(t *testing.T) {
	var b bytes.Buffer
	w := must(newWriter(&b, "markdown"))
	for _, r := range rowsOf(t, "^C1 errors 0.5 -> (1|5) %, 1000 requests", 2) {
		if err := w.row(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	head, last := lines[len(lines)-4], lines[len(lines)-1]
	if strings.Count(head, "|") != 13 || strings.Count(last, "|") != 13 || !strings.Contains(last, "0.5 -> 5 %") || !strings.HasSuffix(last, "pass; 0.000 |") {
		t.Error(b.String())
	}
}

func TestRulesOfOthers(t *testing.T) {
	ask := failures(3, math.MaxInt, func(m traffic) bool { return m.kB > .01*m.nB })
	for minute := 1; minute <= 4; minute++ {
		if got := ask(traffic{nB: 100, kB: 2}, traffic{}); (got == back) != (minute == 4) {
			t.Errorf("minute %d of bad ones: %v", minute, got)
		}
	}
	ask = failures(4, 2, func(m traffic) bool { return m.kB > 0 })
	if ask(traffic{}, traffic{}) != goOn || ask(traffic{}, traffic{}) != promote {
		t.Error("two good minutes promote")
	}
	k := kayenta{baseline: make([]float64, 20), canary: make([]float64, 20)}
	for i := range 20 {
		k.baseline[i], k.canary[i] = float64(i), float64(i)+30
	}
	if !k.high() {
		t.Error("a shift beyond all spread is high")
	}
	for i := range 20 { // most minutes without errors: the interval ends on zero, which is not above zero
		k.baseline[i], k.canary[i] = 0, hit(i < 9)
	}
	if k.high() || !must(stats.MannWhitney(k.canary, k.baseline)).HasP {
		t.Error("an interval that ends on the tolerance is not above it")
	}
}

// TestCrowdCountsAsATallyWould: sums by bin, units at their first event, windows.
func TestCrowdCountsAsATallyWould(t *testing.T) {
	h := &habit{activity: newZipf(50, 1), rates: []float64{.2}, concentration: 3, window: 40, event: []bool{true}}
	w := newCrowd(newWorld(newChance(1, "crowd", 0), errorsOf("errors", .2, points(2), none)), h)
	w.open(1, release.ExposureServe, .5, .5)
	w.send(2000, shift(0))
	first, units := uint64(0), uint64(0)
	for a := range w.stratum().Arms {
		v := &w.stratum().Arms[a]
		e := v.Metrics[0].Event
		first, units = first+e.First, units+v.Units
		n, y := 0.0, 0.0
		for b := range v.Metrics[0].N {
			n, y = n+v.Metrics[0].N[b], y+v.Metrics[0].Y[b]
		}
		if want := []float64{w.plain[0].kA, w.plain[0].kB}[a]; y != want || n != float64(v.Exposures) || e.First != e.Ever || v.NewUnits != v.Units || e.With > e.Closed {
			t.Errorf("arm %d: %g of %g, %+v", a, y, n, e)
		}
	}
	fired := uint64(0)
	for i := range w.people {
		fired += uint64(hit(w.people[i].fired[0]))
	}
	if first != fired || units > 50 || first == 0 {
		t.Errorf("%d first events of %d users who had one, %d units", first, fired, units)
	}
	w.open(2, release.ExposureServe, .5, .5)
	w.send(2000, shift(.1))
	for a := range w.stratum().Arms {
		if e := w.stratum().Arms[a].Metrics[0].Event; e.Ever >= e.First || w.stratum().Arms[a].NewUnits > w.stratum().Arms[a].Units {
			t.Errorf("second epoch, arm %d: %+v", a, e)
		}
	}
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	picture := filepath.Join(dir, "rows.svg")
	if err := command([]string{"-runs", "40", "-only", "^D9", "-o", "json", "-plot", picture}, &out, &out); err != nil && !errors.Is(err, errMissed) {
		t.Fatal(err)
	}
	var rows []row
	if err := json.Unmarshal(out.Bytes(), &rows); err != nil || len(rows) != 1 || rows[0].ID != "D9" || rows[0].Runs != 40 {
		t.Errorf("%v %+v", err, rows)
	}
	if data, err := os.ReadFile(picture); err != nil || !bytes.Contains(data, []byte("<svg")) {
		t.Errorf("no picture: %v", err)
	}
	before := filepath.Join(dir, "rows.json")
	if err := os.WriteFile(before, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := command([]string{"-o", "markdown", before}, &out, &out); err != nil && !errors.Is(err, errMissed) || !strings.Contains(out.String(), "| D9 |") {
		t.Errorf("%v: %s", err, out.String())
	}
	for _, args := range [][]string{{"-only", "("}, {filepath.Join(dir, "none.json")}, {picture}, {"-only", "nothing like it"}, {"-o", "xml"}, {"-runs", "-1"}, {"-only", "^D9", "-runs", "2", "-plot", "x.gif"}} {
		if err := command(args, &out, &out); err == nil || errors.Is(err, errMissed) {
			t.Errorf("%v is accepted", args)
		}
	}
}

func TestDriftedIsThatManyBits(t *testing.T) {
	live, _ := classShares()
	for _, bits := range []float64{.025, .05, .1} {
		if got := must(stats.Divergence(live, drifted(live, bits), 0)).JSBits; math.Abs(got-bits) > 1e-6 {
			t.Errorf("%g bits, want %g", got, bits)
		}
	}
	mean, variance := cappedLognormal(costSpread, costCap)
	c := newChance(1, "lognormal", 0)
	var m stats.Moments
	for range 400_000 {
		m.Add(math.Min(costCap, math.Exp(costSpread*c.NormFloat64())))
	}
	if v := must(m.Variance()); math.Abs(m.Mean-mean) > .03 || math.Abs(v-variance) > .03*variance {
		t.Errorf("mean %g and variance %g, want %g and %g", m.Mean, v, mean, variance)
	}
	if xs := geometric(10, 100, 2); !slices.Equal(xs, []int{10, 20, 40, 80, 100}) {
		t.Error(xs)
	}
}
