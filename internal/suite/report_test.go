package suite

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func sampleReport() *Report {
	const evil = `<script>alert("1")</script> & ]]> 'x'`
	return &Report{
		Suite: "x", Target: "http://127.0.0.1:1", Seed: 1, Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Seconds: 1.5,
		Results: []Result{
			{Family: FamilyFunctional, Name: "good", Required: true, Status: Passed, Message: "fine"},
			{Family: FamilyFunctional, Name: "bad " + evil, Required: true, Status: Failed, Message: evil, Details: []string{evil, "second"}, Numbers: map[string]float64{"rows": 3}, Tags: []string{"t"}},
			{Family: FamilyFunctional, Name: "open", Required: true, Status: Undecided, Message: "40 rows can't tell"},
			{Family: FamilyPerformance, Name: "slow", Status: Failed, Message: "p95"},
			{Family: FamilyException, Name: "none", Required: true, Status: Skipped, Message: "no live"},
		},
	}
}

func TestReportVerdict(t *testing.T) {
	r := sampleReport()
	if r.Passed() || r.RequiredCount() != 3 || len(r.FailedRequired()) != 2 || r.UndecidedOnly() {
		t.Errorf("passed %v, required %d, failed %q", r.Passed(), r.RequiredCount(), r.FailedRequired())
	}
	if s := r.Summary(); !strings.HasPrefix(s, "x: of 3 required cases 1 failed and 1 could not be decided: bad ") || strings.Contains(s, "\n") {
		t.Error(s)
	}
	r.Results = r.Results[:1]
	if !r.Passed() || r.Summary() != "x: all 1 required cases passed in 1.5s" {
		t.Error(r.Summary())
	}
	r.Results[0].Status = Skipped
	if r.Passed() {
		t.Error("a report of skipped cases passed")
	}
	r.Results = nil
	if r.Passed() {
		t.Error("an empty report passed")
	}
}

func TestReportJSON(t *testing.T) {
	var b bytes.Buffer
	if err := sampleReport().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Passed         bool
		Required       int
		FailedRequired []string
		Summary        string
		Report
	}
	type plain Report // Report's own MarshalJSON adds what is not read back
	var back plain
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || len(back.Results) != 5 || back.Results[1].Numbers["rows"] != 3 {
		t.Errorf("%v %+v", err, back)
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || got.Required != 3 || len(got.FailedRequired) != 2 || got.Summary == "" || got.Passed {
		t.Errorf("%v %+v", err, got)
	}
}

func TestReportTable(t *testing.T) {
	var b strings.Builder
	if err := sampleReport().WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"passed ", "undecided", "failed (optional)", "  - second", "required cases 1 failed"} {
		if !strings.Contains(b.String(), words) {
			t.Errorf("no %q in\n%s", words, b.String())
		}
	}
}

func TestReportJUnit(t *testing.T) {
	var b bytes.Buffer
	if err := sampleReport().WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	var got junitSuites
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Tests != 5 || got.Failures != 2 || got.Skipped != 2 || len(got.Suites) != 3 {
		t.Errorf("%d tests, %d failures, %d skipped", got.Tests, got.Failures, got.Skipped)
	}
	bad := got.Suites[0].Cases[1]
	if bad.Failure == nil || bad.Failure.Message != `<script>alert("1")</script> & ]]> 'x'` || !strings.Contains(bad.Failure.Text, "second") {
		t.Errorf("%+v", bad.Failure)
	}
	if open := got.Suites[0].Cases[2]; open.Failure == nil || open.Failure.Type != "undecided" {
		t.Errorf("a gate that can't tell is no failure: %+v", open)
	}
}

// TestReportHTML: one page without script or request, and nothing of what a server said becomes markup.
func TestReportHTML(t *testing.T) {
	var b bytes.Buffer
	if err := sampleReport().WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, banned := range []string{"<script", "src=", `href="h`, `href="/`, "http-equiv=\"refresh", "@import", "url("} {
		if strings.Contains(page, banned) {
			t.Errorf("the page has %q", banned)
		}
	}
	for _, words := range []string{"&lt;script&gt;", "not passed", "40 rows can&#39;t tell", "<dt>rows</dt><dd>3</dd>", "optional"} {
		if !strings.Contains(page, words) {
			t.Errorf("the page lacks %q", words)
		}
	}
	if n := strings.Count(page, `class="case"`); n != 5 {
		t.Errorf("%d results, want 5", n)
	}
}

// TestPictures: an interval is drawn with its limit, all inside the picture and in their order.
func TestPictures(t *testing.T) {
	for _, c := range []struct {
		numbers map[string]float64
		limit   string // how it lies to the interval; "" for no picture
	}{
		{map[string]float64{"lower": 0.7, "upper": 0.9, "estimate": 0.8, "atLeast": 0.5}, "left"},
		{map[string]float64{"lower": -0.2, "upper": -0.1, "difference": -0.15, "allowed": -0.05}, "right"},
		{map[string]float64{"lower": 0.7, "upper": 0.9, "estimate": 0.8, "atMost": 0.8}, "inside"},
		{map[string]float64{"lower": 0.7, "upper": 0.7}, ""},
		{map[string]float64{"requests": 3}, ""},
	} {
		p := drawn(&Result{Numbers: c.numbers})
		if (p != nil) != (c.limit != "") {
			t.Errorf("%v: picture %v", c.numbers, p)
		}
		if p == nil {
			continue
		}
		var lo, hi, est, limit float64
		if _, err := fmt.Sscan(p.Lo, &lo); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscan(p.Hi+" "+p.Est+" "+p.Limits[0].At, &hi, &est, &limit); err != nil {
			t.Fatal(err)
		}
		place := "inside"
		if limit < lo {
			place = "left"
		} else if limit > hi {
			place = "right"
		}
		if place != c.limit || !(0 <= min(lo, limit) && lo < est && est < hi && max(hi, limit) <= 100) {
			t.Errorf("%v: %+v", c.numbers, p)
		}
	}
}

// failingWriter is a full disk.
type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestReportWritersTellErrors(t *testing.T) {
	r := sampleReport()
	for name, write := range map[string]func(io.Writer) error{"table": r.WriteTable, "JSON": r.WriteJSON, "JUnit": r.WriteJUnit, "HTML": r.WriteHTML} {
		if write(failingWriter{}) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
