package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"sluice.dev/sluice/examples/credit"
)

const (
	maxFaults = 16  // listed in one refusal
	maxID     = 256 // bytes of an applicant's id
	maxNumber = 1e9 // of any field: within single precision, beyond any credit
	maxName   = 64  // characters of a foreign member's name that a refusal repeats
)

// applicant is a request's content by credit.Fields: NaN and "" where missing.
type applicant struct {
	numbers [credit.FieldCount]float64
	texts   [credit.FieldCount]string
}

// parse reads a body. Syntax is checked before anything else, so that a body which is no JSON is always a 400.
func parse(body []byte) (*applicant, *problem) {
	if !utf8.Valid(body) {
		return nil, &problem{Status: http.StatusBadRequest, Detail: "the body is not UTF-8"}
	}
	if !json.Valid(body) {
		return nil, &problem{Status: http.StatusBadRequest, Detail: "the body is not JSON: " + syntaxError(body)}
	}
	p := parser{in: scanner{data: body}}
	for i := range p.out.numbers {
		p.out.numbers[i] = math.NaN()
	}
	p.body()
	if len(p.faults) == 0 {
		return &p.out, nil
	}
	status := http.StatusUnprocessableEntity
	for _, f := range p.faults {
		status = min(status, f.status)
	}
	first := p.faults[0]
	place := first.Pointer
	if place == "" {
		place = "the body"
	}
	return nil, &problem{Status: status, Detail: place + ": " + first.Detail, Errors: p.faults}
}

func syntaxError(body []byte) string {
	var ignored json.RawMessage
	err := json.Unmarshal(body, &ignored)
	var s *json.SyntaxError
	if errors.As(err, &s) {
		return fmt.Sprintf("%v at byte %d", s, s.Offset)
	}
	return "unknown fault"
}

// parser walks the tokens of a body that is valid JSON.
type parser struct {
	in     scanner
	out    applicant
	faults []fault
}

func (p *parser) body() {
	seen := false
	opened := p.object("", "an object with the member applicant", func(name []byte) {
		switch {
		case string(name) != "applicant":
			p.unknown("", name, "the only member here is applicant")
		case seen:
			p.repeated("", "applicant")
		default:
			seen = true
			p.applicant()
		}
	})
	if opened && !seen {
		p.fault(http.StatusUnprocessableEntity, "/applicant", "is required")
	}
}

func (p *parser) applicant() {
	var seen [memberCount]bool
	p.object("/applicant", "an object", func(raw []byte) {
		at, ok := known.places[string(raw)]
		switch {
		case !ok:
			p.unknown("/applicant", raw, "the members here are "+known.all)
		case seen[at]:
			p.repeated("/applicant", known.names[at])
		default:
			seen[at] = true
			p.member(at)
		}
	})
}

// member reads the value of a known member of applicant.
func (p *parser) member(at int) {
	switch t := p.in.next(); t.kind {
	case null:
	case text:
		p.setText(at, string(t.text))
	case number:
		p.setNumber(at, string(t.text))
	case openObject, openArray:
		p.in.skip()
		p.wrongType(at)
	default:
		p.wrongType(at)
	}
}

func (p *parser) setText(at int, v string) {
	switch {
	case at == placeOfID:
		if v == "" || len(v) > maxID {
			p.fault(http.StatusUnprocessableEntity, "/applicant/id", fmt.Sprintf("has %d bytes, want 1 to %d", len(v), maxID))
		}
	case at == placeOfBand:
		if v != credit.Under30 && v != credit.Plus30 {
			p.wrongType(at)
		}
	case !known.isText[at]:
		p.wrongType(at)
	default:
		p.out.texts[at] = v
	}
}

func (p *parser) setNumber(at int, v string) {
	if known.isText[at] {
		p.wrongType(at)
		return
	}
	x, err := strconv.ParseFloat(v, 64)
	if err != nil || x < 0 || x > maxNumber {
		p.wrongType(at)
		return
	}
	p.out.numbers[at] = x
}

func (p *parser) wrongType(at int) {
	want := "want a number from 0 to 1e9, or null"
	switch {
	case at == placeOfID:
		want = "want a string, or null"
	case at == placeOfBand:
		want = fmt.Sprintf("want %q or %q, or null", credit.Under30, credit.Plus30)
	case known.isText[at]:
		want = "want a string, or null"
	}
	p.fault(http.StatusUnprocessableEntity, "/applicant/"+known.names[at], want)
}

// object calls member for each name of the object that comes next; member reads the value. When something else
// comes, it notes a fault at pointer, skips it and answers false.
func (p *parser) object(pointer, want string, member func(name []byte)) bool {
	switch t := p.in.next(); t.kind {
	case openObject:
	case openArray:
		p.in.skip()
		fallthrough
	default:
		p.fault(http.StatusUnprocessableEntity, pointer, "want "+want)
		return false
	}
	for {
		t := p.in.next()
		if t.kind == closeObject {
			return true
		}
		member(t.text)
	}
}

func (p *parser) unknown(parent string, name []byte, remedy string) {
	p.in.skipValue()
	p.fault(http.StatusBadRequest, parent+"/"+escape(string(name)), "unknown member; "+remedy)
}

func (p *parser) repeated(parent, name string) {
	p.in.skipValue()
	p.fault(http.StatusBadRequest, parent+"/"+name, "is there twice")
}

func (p *parser) fault(status int, pointer, detail string) {
	if len(p.faults) < maxFaults {
		p.faults = append(p.faults, fault{Pointer: pointer, Detail: detail, status: status})
	}
}

// escape makes a foreign name a part of a JSON Pointer, shortened where it is long.
func escape(name string) string {
	if r := []rune(name); len(r) > maxName {
		name = string(r[:maxName]) + "…"
	}
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
