package release

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// ParseModel reads a Model file, YAML or JSON, and checks all that can be checked without the world: its
// form, its units, its words and its sense. The Faults hold everything that is wrong, each with place
// and remedy, and warnings; use Faults.Err to know whether the file can be used. The model is nil if
// not, otherwise as it was written: Normalise fills its defaults.
func ParseModel(name string, data []byte) (*Model, Faults) {
	m, at, faults := DecodeStrict[Model](name, data, KindModel)
	if !at.Faulty("") {
		faults = append(faults, m.validate(at)...)
	}
	faults = faults.Sorted()
	if faults.Err() != nil {
		return nil, faults
	}
	return m, faults
}

// Validate checks the sense of a model that did not come from a file, such as one with an adjusted plan.
func (m *Model) Validate() Faults { return m.validate(nil).Sorted() }

// Clone returns a deep copy.
func (m *Model) Clone() *Model {
	data, err := json.Marshal(m)
	var c Model
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		// Every value that validation accepts has a JSON form that reads back: see TestCanonical.
		panic("release: model cannot be copied: " + err.Error())
	}
	return &c
}

// Canonical is the normalised model as JSON, always the same bytes for the same meaning, and its SHA-256
// in hexadecimal: what a release freezes, and by what it is recognised. The model must be valid.
func (m *Model) Canonical() ([]byte, string) {
	data, err := json.Marshal(m.Normalise())
	if err != nil {
		panic("release: model has no JSON form: " + err.Error())
	}
	sum := sha256.Sum256(data)
	return data, hex.EncodeToString(sum[:])
}
