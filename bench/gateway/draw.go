package main

import (
	"fmt"
	"image/color"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// draw makes a picture of CPU time per request: one group of bars per proxy.
func draw(tables []*table, file string) error {
	p := plot.New()
	p.Title.Text = "CPU time of a proxy per request"
	p.Y.Label.Text = "µs, user and system"
	p.Y.Min = 0
	names := []string{}
	place := map[string]int{}
	var shown []*table
	for _, t := range tables {
		if t.key != "http1" && t.key != "h2c" {
			continue
		}
		shown = append(shown, t)
		for _, f := range t.figures {
			if _, ok := place[f.proxy]; !ok && f.note == "" {
				place[f.proxy] = len(names)
				names = append(names, strings.Replace(f.proxy, ", access log", " + log", 1)) // shorter, so that it fits below
			}
		}
	}
	const width = 18 // points
	colors := []color.Color{color.RGBA{R: 0x1f, G: 0x5a, B: 0x96, A: 0xff}, color.RGBA{R: 0xe0, G: 0x8a, B: 0x1e, A: 0xff}}
	for i, t := range shown {
		values := make(plotter.Values, len(names))
		labels := plotter.XYLabels{}
		offset := vg.Points(width * (float64(i) - float64(len(shown)-1)/2))
		for _, f := range t.figures {
			at, ok := place[f.proxy]
			if !ok || f.note != "" {
				continue
			}
			values[at] = f.median()
			labels.XYs = append(labels.XYs, plotter.XY{X: float64(at), Y: f.median()})
			labels.Labels = append(labels.Labels, fmt.Sprintf("%.0f", f.median()))
		}
		bars, err := plotter.NewBarChart(values, vg.Points(width))
		if err != nil {
			return err
		}
		bars.Offset, bars.Color, bars.LineStyle.Width = offset, colors[i%len(colors)], 0
		text, err := plotter.NewLabels(labels)
		if err != nil {
			return err
		}
		text.Offset.X, text.Offset.Y = offset-vg.Points(6), vg.Points(2)
		p.Add(bars, text)
		p.Legend.Add(map[string]string{"http1": "HTTP/1.1", "h2c": "HTTP/2 without TLS"}[t.key], bars)
	}
	p.NominalX(names...)
	p.Y.Max *= 1.3 // room for the legend above the bars
	p.X.Min, p.X.Max = -0.6, float64(len(names))-0.4
	p.Legend.Top = true
	p.Legend.Left = true
	return p.Save(8*vg.Inch, 4*vg.Inch, file)
}
