package suite

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"sluice.dev/sluice/internal/release"
)

const top = "apiVersion: sluice.dev/v1alpha1\nkind: Suite\nmetadata: {name: x}\nspec:\n"

// rowsCSV has 40 rows, of which the first 10 are bad.
func rowsCSV() string {
	var b strings.Builder
	b.WriteString("id,label,age,score\n")
	for i := range 40 {
		label := "good"
		if i < 10 {
			label = "bad"
		}
		b.WriteString(strings.Join([]string{"u" + itoa(i), label, itoa(20 + i), "0." + itoa(10+i)}, ",") + "\n")
	}
	return b.String()
}

func itoa(i int) string { return strconv.Itoa(i) }

func folder(spec string) fstest.MapFS {
	return fstest.MapFS{
		"suite.yaml":  {Data: []byte(top + spec)},
		"rows.csv":    {Data: []byte(rowsCSV())},
		"body.json":   {Data: []byte(`{"a": 1}`)},
		"empty.csv":   {Data: []byte("id,label\n")},
		"broken.csv":  {Data: []byte("id,label\n1\n")},
		"twice.csv":   {Data: []byte("id,id\n1,2\n")},
		"list.jsonl":  {Data: []byte("{\"id\": 1}\n[]\n")},
		"gaps.csv":    {Data: []byte("id,label\n1,a\n2,\n")},
		"latin.csv":   {Data: []byte("id,label\n1,\xff\n")},
		"rows.dat":    {Data: []byte("id\n1\n")},
		"schema.json": {Data: []byte(`{"$ref": "file:///etc/passwd"}`)},
		"dir/x.csv":   {Data: []byte("id\n1\n")},
	}
}

