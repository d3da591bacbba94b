package sluice_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "sluice.dev/sluice"

// arrows says which package of ours may import which others, and why. A package that is missing
// here, an import that is missing in its row, and a row of a package that is gone all fail.
var arrows = map[string]struct {
	may string
	why string
}{
	"internal/stats":     {"", "mathematics knows nothing of releases"},
	"internal/release":   {"", "the vocabulary is the ground floor"},
	"internal/store":     {"", "a contract about bytes, keys and revisions"},
	"docs":               {"", "the guide's texts and pictures, embedded"},
	"internal/capture":   {"", "files of redacted exchanges; the shell's own words"},
	"internal/telemetry": {"", "spans and metrics of requests; app hands it what the gateway tells"},
	"internal/looks":     {"", "a codec of points over time; what they mean is judge's"},
	"internal/console":   {"docs", "embedded pages are a client of the API, in the browser; the guide is served as pages"},

	"internal/store/storetest": {"internal/store", "the contract's own suite"},
	"internal/assign":          {"internal/release", "shares and units are words of the vocabulary"},
	"internal/dialect":         {"internal/release", "what APIs of models say, told in the vocabulary; bytes in, values out"},
	"internal/tally":           {"internal/release", "folds the vocabulary's events"},
	"internal/natsstore":       {"internal/store", "implements the contract"},
	"internal/notify":          {"internal/release", "sends decisions as they are told"},
	"internal/suite":           {"internal/release internal/stats", "tests a version; its data gates carry intervals"},

	"internal/judge":   {"internal/release internal/stats internal/tally", "from sums to verdicts"},
	"internal/rollout": {"internal/assign internal/judge internal/release", "from verdicts to decisions and shares"},
	"internal/records": {"internal/assign internal/judge internal/looks internal/release internal/rollout internal/store", "the one place that knows what is stored"},

	"internal/gateway":    {"internal/assign internal/dialect internal/release internal/upstream", "the data plane stays light"},
	"internal/socket":     {"", "sockets of the hot path; knows nothing of HTTP"},
	"internal/resident":   {"", "the process's memory; knows nothing of what it does"},
	"internal/onecore":    {"", "the process's threads; knows nothing of what it does"},
	"internal/head":       {"", "heads of HTTP/1.1 messages; knows nothing of connections"},
	"internal/front":      {"internal/head internal/socket", "HTTP/1.1 from clients; knows nothing of releases"},
	"internal/upstream":   {"internal/head internal/socket", "HTTP/1.1 to model servers; knows nothing of releases"},
	"internal/ofrep":      {"internal/assign internal/release", "the data plane stays light"},
	"internal/ingest":     {"internal/release internal/tally", "telemetry to log to sums; app hands it the log"},
	"internal/controller": {"internal/judge internal/records internal/release internal/rollout internal/tally", "the loop joins judge and rollout through records"},
	"internal/api":        {"internal/judge internal/looks internal/records internal/release internal/rollout internal/simulate", "shows and commands what records hold; its answers hold the reports of simulations"},

	"internal/oidc": {"internal/records internal/release", "asks an identity provider who a person is; app hands it to api"},

	"internal/simulate": {"internal/assign internal/judge internal/release internal/rollout internal/stats internal/tally", "the core on a virtual clock"},
	"internal/compare":  {"internal/stats", "two finished samples of outputs: no release, no traffic, no looking again"},
	"internal/sim":      {"*", "the whole system in one thread, faults on"},
	"internal/app":      {"internal/api internal/assign internal/capture internal/console internal/controller internal/dialect internal/front internal/gateway internal/ingest internal/natsstore internal/notify internal/ofrep internal/oidc internal/records internal/release internal/rollout internal/store internal/suite internal/tally internal/telemetry internal/judge", "joins the parts"},

	"internal/demo/credittraffic": {"examples/credit", "requests drawn from the example's held-out applicants"},
	"internal/demo":               {"examples/credit examples/credit/server examples/diagnosis examples/diagnosis/server examples/images examples/images/server examples/llm examples/llm/server examples/web internal/api internal/app internal/demo/credittraffic internal/release internal/rollout internal/suite", "runs the examples against a whole server"},
	"internal/cli":                {"internal/api internal/app internal/capture internal/compare internal/demo internal/judge internal/onecore internal/release internal/resident internal/rollout internal/simulate internal/stats internal/suite", "a client of the API; starts servers and demos; stat, simulate and compare need no server"},
	"cmd/sluice":                  {"internal/cli", "one line"},
	"bench/gateway":               {"internal/ingest internal/natsstore internal/release internal/socket internal/store", "measures the gateway beside other proxies, and the record ring before its store"},
	"bench/evidence":              {"internal/judge internal/release internal/stats internal/tally", "measures the core, beside the rules of others"},

	"examples/credit":                        {"examples/credit/scoring", "data of the example"},
	"examples/credit/scoring":                {"", "an example must build without Sluice"},
	"examples/credit/server":                 {"examples/credit examples/credit/scoring", "an example must build without Sluice"},
	"examples/web":                           {"", "an example must build without Sluice"},
	"examples/llm":                           {"examples/llm/slm", "data of the example"},
	"examples/llm/slm":                       {"", "an example must build without Sluice"},
	"examples/llm/server":                    {"examples/web examples/llm examples/llm/slm", "an example must build without Sluice"},
	"examples/llm/cmd/llmserver":             {"examples/web examples/llm/server", "an example must build without Sluice"},
	"examples/images":                        {"", "data and models of the example"},
	"examples/images/server":                 {"examples/images examples/web", "an example must build without Sluice"},
	"examples/images/cmd/imageserver":        {"examples/images/server examples/web", "an example must build without Sluice"},
	"examples/diagnosis":                     {"examples/credit/scoring", "the same model format"},
	"examples/diagnosis/server":              {"examples/credit/scoring examples/diagnosis examples/web", "an example must build without Sluice"},
	"examples/diagnosis/cmd/diagnosisserver": {"examples/diagnosis/server examples/web", "an example must build without Sluice"},
	"examples/credit/cmd/creditserver":       {"examples/credit examples/credit/scoring examples/credit/server", "an example must build without Sluice"},
}

