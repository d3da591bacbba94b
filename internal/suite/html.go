package suite

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// named is a number with its name.
type named struct{ Name, Value string }

func numberList(m map[string]float64) []named {
	out := make([]named, 0, len(m))
	for name, v := range m {
		out = append(out, named{name, strconv.FormatFloat(v, 'g', 5, 64)})
	}
	slices.SortFunc(out, func(a, b named) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// shown is a result on the page.
type shown struct {
	*Result
	At      int
	Picture *picture
}

// group is the results of a family.
type group struct {
	Family  Family
	Results []shown
}

// picture is an interval as it is drawn: places in percent of the width, from the left.
type picture struct {
	Lo, Hi, Est    string
	LoText, HiText string
	Limits         []mark
}

type mark struct{ At string }

// Names of numbers that pictures are drawn of.
const (
	numberLower = "lower"
	numberUpper = "upper"
)

// drawn is the picture of a result with an interval; nil for others. A limit is drawn where one was asked.
func drawn(r *Result) *picture {
	lo, okLo := r.Numbers[numberLower]
	hi, okHi := r.Numbers[numberUpper]
	if !okLo || !okHi || !(hi > lo) {
		return nil
	}
	est, left, right := (lo+hi)/2, lo, hi
	for _, name := range []string{"estimate", "difference", "ratio"} {
		if v, ok := r.Numbers[name]; ok {
			est = v
		}
	}
	var limits []float64
	for _, name := range []string{"atLeast", "atMost", "allowed"} {
		if v, ok := r.Numbers[name]; ok {
			limits = append(limits, v)
			left, right = math.Min(left, v), math.Max(right, v)
		}
	}
	edge := 0.2 * (right - left) // room for the numbers below the bar's ends
	left, right = left-edge, right+edge
	at := func(x float64) string { return fmt.Sprintf("%.1f", 100*(x-left)/(right-left)) }
	p := &picture{Lo: at(lo), Hi: at(hi), Est: at(est), LoText: fmt.Sprintf("%.3g", lo), HiText: fmt.Sprintf("%.3g", hi)}
	for _, x := range limits {
		p.Limits = append(p.Limits, mark{at(x)})
	}
	return p
}

// pageData is what the page shows.
type pageData struct {
	*Report
	Verdict, Color string
	Counts         []named
	Bad            []shown
	Groups         []group
}

// WriteHTML writes the report as one page that needs nothing else: no script, no font, no request.
func (r *Report) WriteHTML(w io.Writer) error { return r.page().html().Render(w) }

func (r *Report) page() *pageData {
	data := pageData{Report: r, Verdict: "passed", Color: "passed"}
	switch {
	case r.UndecidedOnly():
		data.Verdict, data.Color = "undecided", "undecided"
	case !r.Passed():
		data.Verdict, data.Color = "not passed", "failed"
	}
	for _, s := range []Status{Failed, Undecided, Passed, Skipped} {
		if n := r.Count(s); n > 0 {
			data.Counts = append(data.Counts, named{string(s), strconv.Itoa(n)})
		}
	}
	for _, f := range []Family{FamilyFunctional, FamilyPerformance, FamilyException} {
		g := group{Family: f}
		for i := range r.Results {
			if r.Results[i].Family == f {
				g.Results = append(g.Results, shown{&r.Results[i], i, drawn(&r.Results[i])})
			}
		}
		if len(g.Results) > 0 {
			data.Groups = append(data.Groups, g)
		}
	}
	for i := range r.Results {
		if s := r.Results[i].Status; s == Failed || s == Undecided {
			data.Bad = append(data.Bad, shown{&r.Results[i], i, nil})
		}
	}
	return &data
}