// load reads a suite of a spec with the files above.
func load(t testing.TB, spec string) *Suite {
	t.Helper()
	s, faults := loadFS(folder(spec), "suite.yaml", "suite.yaml")
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFaultsOfAFile(t *testing.T) {
	data := func(rest string) string {
		return "  functional:\n    - name: a\n      request: {body: {id: '{{id}}'}}\n" + rest
	}
	gate := func(g string) string {
		return data("      data: {file: rows.csv}\n      gates:\n        - " + g + "\n")
	}
	one := func(rest string) string { return "  functional:\n    - name: a\n      request: {body: 1}\n" + rest }
	load := func(rest string) string {
		return "  performance:\n    - {name: a, rate: 5/s, duration: 1s, request: {body: 1}" + rest + "}\n"
	}
	for _, c := range []struct{ name, spec, want string }{
		{"no case", "  seed: 1\n", "has no case"},
		{"empty lists", "  functional: []\n", "has no case"},
		{"all optional", "  functional:\n    - {name: a, optional: true, request: {body: 1}}\n", "every case is optional"},
		{"misspelt field", one("      expct: {}\n"), `8:14: functional[0].expct: there is no such field`},
		{"no request", "  functional:\n    - name: a\n", "functional[0].request: the case has no request"},
		{"no name", "  functional:\n    - {name: '', request: {body: 1}}\n", "no name of a case"},
		{"same name", one("    - {name: a, request: {body: 2}}\n"), `functional[1].name: "a" is the name of another case`},
		{"two bodies", "  functional:\n    - {name: a, request: {body: 1, text: x}}\n", "the request has 2 bodies"},
		{"path", "  functional:\n    - {name: a, request: {path: 'http://x/'}}\n", "is no path"},
		{"path to another host", "  functional:\n    - {name: a, request: {path: '//host/x'}}\n", "is no path"},
		{"method", "  functional:\n    - {name: a, request: {method: 'GET /'}}\n", "is no method"},
		{"header name", "  functional:\n    - {name: a, request: {headers: {'a b': x}}}\n", "is no name of a header"},
		{"missing data file", data("      data: {file: none.csv}\n"), "functional[0].data.file: none.csv: it can't be read: file does not exist"},
		{"missing body file", "  functional:\n    - {name: a, request: {file: none.json}}\n", "none.json"},
		{"above the folder", data("      data: {file: ../rows.csv}\n"), "outside of the suite's folder"},
		{"absolute", data("      data: {file: /etc/passwd}\n"), "outside of the suite's folder"},
		{"folder", data("      data: {file: dir}\n"), "no regular file"},
		{"no rows", data("      data: {file: empty.csv}\n"), "it has no rows"},
		{"short row", data("      data: {file: broken.csv}\n"), "wrong number of fields"},
		{"column twice", data("      data: {file: twice.csv}\n"), `the column "id" twice`},
		{"no objects", data("      data: {file: list.jsonl}\n"), "line 2 is no JSON object"},
		{"not UTF-8", data("      data: {file: latin.csv}\n"), "not UTF-8"},
		{"ending", data("      data: {file: rows.dat}\n"), "ends in none of .csv"},
		{"too large", data("      data: {file: big.csv}\n"), "bytes"},
		{"too few rows", data("      data: {file: rows.csv, rows: 41}\n"), "has 40 rows, fewer than 41"},
		{"unknown column", "  functional:\n    - name: a\n      data: {file: rows.csv}\n      request: {body: {x: '{{name}}'}}\n", "rows.csv has no column name"},
		{"unknown column expected", data("      data: {file: rows.csv}\n      expect: {json: [{path: a, equals: '{{truth}}'}]}\n"), "no column truth"},
		{"open place", "  functional:\n    - name: a\n      data: {file: rows.csv}\n      request: {body: {x: '{{id'}}\n", "never closed"},
		{"type of a place", "  functional:\n    - name: a\n      data: {file: rows.csv}\n      request: {body: {x: '{{id|date}}'}}\n", "is no type"},
		{"status", one("      expect: {status: 9xx}\n"), "is no status"},
		{"no status", one("      expect: {status: []}\n"), "no status is listed"},
		{"regex", one("      expect: {body: {regex: '('}}\n"), "no regular expression"},
		{"nothing expected", one("      expect: {body: {}}\n"), "nothing is expected"},
		{"schema", one("      expect: {schema: {type: strange}}\n"), "expect.schema"},
		{"schema that reads files", one("      expect: {schemaFile: schema.json}\n"), "only references inside it are read"},
		{"two schemas", one("      expect: {schema: {}, schemaFile: body.json}\n"), "two schemas"},
		{"empty path", one("      expect: {json: [{path: ''}]}\n"), "it is empty"},
		{"type", one("      expect: {json: [{path: a, type: float}]}\n"), `"float" is not known here`},
		{"range", one("      expect: {json: [{path: a, min: 2, max: 1}]}\n"), "no number is at least 2 and at most 1"},
		{"tolerance", one("      expect: {json: [{path: a, tolerance: 1}]}\n"), "means nothing here"},
		{"same without repeat", one("      same: [a]\n"), "one answer has none"},
		{"retries", one("      retries: 9\n"), "is not between 1 and 5"},
		{"timeout", one("      timeout: 6m\n"), "is not between 1ms and 5m"},
		{"gate without data", one("      gates: [{metric: accuracy, prediction: a, label: b, atLeast: 0.5}]\n"), "gates judge the rows of a data file"},
		{"gate asks nothing", gate("{metric: accuracy, prediction: p, label: label}"), "the gate asks for nothing"},
		{"gate without truth", gate("{metric: accuracy, prediction: p, atLeast: 0.5}"), "accuracy needs label"},
		{"gate without class", gate("{metric: accuracy, label: label, atLeast: 0.5}"), "needs a predicted class"},
		{"gate label", gate("{metric: accuracy, prediction: p, label: truth, atLeast: 0.5}"), `there is no column "truth"`},
		{"gate positive", gate("{metric: sensitivity, prediction: p, label: label, positive: ill, atLeast: 0.5}"), `no row is "ill"`},
		{"gate slice", gate("{metric: accuracy, prediction: p, label: label, atLeast: 0.5, slices: [{column: sex}]}"), `there is no column "sex"`},
		{"gate cuts", gate("{metric: accuracy, prediction: p, label: label, atLeast: 0.5, slices: [{column: age, cuts: [30, 20]}]}"), "write them rising"},
		{"gate can't pass", gate("{metric: accuracy, prediction: p, label: label, atLeast: 0.95}"), "even 40 of 40 rows right would only show at least 0.928"},
		{"gate limit", gate("{metric: auc, score: s, label: label, positive: bad, atLeast: 70}"), "70 is no auc"},
		{"gate confidence", gate("{metric: auc, score: s, label: label, positive: bad, atLeast: 0.7, confidence: 95}"), "not between 0.5 and 0.9999"},
		{"gate margin", gate("{metric: auc, score: s, label: label, positive: bad, noWorseThanLive: 5%}"), "is no number of points"},
		{"gate pairs", gate("{metric: f1, prediction: p, label: label, positive: bad, noWorseThanLive: 5pp}"), "f1 is not compared in pairs"},
		{"gate parity", gate("{metric: rate, prediction: p, positive: bad, parity: 5pp}"), "there are none"},
		{"row without label", "  functional:\n    - name: a\n      data: {file: gaps.csv}\n      request: {body: 1}\n      gates: [{metric: accuracy, prediction: p, label: label, atLeast: 0.1}]\n", "row 1 has no label"},
		{"rate", strings.Replace(load(""), "5/s", "0.1/s", 1), "is not between 1/s and 10000/s"},
		{"too many requests", strings.Replace(strings.Replace(load(""), "5/s", "10000/s", 1), "1s", "5m", 1), "3000000 requests"},
		{"factor", load(", againstLive: {p95: 0.5x}"), "is no such factor"},
		{"no factor", load(", againstLive: {}"), "nothing is compared"},
		{"unknown trouble", "  exceptions:\n    - {battery: all, except: [fire], request: {body: 1}}\n", `"fire" is not known here`},
		{"nothing left", "  exceptions:\n    - {battery: all, only: [empty], except: [empty], request: {body: 1}}\n", "nothing is left"},
		{"battery status", "  exceptions:\n    - {battery: all, request: {body: 1}, expect: {status: 200}}\n", "answers of 2xx"},
		{"accept without battery", "  exceptions:\n    - {name: a, accept: [empty], request: {body: 1}}\n", "speak of a battery"},
		{"other kind", "", ""},
	} {
		fsys := folder(c.spec)
		if c.name == "too large" {
			fsys["big.csv"] = &fstest.MapFile{Data: []byte("id\n" + strings.Repeat("1\n", maxBundle/2))}
		}
		if c.name == "other kind" {
			fsys["suite.yaml"].Data, c.want = []byte("apiVersion: sluice.dev/v1alpha1\nkind: Model\n"), "this is a Model file"
		}
		s, faults := loadFS(fsys, "suite.yaml", "suite.yaml")
		if s != nil || faults.Err() == nil || !strings.Contains(faults.Error(), c.want) {
			t.Errorf("%s: suite %v, faults:\n%v\nwant %q", c.name, s != nil, faults, c.want)
			continue
		}
		for _, f := range faults {
			if f.Line == 0 {
				t.Errorf("%s: no line: %v", c.name, f)
			}
		}
	}
}

// TestFaultsAreListedAtOnce: one reading tells them all, in the order of their lines.
func TestFaultsAreListedAtOnce(t *testing.T) {
	faults := Lint("s.yaml", []byte(top+"  parallel: 100\n  functional:\n    - {name: a, request: {path: x}}\n    - {name: a, request: {body: 1}, repeat: 50}\n"))
	if len(faults) != 4 {
		t.Fatalf("%d faults, want 4:\n%v", len(faults), faults)
	}
	for i, line := range []int{5, 7, 8, 8} {
		if faults[i].Line != line || faults[i].Remedy == "" || faults[i].File != "s.yaml" {
			t.Errorf("fault %d: %+v, want line %d and a remedy", i, faults[i], line)
		}
	}
}

func TestLintLooksAtNoFile(t *testing.T) {
	const spec = "  functional:\n    - name: a\n      data: {file: none.csv}\n      request: {body: {id: '{{id}}'}}\n      gates: [{metric: accuracy, prediction: p, label: label, atLeast: 0.5}]\n"
	if faults := Lint("s.yaml", []byte(top+spec)); len(faults) != 0 {
		t.Error(faults)
	}
}

func TestLoadIsConfinedToItsFolder(t *testing.T) {
	dir := t.TempDir()
	inside := filepath.Join(dir, "suites")
	if err := os.Mkdir(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(inside, "suite.yaml")
	write(file, top+"  functional:\n    - {name: a, request: {file: body.json}}\n")
	write(filepath.Join(dir, "secret"), "secret")
	if err := os.Symlink("../secret", filepath.Join(inside, "body.json")); err != nil {
		t.Skip("no symbolic links here")
	}
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), "body.json") {
		t.Errorf("a link out of the folder: %v", err)
	}
	if err := os.Remove(filepath.Join(inside, "body.json")); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(inside, "body.json"), "{}")
	if s, err := Load(file); err != nil || s.Cases() != 1 {
		t.Errorf("a suite of one case: %v", err)
	}
	for _, missing := range []string{filepath.Join(inside, "none.yaml"), filepath.Join(dir, "none", "suite.yaml")} {
		if _, err := Load(missing); err == nil {
			t.Errorf("%s was read", missing)
		}
		if _, err := Bundle(missing); err == nil {
			t.Errorf("%s was bundled", missing)
		}
	}
}

