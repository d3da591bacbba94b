package server

import (
	"strings"

	"sluice.dev/sluice/examples/credit"
)

// Members of applicant have places: first credit.Fields in their order, then these two.
const (
	placeOfID   = credit.FieldCount
	placeOfBand = credit.FieldCount + 1
	memberCount = credit.FieldCount + 2
)

// members is what is known about the members of applicant. It never changes.
type members struct {
	names  [memberCount]string
	isText [memberCount]bool
	places map[string]int // by name
	all    string         // the names, for people
}

var known = newMembers()

func newMembers() *members {
	m := &members{places: make(map[string]int, memberCount)}
	for i, f := range credit.Fields() {
		m.names[i], m.isText[i] = f.Name, f.Text
	}
	m.names[placeOfID], m.isText[placeOfID] = "id", true
	m.names[placeOfBand], m.isText[placeOfBand] = "age_band", true
	for i, name := range m.names {
		m.places[name] = i
	}
	m.all = strings.Join(m.names[:], ", ")
	return m
}

// field is the place of a field of credit.Fields.
func (m *members) field(name string) (int, bool) {
	at, ok := m.places[name]
	return at, ok && at < credit.FieldCount
}
