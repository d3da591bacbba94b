package suite

import (
	"fmt"
	"strings"
	"time"
)

// Family is a kind of cases.
type Family string

// The families, in the order in which they run.
const (
	FamilyFunctional  Family = "functional"
	FamilyPerformance Family = "performance"
	FamilyException   Family = "exception"
)

// Status is what became of a case.
type Status string

// Undecided is a gate that its data can't settle: never a pass. Skipped is a comparison with live without a
// live version, or a part of the battery for which the sample has nothing to change: neither says anything.
const (
	Passed    Status = "passed"
	Failed    Status = "failed"
	Undecided Status = "undecided"
	Skipped   Status = "skipped"
)

// Result is what became of one case, one gate or one part of a battery.
type Result struct {
	Family   Family             `json:"family"`
	Name     string             `json:"name"`
	Required bool               `json:"required"`
	Tags     []string           `json:"tags,omitempty"`
	Status   Status             `json:"status"`
	Message  string             `json:"message"`           // on one line, in words
	Details  []string           `json:"details,omitempty"` // what failed, at most maxDetails
	Numbers  map[string]float64 `json:"numbers,omitempty"` // latencies in seconds; all finite
	Seconds  float64            `json:"durationSeconds"`
}

const maxDetails = 10

// ok says whether the result does not stop a release.
func (r *Result) ok() bool { return !r.Required || r.Status == Passed || r.Status == Skipped }

// note adds a detail, up to the limit.
func (r *Result) note(text string) {
	if len(r.Details) < maxDetails {
		r.Details = append(r.Details, clean(text, 400))
	}
}

// Report is what a run showed. Results are in the order of the file.
type Report struct {
	Suite   string    `json:"suite"`
	Target  string    `json:"target"`         // base URL without password
	Live    string    `json:"live,omitempty"` // the same of the version that was compared with
	Seed    uint64    `json:"seed"`
	Started time.Time `json:"started"`
	Seconds float64   `json:"durationSeconds"`
	Results []Result  `json:"results"`
}

// Passed says whether every required case passed, and at least one did.
func (r *Report) Passed() bool {
	return r.RequiredCount() > 0 && len(r.FailedRequired()) == 0
}

// RequiredCount is the number of required cases that ran; skipped ones show nothing and don't count.
func (r *Report) RequiredCount() int {
	n := 0
	for i := range r.Results {
		if r.Results[i].Required && r.Results[i].Status != Skipped {
			n++
		}
	}
	return n
}

// FailedRequired names the required cases that failed or were undecided, as "family/name".
func (r *Report) FailedRequired() []string {
	var out []string
	for i := range r.Results {
		if c := &r.Results[i]; !c.ok() {
			out = append(out, string(c.Family)+"/"+c.Name)
		}
	}
	return out
}

// UndecidedOnly says whether the suite did not pass, but only because required cases could not tell.
func (r *Report) UndecidedOnly() bool {
	undecided := false
	for i := range r.Results {
		if c := &r.Results[i]; !c.ok() {
			if c.Status != Undecided {
				return false
			}
			undecided = true
		}
	}
	return undecided
}

// Count is the number of results of a status.
func (r *Report) Count(s Status) int {
	n := 0
	for i := range r.Results {
		if r.Results[i].Status == s {
			n++
		}
	}
	return n
}

// Summary says in one sentence how the run ended.
func (r *Report) Summary() string {
	required, bad := r.RequiredCount(), r.FailedRequired()
	took := round(time.Duration(r.Seconds * float64(time.Second)))
	switch {
	case required == 0:
		return fmt.Sprintf("%s: no required case ran, which shows nothing", r.Suite)
	case len(bad) == 0:
		text := fmt.Sprintf("%s: all %d required cases passed in %s", r.Suite, required, took)
		if optional := r.Count(Failed) + r.Count(Undecided); optional > 0 {
			text += fmt.Sprintf("; %d optional did not", optional)
		}
		return text
	}
	var words []string
	failed, undecided := 0, 0
	for i := range r.Results {
		c := &r.Results[i]
		switch {
		case c.ok():
			continue
		case c.Status == Undecided:
			undecided++
		default:
			failed++
		}
		if len(words) < 3 {
			words = append(words, c.Name+" ("+clean(c.Message, 160)+")")
		}
	}
	var counts []string
	if failed > 0 {
		counts = append(counts, fmt.Sprintf("%d failed", failed))
	}
	if undecided > 0 {
		counts = append(counts, fmt.Sprintf("%d could not be decided", undecided))
	}
	if more := len(bad) - len(words); more > 0 {
		words = append(words, fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("%s: of %d required cases %s: %s", r.Suite, required, strings.Join(counts, " and "), strings.Join(words, ", "))
}
