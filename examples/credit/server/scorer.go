package server

import (
	"fmt"
	"math"
	"net/http"

	"sluice.dev/sluice/examples/credit"
	"sluice.dev/sluice/examples/credit/scoring"
)

// scorer gives applicants to a model: it knows which field each feature of the model is.
type scorer struct {
	model  *scoring.Model
	fields []int // by feature: its place in credit.Fields
}

func newScorer(m *scoring.Model) (*scorer, error) {
	s := &scorer{model: m}
	for i, name := range m.Features() {
		at, ok := known.field(name)
		if !ok {
			return nil, fmt.Errorf("the model asks for %q, which is no field of an applicant (%s)", name, known.all)
		}
		if known.isText[at] != m.IsCategory(i) {
			return nil, fmt.Errorf("the model takes %q for another kind: only text fields are categories", name)
		}
		s.fields = append(s.fields, at)
	}
	return s, nil
}

func (s *scorer) score(a *applicant) (float64, *problem) {
	var room [credit.FieldCount]float64
	x := room[:0]
	for i, at := range s.fields {
		if s.model.IsCategory(i) {
			x = append(x, s.model.Code(i, a.texts[at]))
		} else {
			x = append(x, a.numbers[at])
		}
	}
	p := s.model.Score(x)
	if math.IsNaN(p) {
		return 0, &problem{
			Status: http.StatusUnprocessableEntity, Detail: "this version has no score for the applicant: it allows no missing values",
		}
	}
	return p, nil
}
