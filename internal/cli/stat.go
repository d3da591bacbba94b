package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sluice.dev/sluice/internal/stats"
)

// shownDifferences is how many differences stat --check prints.
const shownDifferences = 20

func (e *env) statCmd() *cobra.Command {
	var list bool
	var check string
	cmd := &cobra.Command{
		Use: "stat FUNCTION '{json}'", Short: "Compute any number of a decision by hand",
		Long: "Compute one of the statistical functions that decisions rest on. The input is a JSON object, as an\n" +
			"argument or, with -, on standard input. In the output +Inf and -Inf are strings, and null is what the\n" +
			"data do not determine.",
		Example: "  sluice stat --list\n" +
			"  sluice stat bernoulli_cs '{\"k\": 3, \"n\": 1000, \"alpha\": 0.05}'\n" +
			"  sluice stat --check internal/stats/testdata/vectors.json",
		Args: cobra.MaximumNArgs(2),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return functionNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			switch {
			case list && check == "" && len(args) == 0:
				return e.listFunctions()
			case check != "" && !list && len(args) == 0:
				return e.checkVectors(check)
			case !list && check == "" && len(args) == 2:
				return e.callFunction(args[0], args[1])
			}
			return usage("stat takes a function with its input, or --list, or --check FILE", "sluice stat --list names the functions")
		},
	}
	cmd.Flags().BoolVar(&list, "list", false, "list the functions")
	cmd.Flags().StringVar(&check, "check", "", "run a file of test vectors; exit code 0 only if all pass")
	return cmd
}

func functionNames() []string {
	var names []string
	for _, f := range stats.Functions() {
		names = append(names, f.Name)
	}
	return names
}

func (e *env) listFunctions() error {
	type line struct {
		Name string `json:"name"`
		Doc  string `json:"doc"`
	}
	var lines []line
	for _, f := range stats.Functions() {
		lines = append(lines, line{f.Name, f.Doc})
	}
	return e.print(lines, func() {
		w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
		for _, l := range lines {
			fmt.Fprintf(w, "%s\t%s\n", l.Name, l.Doc)
		}
		_ = w.Flush()
	})
}

func (e *env) callFunction(name, input string) error {
	all := stats.Functions()
	i := slices.IndexFunc(all, func(f stats.Function) bool { return f.Name == name })
	if i < 0 {
		return usage("there is no function "+strconv.Quote(name), "sluice stat --list names the functions")
	}
	if input == "-" {
		b, err := io.ReadAll(io.LimitReader(e.in, maxInput+1))
		if err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
		input = string(b)
	}
	out, err := all[i].Call(json.RawMessage(input))
	if err != nil {
		return usage(err.Error(), name+": "+all[i].Doc)
	}
	format := e.output
	if format == "table" {
		format = "json"
	}
	return e.printAs(format, out)
}

// maxInput bounds what is read from standard input or a file of vectors, in bytes.
const maxInput = 64 << 20

func (e *env) checkVectors(file string) error {
	data, err := readFile(e.in, file)
	if err != nil {
		return err
	}
	passed, failed, differences, err := stats.Check(data)
	if err != nil {
		return usage(err.Error(), "the format is that of internal/stats/testdata/vectors.json")
	}
	shown := differences[:min(len(differences), shownDifferences)]
	type result struct {
		Passed      int      `json:"passed"`
		Failed      int      `json:"failed"`
		Differences []string `json:"differences,omitempty"`
	}
	err = e.print(result{passed, failed, shown}, func() {
		for _, d := range shown {
			fmt.Fprintln(e.out, d)
		}
		if more := len(differences) - len(shown); more > 0 {
			fmt.Fprintf(e.out, "and %d more differences\n", more)
		}
		fmt.Fprintf(e.out, "%d passed, %d failed\n", passed, failed)
	})
	if err == nil && failed > 0 {
		return exit{exitFault}
	}
	return err
}

// readFile reads a file, or standard input if it is named "-", up to maxInput bytes.
func readFile(in io.Reader, name string) ([]byte, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, usage(err.Error(), "name a file that can be read, or - for standard input")
		}
		defer f.Close() // it was only read
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(data) > maxInput {
		return nil, usage(fmt.Sprintf("%s has more than %d MiB", name, maxInput>>20), "use a smaller sample")
	}
	return data, nil
}
