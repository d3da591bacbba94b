package main

import (
	"fmt"
	"image/color"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// plotRows draws for each judged row its value over its limit (or the limit over the value, where more is better): below 1 it holds.
func plotRows(file string, rows []row) error {
	format := filepath.Ext(file)
	if format != ".png" && format != ".svg" {
		return fmt.Errorf("-plot %s: name a file that ends in .png or .svg", file)
	}
	p := plot.New()
	p.Title.Text = "measured over target, 1 is the limit"
	p.Y.Min, p.Y.Max = 0, 1.5
	p.X.Label.Text = "judged rows, in the order of the table"
	p.Add(plotter.NewGrid())
	points := map[verdict]plotter.XYs{}
	n := 0.0
	for _, r := range rows {
		if r.Verdict == "" || r.Limit == 0 {
			continue
		}
		y := r.Value / r.Limit
		if len(r.Target) > 0 && r.Target[0] == '>' {
			y = r.Limit / max(r.Value, 1e-9)
		}
		n++
		points[r.Verdict] = append(points[r.Verdict], plotter.XY{X: n, Y: min(y, p.Y.Max)})
	}
	for v, c := range map[verdict]color.RGBA{
		pass: {R: 0x1b, G: 0x7f, B: 0x3b, A: 0xff}, silent: {R: 0xb5, G: 0x76, B: 0x14, A: 0xff}, missed: {R: 0xc0, G: 0x2b, B: 0x2b, A: 0xff},
	} {
		if points[v] == nil {
			continue
		}
		s, err := plotter.NewScatter(points[v])
		if err != nil {
			return fmt.Errorf("-plot: %w", err)
		}
		s.Color = c
		p.Add(s)
		p.Legend.Add(string(v), s)
	}
	p.Legend.Top = true
	limit, err := plotter.NewLine(plotter.XYs{{X: 0, Y: 1}, {X: n + 1, Y: 1}})
	if err != nil {
		return fmt.Errorf("-plot: %w", err)
	}
	p.Add(limit)
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return err
	}
	return p.Save(20*vg.Centimeter, 10*vg.Centimeter, file)
}