func TestBundleTravels(t *testing.T) {
	fsys := folder("  functional:\n    - name: a\n      data: {file: ./rows.csv}\n      request: {body: '{{id}}'}\n    - {name: b, request: {file: raw.bin}}\n")
	fsys["raw.bin"] = &fstest.MapFile{Data: []byte{0xff, 0, 0xfe}}
	moved := fstest.MapFS{}
	for name, f := range fsys {
		moved["deep/er/"+name] = f
	}
	text, err := BundleFS(moved, "deep/er/suite.yaml")
	if err != nil {
		t.Fatal(err)
	}
	again, err := BundleFS(fsys, "suite.yaml")
	if err != nil || again != text {
		t.Errorf("the same content makes another bundle: %v", err)
	}
	s, err := Unbundle(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.functional) != 2 || len(s.functional[0].table.rows) != 40 || string(s.functional[1].request.raw) != "\xff\x00\xfe" {
		t.Errorf("something was lost: %d cases", len(s.functional))
	}
	if strings.Contains(text, "latin") {
		t.Error("a file that the suite does not name travels along")
	}
	if _, err := Unbundle(strings.Replace(text, `"rows.csv"`, `"other.csv"`, 1)); err == nil || !strings.Contains(err.Error(), "did not travel") {
		t.Errorf("without its data: %v", err)
	}
	if _, err := Unbundle(top + "  functional:\n    - {name: a, request: {body: 1}}\n"); err != nil {
		t.Errorf("a suite without data needs no bundle: %v", err)
	}
	for _, bad := range []string{"", "{", "{}", `{"kind":"SuiteBundle"}`, strings.Repeat("x", maxBundle+1)} {
		if s, err := Unbundle(bad); err == nil || s != nil {
			t.Errorf("%.20q was read", bad)
		}
	}
	if _, err := BundleFS(fsys, "../suite.yaml"); release.KindOf(err) != release.KindInvalid {
		t.Errorf("a path out of the file system: %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(top + "  functional:\n    - {name: a, request: {body: {x: [1, '{{a}}']}}, expect: {status: 4xx, json: [{path: a, in: [1]}]}}\n")
	f.Add(top + "  performance:\n    - {name: a, rate: 5/s, duration: 1s, request: {text: x}}\n  exceptions: [{battery: all, request: {body: {}}}]\n")
	f.Add(top + "  functional:\n    - {name: a, data: {file: rows.csv}, request: {text: '{{id}}'}, gates: [{metric: auc, score: s, label: label, positive: bad, atLeast: 0.5}]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		fsys := folder("")
		fsys["suite.yaml"].Data = []byte(text)
		s, faults := loadFS(fsys, "suite.yaml", "suite.yaml")
		if (s == nil) == (faults.Err() == nil) {
			t.Fatal("neither a suite nor faults, or both")
		}
		if s != nil && s.Cases() == 0 {
			t.Fatal("a suite without a case")
		}
		if lint := Lint("suite.yaml", []byte(text)); s != nil && lint.Err() != nil {
			t.Fatalf("lint refuses what load takes: %v", lint)
		}
		if s == nil {
			return
		}
		bundle, err := BundleFS(fsys, "suite.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Unbundle(bundle); err != nil {
			t.Fatalf("the bundle can't be read: %v", err)
		}
	})
}
