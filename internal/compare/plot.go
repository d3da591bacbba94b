package compare

import (
	"fmt"
	"image/color"
	"io"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

var (
	colourA = color.RGBA{R: 0x3b, G: 0x6e, B: 0xa8, A: 0xff}
	colourB = color.RGBA{R: 0xd0, G: 0x7a, B: 0x1e, A: 0xff}
)

const (
	shownBars = 12
	histBins  = 24
)

// Plot draws both samples: bars of the most frequent values, or histograms. format is "png" or "svg".
func (r *Result) Plot(w io.Writer, format string) error {
	p := plot.New()
	p.Y.Label.Text = "share of the version's outputs"
	p.Y.Min = 0
	p.Legend.Top = true
	var labels []string
	var a, b plotter.Values
	if r.Kind == Numeric {
		p.Title.Text = "Distribution of the outputs"
		labels, a, b = r.histograms()
	} else {
		p.Title.Text = "How often each version gives each output"
		labels, a, b = r.bars()
	}
	width := vg.Length(14) * vg.Centimeter / vg.Length(len(labels)) * 0.4
	for i, v := range []plotter.Values{a, b} {
		chart, err := plotter.NewBarChart(v, width)
		if err != nil {
			return fmt.Errorf("plot: %w", err)
		}
		chart.LineStyle.Width = 0
		chart.Color, chart.Offset = colourA, -width/2
		name, n := "A: "+short(r.A), r.NA
		if i == 1 {
			chart.Color, chart.Offset = colourB, width/2
			name, n = "B: "+short(r.B), r.NB
		}
		p.Add(chart)
		p.Legend.Add(fmt.Sprintf("%s (%d)", name, n), chart)
	}
	p.NominalX(labels...)
	p.X.Min, p.X.Max = -0.6, float64(len(labels))-0.4
	p.Y.Max = 1.25 * max(slices.Max(a), slices.Max(b)) // room for the legend
	to, err := p.WriterTo(18*vg.Centimeter, 11*vg.Centimeter, format)
	if err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	_, err = to.WriteTo(w)
	return err
}

// bars are the shares of the most frequent values, the rest together.
func (r *Result) bars() (labels []string, a, b plotter.Values) {
	restA, restB := 1.0, 1.0
	for i, v := range r.Probability.ByValue {
		if i >= shownBars {
			break
		}
		labels = append(labels, clipped(v.Value))
		a, b = append(a, float64(v.ShareA)), append(b, float64(v.ShareB))
		restA, restB = restA-float64(v.ShareA), restB-float64(v.ShareB)
	}
	if r.Probability.Values > shownBars {
		labels, a, b = append(labels, "others"), append(a, max(0, restA)), append(b, max(0, restB))
	}
	return labels, a, b
}

func clipped(s string) string {
	if r := []rune(s); len(r) > 12 {
		return string(r[:11]) + "…"
	}
	return s
}

// histograms cut the range of both samples into equal intervals; every fourth is labelled with its lower end.
func (r *Result) histograms() (labels []string, a, b plotter.Values) {
	lo := min(float64(r.Numbers.A.Min), float64(r.Numbers.B.Min))
	hi := max(float64(r.Numbers.A.Max), float64(r.Numbers.B.Max))
	if hi == lo {
		hi = lo + 1
	}
	count := func(xs []float64) plotter.Values {
		v := make(plotter.Values, histBins)
		for _, x := range xs {
			v[min(histBins-1, int((x-lo)/(hi-lo)*histBins))] += 1 / float64(len(xs))
		}
		return v
	}
	for i := range histBins {
		label := ""
		if i%4 == 0 {
			label = fmt.Sprintf("%.3g", lo+(hi-lo)*float64(i)/histBins)
		}
		labels = append(labels, label)
	}
	return labels, count(r.valuesA), count(r.valuesB)
}