// core is pure: values in, values out.
var core = []string{"stats", "release", "assign", "dialect", "tally", "judge", "rollout"}

// impure are imports that let a clock, chance, I/O, locks or goroutines in.
var impure = []string{"context", "sync", "sync/atomic", "os", "os/exec", "net", "net/http", "log", "log/slog", "crypto/rand", "io/ioutil", "syscall", "runtime", "embed"}

// impureCalls are functions of pure packages that read the clock or draw from global chance.
var impureCalls = map[string][]string{
	"time":         {"Now", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Since", "Until"},
	"math/rand/v2": {"Int", "IntN", "Int64", "Int64N", "Uint32", "Uint64", "Uint64N", "Float64", "Float32", "NormFloat64", "ExpFloat64", "Perm", "Shuffle", "N"},
	"math/rand":    {"Int", "Intn", "Int63", "Uint32", "Uint64", "Float64", "Float32", "NormFloat64", "ExpFloat64", "Perm", "Shuffle", "Seed"},
}

type goPackage struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func TestArrows(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		if len(p.GoFiles) == 0 {
			continue // tests only
		}
		seen[name] = true
		row, ok := arrows[name]
		if !ok {
			t.Errorf("%s has no row in the table of arrows: say what it may import, and why", name)
			continue
		}
		may := strings.Fields(row.may)
		for _, imp := range p.Imports {
			ours, ok := strings.CutPrefix(imp, module+"/")
			if ok && row.may != "*" && !slices.Contains(may, ours) {
				t.Errorf("%s imports %s, which its row does not allow (%s)", name, ours, row.why)
			}
		}
	}
	for name := range arrows {
		if !seen[name] {
			t.Errorf("the table of arrows has a row for %s, which does not exist", name)
		}
	}
}

func TestCoreIsPure(t *testing.T) {
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/internal/")
		if !slices.Contains(core, name) {
			continue
		}
		for _, imp := range p.Imports {
			if slices.Contains(impure, imp) {
				t.Errorf("core package %s imports %s", name, imp)
			}
		}
		for _, f := range p.GoFiles {
			checkPure(t, name, filepath.Join(p.Dir, f))
		}
	}
}

// checkPure fails on goroutines, channels and calls of the clock or of global chance.
func checkPure(t *testing.T, name, file string) {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	local := map[string]string{} // local name of an import -> path
	for _, imp := range f.Imports {
		path, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(path)
		if base == "v2" {
			base = filepath.Base(filepath.Dir(path))
		}
		if imp.Name != nil {
			base = imp.Name.Name
		}
		local[base] = path
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt, *ast.SelectStmt, *ast.SendStmt:
			t.Errorf("core package %s: %s starts or talks to a goroutine", name, fset.Position(n.Pos()))
		case *ast.SelectorExpr:
			x, ok := n.X.(*ast.Ident)
			if ok && x.Obj == nil && slices.Contains(impureCalls[local[x.Name]], n.Sel.Name) {
				t.Errorf("core package %s: %s uses %s.%s", name, fset.Position(n.Pos()), x.Name, n.Sel.Name)
			}
		}
		return true
	})
}
