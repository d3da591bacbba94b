package suite

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteTable writes the report for people: a line per result, details below those that did not pass, and
// the summary.
func (r *Report) WriteTable(w io.Writer) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "RESULT\tFAMILY\tCASE\tTIME\tMESSAGE")
	for i := range r.Results {
		c := &r.Results[i]
		status := string(c.Status)
		if !c.Required {
			status += " (optional)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", status, c.Family, c.Name, round(c.took()), c.Message)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i := range r.Results {
		c := &r.Results[i]
		if len(c.Details) == 0 || c.Status == Passed {
			continue
		}
		fmt.Fprintf(&b, "\n%s/%s:\n", c.Family, c.Name)
		for _, d := range c.Details {
			fmt.Fprintf(&b, "  - %s\n", d)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", r.Summary())
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Result) took() time.Duration { return time.Duration(r.Seconds * float64(time.Second)) }

// MarshalJSON adds to the fields what the methods say: passed, required, failedRequired and summary. They
// are not read back.
func (r *Report) MarshalJSON() ([]byte, error) {
	type fields Report // without methods, so that this is not called again
	failed := r.FailedRequired()
	if failed == nil {
		failed = []string{}
	}
	return json.Marshal(struct {
		Passed         bool     `json:"passed"`
		Required       int      `json:"required"`
		FailedRequired []string `json:"failedRequired"`
		Summary        string   `json:"summary"`
		*fields
	}{r.Passed(), r.RequiredCount(), failed, r.Summary(), (*fields)(r)})
}

// WriteJSON writes the report as one JSON object.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// The JUnit format, as CI servers read it.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr"`
	Cases     []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string       `xml:"name,attr"`
	Class   string       `xml:"classname,attr"`
	Time    string       `xml:"time,attr"`
	Failure *junitReason `xml:"failure"`
	Skipped *junitReason `xml:"skipped"`
	Out     string       `xml:"system-out,omitempty"`
}

type junitReason struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the report as JUnit XML, a test suite per family. Required cases that failed or were
// undecided are failures; optional ones are skipped with their message, so that they turn no build red.
func (r *Report) WriteJUnit(w io.Writer) error {
	all := junitSuites{Name: r.Suite, Time: fmt.Sprintf("%.3f", r.Seconds)}
	for _, f := range []Family{FamilyFunctional, FamilyPerformance, FamilyException} {
		s := junitSuite{Name: r.Suite + "." + string(f), Timestamp: r.Started.Format("2006-01-02T15:04:05")}
		took := 0.0
		for i := range r.Results {
			if c := &r.Results[i]; c.Family == f {
				s.add(r.Suite, c)
				took += c.Seconds
			}
		}
		if s.Tests == 0 {
			continue
		}
		s.Time = fmt.Sprintf("%.3f", took)
		all.Tests, all.Failures, all.Skipped = all.Tests+s.Tests, all.Failures+s.Failures, all.Skipped+s.Skipped
		all.Suites = append(all.Suites, s)
	}
	data, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, xml.Header+string(data)+"\n")
	return err
}

func (s *junitSuite) add(suite string, c *Result) {
	out := junitCase{Name: c.Name, Class: suite + "." + string(c.Family), Time: fmt.Sprintf("%.3f", c.Seconds)}
	reason := &junitReason{Message: c.Message, Type: string(c.Status), Text: strings.Join(c.Details, "\n")}
	switch {
	case !c.ok():
		out.Failure = reason
		s.Failures++
	case c.Status == Passed:
		out.Out = c.Message
	default:
		if c.Status != Skipped {
			reason.Message = "optional, " + string(c.Status) + ": " + c.Message
		}
		reason.Type = ""
		out.Skipped = reason
		s.Skipped++
	}
	s.Tests++
	s.Cases = append(s.Cases, out)
}
