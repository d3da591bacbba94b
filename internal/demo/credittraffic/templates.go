package credittraffic

import (
	"errors"
	"strconv"

	"sluice.dev/sluice/examples/credit"
)

// Templates hold for each applicant the ready-made body of a request, into which only the user is written. They
// never change and are safe for concurrent use.
type Templates struct {
	rows []template
}

type template struct {
	tail    string // of the body, from behind the user
	outcome string
	band    string
}

const head = `{"applicant":{"id":"`

// NewTemplates prepares the bodies for requests about these applicants.
func NewTemplates(list []credit.Applicant) (*Templates, error) {
	if len(list) == 0 {
		return nil, errors.New("credittraffic: no applicants")
	}
	t := &Templates{rows: make([]template, len(list))}
	for i, a := range list {
		t.rows[i] = template{
			tail:    `",` + string(a.AppendFields(nil)) + `}}`,
			outcome: a.Outcome(),
			band:    a.AgeBand(),
		}
	}
	return t, nil
}

// Len is the number of applicants.
func (t *Templates) Len() int { return len(t.rows) }

// AppendUser appends the id of r's user, such as "u123": letters and digits only, at most 21 bytes.
func AppendUser(dst []byte, r Request) []byte {
	return strconv.AppendUint(append(dst, 'u'), r.User, 10)
}

// AppendBody appends the JSON body of r. It allocates only when dst has too little room; bodies have less than
// 400 bytes.
func (t *Templates) AppendBody(dst []byte, r Request) []byte {
	dst = append(dst, head...)
	dst = AppendUser(dst, r)
	return append(dst, t.rows[r.Row].tail...)
}

// Outcome is the decision that turns out to have been right for r, "approve" or "deny": the feedback to give.
func (t *Templates) Outcome(r Request) string { return t.rows[r.Row].outcome }

// AgeBand is r's segment, "under-30" or "30-plus".
func (t *Templates) AgeBand(r Request) string { return t.rows[r.Row].band }
