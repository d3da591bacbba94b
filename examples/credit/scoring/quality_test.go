package scoring_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"sluice.dev/sluice/examples/credit"
	"sluice.dev/sluice/examples/credit/scoring"
)

// quality is what a version does on the 1,200 held-out applicants.
type quality struct {
	auc           float64 // of P(bad)
	accuracy      float64 // of the decisions
	approves      float64 // share
	approvesYoung float64 // share among the applicants under 30
}

func TestQualityOnTheHeldOutApplicants(t *testing.T) {
	want := map[string]quality{
		"v1": {auc: .730, accuracy: .693, approves: .63, approvesYoung: .53},
		"v2": {auc: .856, accuracy: .812, approves: .68, approvesYoung: .63},
		"v3": {auc: .797, accuracy: .561, approves: .33, approvesYoung: .29},
	}
	list := applicants(t)
	for _, version := range credit.Versions() {
		got, w := measure(list, scores(t, version, list)), want[version]
		near(t, version+" AUC", got.auc, w.auc, .0005)
		// .6925 and .8125 lie midway between two figures of three digits, hence the hair more than half a unit.
		near(t, version+" accuracy", got.accuracy, w.accuracy, .000501)
		near(t, version+" approves", got.approves, w.approves, .005)
		near(t, version+" approves of the under-30s", got.approvesYoung, w.approvesYoung, .005)
	}
}

// TestHowVersionsDiffer holds the figures that the demo's plan builds on.
func TestHowVersionsDiffer(t *testing.T) {
	list := applicants(t)
	v1, v2, v3 := scores(t, "v1", list), scores(t, "v2", list), scores(t, "v3", list)
	for _, c := range []struct {
		name                  string
		a, b                  []float64
		bits, onlyA, onlyB    float64
		bitsDigits, shareSlip float64
	}{
		{"v2 against v1", v2, v1, .002, .20, .08, .0005, .005},
		{"v2 against v3", v2, v3, .090, .31, .06, .0005, .005},
	} {
		near(t, c.name+": divergence in bits", divergence(approval(c.a), approval(c.b)), c.bits, c.bitsDigits)
		near(t, c.name+": right alone", rightAlone(list, c.a, c.b), c.onlyA, c.shareSlip)
		near(t, c.name+": wrong alone", rightAlone(list, c.b, c.a), c.onlyB, c.shareSlip)
	}
}

// TestGoodPayersDenied holds the figures by which README.md tells what v3 does to people.
func TestGoodPayersDenied(t *testing.T) {
	list := applicants(t)
	for version, want := range map[string]struct{ all, young float64 }{"v2": {.16, .22}, "v3": {.57, .63}} {
		var all, young []float64
		for i, p := range scores(t, version, list) {
			if !list[i].Good {
				continue
			}
			all = append(all, p)
			if list[i].AgeBand() == credit.Under30 {
				young = append(young, p)
			}
		}
		near(t, version+" denies good payers", 1-approval(all), want.all, .005)
		near(t, version+" denies good payers under 30", 1-approval(young), want.young, .005)
	}
}

func measure(list []credit.Applicant, p []float64) quality {
	q := quality{auc: auc(list, p), approves: approval(p)}
	var young []float64
	for i, a := range list {
		if scoring.Decide(p[i]) == a.Outcome() {
			q.accuracy += 1 / float64(len(list))
		}
		if a.AgeBand() == credit.Under30 {
			young = append(young, p[i])
		}
	}
	q.approvesYoung = approval(young)
	return q
}

// auc is the share of (bad, good) pairs in which the bad applicant has the higher score, a tie counting half
// (Mann-Whitney), counted pair by pair.
func auc(list []credit.Applicant, p []float64) float64 {
	var won, pairs float64
	for i, a := range list {
		if a.Good {
			continue
		}
		for j, b := range list {
			switch {
			case !b.Good:
				continue
			case p[i] > p[j]:
				won++
			case p[i] == p[j]:
				won += .5
			}
			pairs++
		}
	}
	return won / pairs
}

func approval(p []float64) float64 {
	n := 0
	for _, v := range p {
		if scoring.Decide(v) == scoring.Approve {
			n++
		}
	}
	return float64(n) / float64(len(p))
}

// divergence is the Jensen-Shannon divergence in bits of two yes/no answers, both weighted half.
func divergence(a, b float64) float64 {
	h := func(p float64) float64 { return -p*math.Log2(p) - (1-p)*math.Log2(1-p) }
	return h((a+b)/2) - (h(a)+h(b))/2
}

// rightAlone is the share of applicants for whom a decides right and b wrong.
func rightAlone(list []credit.Applicant, a, b []float64) float64 {
	n := 0
	for i, x := range list {
		if scoring.Decide(a[i]) == x.Outcome() && scoring.Decide(b[i]) != x.Outcome() {
			n++
		}
	}
	return float64(n) / float64(len(list))
}

func scores(tb testing.TB, version string, list []credit.Applicant) []float64 {
	tb.Helper()
	m := load(tb, version)
	var p []float64
	for _, a := range list {
		p = append(p, m.Score(a.Features(m)))
	}
	if slices.ContainsFunc(p, func(v float64) bool { return math.IsNaN(v) || v < 0 || v > 1 }) {
		tb.Fatalf("%s: a score is no probability", version)
	}
	return p
}

func applicants(tb testing.TB) []credit.Applicant {
	tb.Helper()
	list, err := credit.Applicants()
	if err != nil {
		tb.Fatal(err)
	}
	if len(list) != 1200 {
		tb.Fatalf("%d applicants, want 1200", len(list))
	}
	return list
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s: %.4f, want %.4f +- %g", what, got, want, tolerance)
	}
}

func BenchmarkScore(b *testing.B) {
	list := applicants(b)
	for _, version := range credit.Versions() {
		m := load(b, version)
		var rows [][]float64
		for _, a := range list {
			rows = append(rows, a.Features(m))
		}
		b.Run(fmt.Sprintf("version=%s", version), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				m.Score(rows[i%len(rows)])
				i++
			}
		})
	}
}
