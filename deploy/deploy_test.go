// Package deploy checks the files for Prometheus and Grafana against the metrics that there are.
package deploy

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// declared returns the names in the tables of the packages that measure.
func declared(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../internal/*/metrics.go")
	if err != nil || len(files) < 4 {
		t.Fatalf("tables of metrics: %v, %v", files, err)
	}
	names := map[string]bool{}
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if name, err := strconv.Unquote(lit.Value); err == nil && regexp.MustCompile(`^sluice_[a-z_]+$`).MatchString(name) {
					names[name] = true
				}
			}
			return true
		})
	}
	return names
}

var (
	used   = regexp.MustCompile(`\bsluice_[a-z_]+`)
	suffix = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// TestNames: a metric that a panel or an alert asks for is one that there is, and the guide tells each.
func TestNames(t *testing.T) {
	names := declared(t)
	for _, file := range []string{
		"grafana/sluice.json", "prometheus/rules.yaml", "prometheus/rules_test.yaml", "../docs/guide/monitoring.md", "../docs/guide.zh/monitoring.md",
	} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := used.FindAllString(string(b), -1)
		if len(found) < 10 {
			t.Errorf("%s asks for %d metrics", file, len(found))
		}
		for _, name := range found {
			if !names[name] && !names[suffix.ReplaceAllString(name, "")] {
				t.Errorf("%s asks for %s, which nothing measures", file, name)
			}
		}
		if !strings.HasSuffix(file, ".md") {
			continue
		}
		for name := range names {
			if !strings.Contains(string(b), "| `"+name+"` |") {
				t.Errorf("%s does not tell of %s", file, name)
			}
		}
	}
}

// TestDashboard reads what Grafana would refuse: identifiers twice, panels on top of each other, no query.
func TestDashboard(t *testing.T) {
	b, err := os.ReadFile("grafana/sluice.json")
	if err != nil {
		t.Fatal(err)
	}
	var dash struct {
		UID, Title string
		Panels     []struct {
			ID          int
			Type, Title string
			Description string
			GridPos     struct{ X, Y, W, H int }
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &dash); err != nil {
		t.Fatal(err)
	}
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, p := range dash.Panels {
		if ids[p.ID] {
			t.Errorf("panel %q repeats the id %d", p.Title, p.ID)
		}
		ids[p.ID] = true
		if p.Type != "row" && (len(p.Targets) == 0 || p.Description == "") {
			t.Errorf("panel %q asks nothing, or does not say what it shows", p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, taken := cells[[2]int{x, y}]; taken || x >= 24 {
					t.Fatalf("panel %q lies on %q, or beside the page", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		for _, target := range p.Targets {
			if strings.Count(target.Expr, "(") != strings.Count(target.Expr, ")") {
				t.Errorf("panel %q: %s", p.Title, target.Expr)
			}
		}
	}
	if dash.UID == "" || len(dash.Panels) < 10 {
		t.Errorf("%d panels, uid %q", len(dash.Panels), dash.UID)
	}
}

// TestPromtool lets Prometheus's own tool check the alerts, and play through their scenarios.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian: apt-get install prometheus)")
	}
	for _, args := range [][]string{{"check", "rules", "prometheus/rules.yaml"}, {"test", "rules", "prometheus/rules_test.yaml"}, {"check", "rules", queries(t)}} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// queries writes the dashboard's queries as rules, so that promtool parses them too.
func queries(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("grafana/sluice.json")
	if err != nil {
		t.Fatal(err)
	}
	var dash struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(b, &dash); err != nil {
		t.Fatal(err)
	}
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	filled := strings.NewReplacer("$__rate_interval", "1m", "$model", ".*")
	n := 0
	for _, p := range dash.Panels {
		for _, target := range p.Targets {
			n++
			rules.WriteString("  - record: q" + strconv.Itoa(n) + "\n    expr: " + strconv.Quote(filled.Replace(target.Expr)) + "\n")
		}
	}
	file := filepath.Join(t.TempDir(), "queries.yaml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
