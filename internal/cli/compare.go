package cli

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sluice.dev/sluice/internal/compare"
)

func (e *env) compareCmd() *cobra.Command {
	var src compare.Source
	var o compare.Options
	var kind, labels, plot string
	cmd := &cobra.Command{
		Use: "compare A B", Short: "Compare the outputs of two versions: from which one is an output, and what does it tell",
		Long: "Compare two files of outputs, A of the present version and B of the new one: text with one output per line, a CSV\n" +
			"(--column) or JSON Lines (--path); - is standard input. It computes the probability model (which version an\n" +
			"output came from; with labels, which version is better), the information model (what an output tells about its\n" +
			"version), effect sizes with intervals, and says in one sentence what the data allow to say. For one look at a\n" +
			"finished sample; docs/seed-models.md explains it.",
		Example: "  sluice compare v1.txt v2.txt\n" +
			"  sluice compare v1.csv v2.csv --column decision --label-column outcome --plot out.png\n" +
			"  sluice compare v1.jsonl v2.jsonl --path response.score -o json",
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			if plot != "" && pictureFormat(plot) == "" {
				return usage("there is no picture format for "+plot, "name a file that ends in .png or .svg")
			}
			var samples [2]compare.Sample
			for i, name := range args {
				data, err := readFile(e.in, name)
				if err != nil {
					return err
				}
				if samples[i], err = compare.Read(name, bytes.NewReader(data), src); err != nil {
					return usage(err.Error(), "sluice compare --help shows the formats")
				}
			}
			o.Kind, o.Labels = compare.Kind(kind), compare.Labels(labels)
			r, err := compare.Compare(samples[0], samples[1], o)
			if err != nil {
				return usage(err.Error(), "sluice compare --help shows what can be compared")
			}
			if plot != "" {
				if err := writePlot(plot, r.Plot); err != nil {
					return err
				}
			}
			return e.print(r, func() { compared(e.out, r) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&src.Column, "column", "", "CSV: the column of the outputs, by name or number")
	f.StringVar(&src.Path, "path", "", "JSON Lines: the path of the outputs, like response.label")
	f.StringVar(&src.Label, "label-column", "", "column (or path) of labels: whether the output was good, or what it should have been")
	f.StringVar(&kind, "kind", string(compare.Auto), "what outputs are: auto, categorical or numeric")
	f.StringVar(&labels, "labels", string(compare.AutoLabels), "what labels are: auto, good or truth")
	f.StringVar(&plot, "plot", "", "draw both samples into this .png or .svg file")
	return cmd
}

// shownRows bounds the tables by value.
const shownRows = 10

func compared(out io.Writer, r *compare.Result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "A  %s, %d outputs\nB  %s, %d outputs; %s\n", r.A, r.NA, r.B, r.NB, r.Kind)
	p := r.Probability
	fmt.Fprintf(w, "\nPROBABILITY MODEL: which version did an output come from?\n")
	fmt.Fprintf(w, "P(A), P(B)\t%s, %s\tshares of the outputs collected, no performance\n", figure(p.PriorA), figure(p.PriorB))
	fmt.Fprintf(w, "overlap\t%s of A's outputs occur in B, %s of B's in A\t%d of %d values are shared\n", figure(p.AInB), figure(p.BInA), p.Shared, p.Values)
	if b := r.Better; b != nil {
		fmt.Fprintf(w, "P(B better)\t%s\texpected loss of choosing B %s, of choosing A %s\n", figure(b.PBBetter), figure(b.LossB), figure(b.LossA))
	}
	fmt.Fprintf(w, "\nVALUE\tA\tB\tP(value|A)\tP(value|B)\tP(A|value)\n")
	for i, v := range p.ByValue {
		if i < shownRows {
			fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\n", short(v.Value, 30), v.CountA, v.CountB, figure(v.ShareA), figure(v.ShareB), figure(v.PosteriorA))
		}
	}
	if more := p.Values - shownRows; more > 0 {
		fmt.Fprintf(w, "and %d more values\n", more)
	}
	comparedInformation(w, r)
	comparedEffects(w, r)
	_ = w.Flush()
	for _, warning := range r.Warnings {
		fmt.Fprintln(out, "\nNote: "+warning+".")
	}
	fmt.Fprintln(out, "\n"+r.Conclusion)
}

func comparedInformation(w io.Writer, r *compare.Result) {
	i := r.Information
	fmt.Fprintf(w, "\nINFORMATION MODEL: what does an output tell about its version? (bits)\n")
	fmt.Fprintf(w, "entropy of A\t%s\tMiller-Madow %s\n", figure(i.HA), figure(i.HAMM))
	fmt.Fprintf(w, "entropy of B\t%s\tMiller-Madow %s\n", figure(i.HB), figure(i.HBMM))
	fmt.Fprintf(w, "entropy of all, H(U)\t%s\tMiller-Madow %s\n", figure(i.HPooled), figure(i.HPooledMM))
	fmt.Fprintf(w, "given the version, H(U|V)\t%s\n", figure(i.Conditional))
	fmt.Fprintf(w, "mutual information\t%s\tG = %s, df %d, p = %s\n", figure(i.Mutual), figure(i.G), i.DF, figure(i.P))
	fmt.Fprintf(w, "balanced divergence\t%s\n", figure(i.Balanced))
	fmt.Fprintf(w, "KL(A||B), KL(B||A)\t%s, %s\n", figure(i.KLAB), figure(i.KLBA))
}

func comparedEffects(w io.Writer, r *compare.Result) {
	fmt.Fprintf(w, "\nEFFECT SIZES (B minus A, 95 %% for one look)\n")
	if b := r.Better; b != nil {
		fmt.Fprintf(w, "right\t%s\n", interval(b.Difference))
	}
	if n := r.Numbers; n != nil {
		fmt.Fprintf(w, "mean\t%s\tA %s, B %s; p = %s\n", interval(n.Mean), figure(n.A.Mean), figure(n.B.Mean), figure(n.P))
		fmt.Fprintf(w, "median of differences\t%s\tA's median %s, B's %s\n", figure(n.Shift), figure(n.A.Median), figure(n.B.Median))
		fmt.Fprintf(w, "standardised\t%s\tstandard deviations\n", figure(n.Effect))
		fmt.Fprintf(w, "P(B's output larger)\t%s\tp = %s\n", figure(n.Larger), figure(n.RankP))
		return
	}
	fmt.Fprintf(w, "total variation\t%s\tCramér's V %s\n", figure(r.Information.TV), figure(r.Information.CramersV))
	for i, d := range r.Differences {
		if i < shownRows/2 {
			fmt.Fprintf(w, "share of %s\t%s\n", short(d.Value, 30), interval(d.Diff))
		}
	}
}

func interval(i compare.Interval) string {
	return fmt.Sprintf("%s  (%s to %s)", signed(i.Estimate), signed(i.Lo), signed(i.Hi))
}

func signed(n compare.Number) string {
	if n > 0 {
		return "+" + figure(n)
	}
	return figure(n)
}

// figure is a number with what six digits can tell of it.
func figure(n compare.Number) string {
	if math.IsNaN(float64(n)) {
		return "-"
	}
	return fmt.Sprintf("%.6g", float64(n))
}
