package credit_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"sluice.dev/sluice/examples/credit"
	"sluice.dev/sluice/examples/credit/scoring"
)

// TestDataIsAsItsProvenanceSays compares each file with its hash in PROVENANCE.md.
func TestDataIsAsItsProvenanceSays(t *testing.T) {
	text, err := credit.Data.ReadFile("data/PROVENANCE.md")
	if err != nil {
		t.Fatal(err)
	}
	checked := map[string]bool{"LICENSE": true, "PROVENANCE.md": true}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		sum, name, ok := strings.Cut(strings.TrimSpace(s.Text()), "  ")
		if !ok || len(sum) != 64 {
			continue
		}
		data, err := credit.Data.ReadFile("data/" + name)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := sha256.Sum256(data); hex.EncodeToString(got[:]) != sum {
			t.Errorf("%s is not the file that PROVENANCE.md describes", name)
		}
		checked[name] = true
	}
	files, err := credit.Data.ReadDir("data")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !checked[f.Name()] {
			t.Errorf("%s has no line in PROVENANCE.md", f.Name())
		}
	}
	if len(checked) != 6 {
		t.Errorf("%d files, want 6", len(checked))
	}
}

func TestLoad(t *testing.T) {
	known := map[string]bool{}
	for _, f := range credit.Fields() {
		known[f.Name] = f.Text
	}
	for _, version := range credit.Versions() {
		m, err := credit.Load(version)
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range m.Features() {
			if text, ok := known[name]; !ok || text != m.IsCategory(i) {
				t.Errorf("%s: feature %s is not a field of that kind", version, name)
			}
		}
	}
	if _, err := credit.Load("v4"); err == nil || !strings.Contains(err.Error(), "v1 v2 v3") {
		t.Errorf("Load of an unknown version: %v", err)
	}
}

func TestApplicants(t *testing.T) {
	list, err := credit.Applicants()
	if err != nil {
		t.Fatal(err)
	}
	good, young := 0, 0
	for i, a := range list {
		if a.Row != i {
			t.Fatalf("applicant %d says row %d", i, a.Row)
		}
		if a.Good {
			good++
		}
		if (a.Outcome() == scoring.Approve) != a.Good {
			t.Errorf("row %d: outcome %s, good %t", i, a.Outcome(), a.Good)
		}
		if a.AgeBand() == credit.Under30 {
			young++
		}
		checkJSON(t, a)
	}
	if len(list) != 1200 || good != 862 || young != 360 {
		t.Errorf("%d applicants, %d good, %d under 30; want 1200, 862, 360", len(list), good, young)
	}
}

// checkJSON reads the fields back from their JSON form.
func checkJSON(t *testing.T, a credit.Applicant) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader("{" + string(a.AppendFields(nil)) + "}"))
	d.UseNumber()
	var back map[string]any
	if err := d.Decode(&back); err != nil {
		t.Fatalf("row %d: %v", a.Row, err)
	}
	if back["age_band"] != a.AgeBand() {
		t.Errorf("row %d: age band %v, want %s", a.Row, back["age_band"], a.AgeBand())
	}
	for i, f := range credit.Fields() {
		got := ""
		switch v := back[f.Name].(type) {
		case string:
			got = v
		case json.Number:
			got = v.String()
		}
		if want := strings.TrimSuffix(a.Values[i], ".0"); got != want {
			t.Errorf("row %d: %s is %q, want %q", a.Row, f.Name, got, want)
		}
	}
	if len(back) != credit.FieldCount+1 {
		t.Errorf("row %d: %d members, want %d", a.Row, len(back), credit.FieldCount+1)
	}
}

func TestReadApplicantsNamesTheFault(t *testing.T) {
	const head = "status,seniority,home,time,age,marital,records,job,expenses,income,assets,debt,amount,price\n"
	const row = "good,9,rent,60,30,married,no,freelance,73,129.0,0.0,0.0,800,846\n"
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", "header: EOF"},
		{"other columns", strings.Replace(head, "age", "years", 1) + row, "want [status seniority"},
		{"short row", head + "good,9\n", "wrong number of fields"},
		{"status", head + row + strings.Replace(row, "good", "fair", 1), `line 3: status "fair"`},
		{"text for a number", head + strings.Replace(row, "129.0", "much", 1), `line 2: income "much"`},
		{"negative", head + strings.Replace(row, "129.0", "-1", 1), `income "-1"`},
		{"not a number", head + strings.Replace(row, "129.0", "NaN", 1), `income "NaN"`},
	} {
		if _, err := credit.ReadApplicants(strings.NewReader(c.file)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
	list, err := credit.ReadApplicants(strings.NewReader(head + strings.Replace(row, ",30,", ",,", 1)))
	if err != nil || len(list) != 1 || list[0].AgeBand() != "" {
		t.Errorf("a missing age: %v, %v", list, err)
	}
}
