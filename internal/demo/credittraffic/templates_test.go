package credittraffic

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sluice.dev/sluice/examples/credit"
	"sluice.dev/sluice/examples/credit/server"
)

func newTemplates(tb testing.TB) (*Templates, []credit.Applicant) {
	tb.Helper()
	list, err := credit.Applicants()
	if err != nil {
		tb.Fatal(err)
	}
	t, err := NewTemplates(list)
	if err != nil {
		tb.Fatal(err)
	}
	return t, list
}

// TestEveryRequestIsAnswered sends each row to each version, and finds the measured accuracy in the answers.
func TestEveryRequestIsAnswered(t *testing.T) {
	tmpl, list := newTemplates(t)
	for version, want := range map[string]float64{"v1": .6925, "v2": .8125, "v3": .5608} {
		m, err := credit.Load(version)
		if err != nil {
			t.Fatal(err)
		}
		h, err := server.New(server.Options{Version: version, Model: m})
		if err != nil {
			t.Fatal(err)
		}
		right := 0
		for row := range list {
			req := Request{User: uint64(row) * 1e15, Row: row}
			r := httptest.NewRequest(http.MethodPost, "/credit", strings.NewReader(string(tmpl.AppendBody(nil, req))))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			var got struct{ Decision string }
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
				t.Fatalf("row %d: %d %s", row, w.Code, w.Body)
			}
			if got.Decision == tmpl.Outcome(req) {
				right++
			}
		}
		if got := float64(right) / float64(len(list)); math.Abs(got-want) > 1e-4 {
			t.Errorf("%s is right in %.4f, want %.4f", version, got, want)
		}
	}
}

func TestBody(t *testing.T) {
	tmpl, list := newTemplates(t)
	if tmpl.Len() != len(list) {
		t.Fatalf("%d templates for %d applicants", tmpl.Len(), len(list))
	}
	for row, a := range list {
		req := Request{User: math.MaxUint64, Row: row}
		body := tmpl.AppendBody([]byte("x"), req)
		var got struct {
			Applicant struct {
				ID      string `json:"id"`
				AgeBand string `json:"age_band"`
			}
		}
		if err := json.Unmarshal(body[1:], &got); err != nil || body[0] != 'x' {
			t.Fatalf("%s: %v", body, err)
		}
		if got.Applicant.ID != "u18446744073709551615" || got.Applicant.ID != string(AppendUser(nil, req)) {
			t.Fatalf("row %d: id %q", row, got.Applicant.ID)
		}
		if got.Applicant.AgeBand != a.AgeBand() || tmpl.AgeBand(req) != a.AgeBand() || tmpl.Outcome(req) != a.Outcome() {
			t.Fatalf("row %d: %+v, %s, %s", row, got, tmpl.AgeBand(req), tmpl.Outcome(req))
		}
		if len(body) >= 400 {
			t.Fatalf("row %d: %d bytes", row, len(body))
		}
	}
	if _, err := NewTemplates(nil); err == nil {
		t.Error("no error without applicants")
	}
}

func TestRequestsAllocateNothing(t *testing.T) {
	tmpl, _ := newTemplates(t)
	s := newSource(t, Config{}, tmpl.Len())
	buf := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(1000, func() { buf = tmpl.AppendBody(buf[:0], s.Next()) }); n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}

func BenchmarkAppendBody(b *testing.B) {
	tmpl, _ := newTemplates(b)
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		buf = tmpl.AppendBody(buf[:0], Request{User: uint64(i), Row: i % tmpl.Len()})
		i++
	}
}

func Example() {
	list, err := credit.Applicants()
	if err != nil {
		panic(err)
	}
	templates, err := NewTemplates(list)
	if err != nil {
		panic(err)
	}
	source, err := NewSource(Config{Seed: 1}, templates.Len())
	if err != nil {
		panic(err)
	}
	asked := source.Next()
	fmt.Println(len(templates.AppendBody(nil, asked)) > 200, asked.Row < len(list))
	fmt.Printf("%s\n", templates.AppendBody(nil, Request{User: 42, Row: 0}))
	fmt.Println(templates.Outcome(Request{Row: 0}))
	// Output:
	// true true
	// {"applicant":{"id":"u42","age_band":"30-plus","seniority":9,"home":"rent","time":60,"age":30,"marital":"married","records":"no","job":"freelance","expenses":73,"income":129,"assets":0,"debt":0,"amount":800,"price":846}}
	// approve
}
