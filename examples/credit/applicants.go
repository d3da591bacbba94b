package credit

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"sluice.dev/sluice/examples/credit/scoring"
)

// The age bands of a request. Sluice reads them as a segment; the models do not.
const (
	Under30 = "under-30"
	Plus30  = "30-plus"
)

// Applicant is one row of the held-out data.
type Applicant struct {
	Row    int                // from 0, in the order of the file
	Good   bool               // the credit was paid back
	Values [FieldCount]string // by Fields, as in the file; "" is missing
}

// Applicants reads the embedded held-out applicants.
func Applicants() ([]Applicant, error) {
	data, err := Data.ReadFile("data/credit_test.csv")
	if err != nil {
		return nil, fmt.Errorf("credit: %w", err)
	}
	list, err := ReadApplicants(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("credit: credit_test.csv: %w", err)
	}
	return list, nil
}

// ReadApplicants reads applicants from CSV: the column status (good or bad), then the columns of Fields in
// that order. A number must be finite and not negative, or empty.
func ReadApplicants(r io.Reader) ([]Applicant, error) {
	c := csv.NewReader(r)
	head := []string{"status"}
	fields := Fields()
	for _, f := range fields {
		head = append(head, f.Name)
	}
	c.FieldsPerRecord = len(head)
	c.ReuseRecord = true
	got, err := c.Read()
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	if !slices.Equal(got, head) {
		return nil, fmt.Errorf("header: %v, want %v", got, head)
	}
	var list []Applicant
	for {
		rec, err := c.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		a, err := parseApplicant(rec)
		if err != nil {
			line, _ := c.FieldPos(0)
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		a.Row = len(list)
		list = append(list, a)
	}
}

func parseApplicant(rec []string) (Applicant, error) {
	if rec[0] != "good" && rec[0] != "bad" {
		return Applicant{}, fmt.Errorf("status %q, want good or bad", rec[0])
	}
	a := Applicant{Good: rec[0] == "good"}
	copy(a.Values[:], rec[1:])
	for i, f := range Fields() {
		if f.Text || a.Values[i] == "" {
			continue
		}
		if v, err := strconv.ParseFloat(a.Values[i], 64); err != nil || v < 0 || math.IsInf(v, 0) || math.IsNaN(v) {
			return Applicant{}, fmt.Errorf("%s %q, want a number from 0", f.Name, a.Values[i])
		}
	}
	return a, nil
}

// Outcome is the decision that would have been right: scoring.Approve for a good credit, else scoring.Deny.
func (a Applicant) Outcome() string {
	if a.Good {
		return scoring.Approve
	}
	return scoring.Deny
}

// AgeBand returns Under30 or Plus30, or "" when the age is missing.
func (a Applicant) AgeBand() string {
	const age = 3 // in Fields; a test holds the two together
	v, err := strconv.ParseFloat(a.Values[age], 64)
	switch {
	case err != nil:
		return ""
	case v < 30:
		return Under30
	}
	return Plus30
}

// AppendFields appends the age band and the fields as members of a JSON object, without braces. Missing ones
// are null.
func (a Applicant) AppendFields(dst []byte) []byte {
	dst = append(dst, `"age_band":`...)
	dst = appendText(dst, a.AgeBand())
	for i, f := range Fields() {
		dst = append(dst, ',', '"')
		dst = append(dst, f.Name...)
		dst = append(dst, '"', ':')
		if f.Text {
			dst = appendText(dst, a.Values[i])
			continue
		}
		v, err := strconv.ParseFloat(a.Values[i], 64)
		if err != nil { // empty: anything else was refused when it was read
			dst = append(dst, "null"...)
			continue
		}
		dst = strconv.AppendFloat(dst, v, 'f', -1, 64)
	}
	return dst
}

// appendText appends s as a JSON string, "" as null.
func appendText(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always has a JSON form
	}
	return append(dst, quoted...)
}

// Features returns the applicant as m's input.
func (a Applicant) Features(m *scoring.Model) []float64 {
	fields := Fields()
	names := m.Features()
	x := make([]float64, len(names))
	for i, name := range names {
		x[i] = math.NaN()
		at := slices.IndexFunc(fields[:], func(f Field) bool { return f.Name == name })
		if at < 0 {
			continue
		}
		if m.IsCategory(i) {
			x[i] = m.Code(i, a.Values[at])
		} else if v, err := strconv.ParseFloat(a.Values[at], 64); err == nil {
			x[i] = v
		}
	}
	return x
}
