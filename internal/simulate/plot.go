package simulate

import (
	"cmp"
	"fmt"
	"image/color"
	"io"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
)

// colours of the phases in which runs end.
var colours = map[rollout.Phase]color.RGBA{
	rollout.Succeeded:  {R: 0x1b, G: 0x7f, B: 0x3b, A: 0xff},
	rollout.RolledBack: {R: 0xc0, G: 0x2b, B: 0x2b, A: 0xff},
	rollout.Paused:     {R: 0xb5, G: 0x76, B: 0x14, A: 0xff},
	rollout.Stopped:    {R: 0x55, G: 0x55, B: 0x55, A: 0xff},
}

// Plot draws the cumulative share of runs that had ended, by phase, over the time since the release began. format is "png" or "svg".
func (r *Report) Plot(w io.Writer, format string) error {
	if format != "png" && format != "svg" {
		return release.Invalid("plot", "there is no picture format %q", format).Fix("name a file that ends in .png or .svg")
	}
	p := plot.New()
	p.Title.Text = fmt.Sprintf("%s to %s, %s: %d simulated releases", r.Model, r.Candidate, r.TruthInWords(), r.Runs)
	p.Title.Padding = vg.Points(6)
	p.Y.Label.Text = "share of releases that have ended"
	p.Y.Min, p.Y.Max = 0, 1
	last := time.Duration(1)
	for _, e := range r.ends {
		last = max(last, e.after())
	}
	last += last / 25 // what ends last is a step within the picture
	unit, name := scaleOf(last)
	p.X.Label.Text = "time since the release began, " + name
	p.X.Min, p.X.Max = 0, float64(last)/float64(unit)
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.XOffs, p.Legend.YOffs = vg.Points(6), -vg.Points(6)
	p.Add(plotter.NewGrid())
	for _, phase := range Ends {
		points := r.curve(phase, unit, last)
		if points == nil {
			continue
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return fmt.Errorf("plot: %w", err)
		}
		line.StepStyle, line.Color, line.Width = plotter.PostStep, colours[phase], vg.Points(2)
		p.Add(line)
		p.Legend.Add(fmt.Sprintf("%s %.3g %%", phase, 100*float64(r.Ended[phase])/float64(r.Runs)), line)
	}
	to, err := p.WriterTo(18*vg.Centimeter, 11*vg.Centimeter, format)
	if err != nil {
		return fmt.Errorf("plot: %w", err)
	}
	_, err = to.WriteTo(w)
	return err
}

// curve is the cumulative share of runs that ended in a phase; nil if none did.
func (r *Report) curve(phase rollout.Phase, unit, last time.Duration) plotter.XYs {
	var at []time.Duration
	for _, e := range r.ends {
		if e.Phase == phase {
			at = append(at, e.after())
		}
	}
	if at == nil {
		return nil
	}
	slices.SortFunc(at, cmp.Compare)
	points := plotter.XYs{{X: 0, Y: 0}}
	for i, t := range at {
		points = append(points, plotter.XY{X: float64(t) / float64(unit), Y: float64(i+1) / float64(r.Runs)})
	}
	return append(points, plotter.XY{X: float64(last) / float64(unit), Y: float64(len(at)) / float64(r.Runs)})
}

func (e Ending) after() time.Duration { return time.Duration(e.Seconds * float64(time.Second)) }

func scaleOf(last time.Duration) (time.Duration, string) {
	switch {
	case last > 6*time.Hour:
		return time.Hour, "hours"
	case last > 6*time.Minute:
		return time.Minute, "minutes"
	default:
		return time.Second, "seconds"
	}
}
