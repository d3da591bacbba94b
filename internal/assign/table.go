package assign

import (
	"slices"
	"strings"

	"sluice.dev/sluice/internal/release"
)

// Table is the compiled lookup from a unit to its arm: immutable, safe for concurrent use, no
// allocation for units of ordinary length.
type Table struct {
	salt string
	// Up to three intervals, which is all that one candidate ever needs, are two comparisons without a
	// search: values up to first belong to arms[0], up to second to arms[1], the others to arms[2].
	first, second uint64
	arms          [3]uint8
	many          []Interval // beyond three: binary search
	only          bool       // one arm has all: nothing to hash
}

// NewTable compiles a salt and intervals, which Validate must accept. The salt must not contain a
// zero byte, which separates it from the unit.
func NewTable(salt string, intervals []Interval) (*Table, error) {
	if strings.IndexByte(salt, 0) >= 0 {
		return nil, release.Invalid("compile table", "the salt contains a zero byte")
	}
	if err := Validate(intervals); err != nil {
		return nil, err
	}
	merged := join(segmentsOf(intervals))
	t := &Table{salt: salt}
	switch n := len(merged); {
	case n > 3:
		t.many = merged
	case n == 1:
		t.only = true
		t.arms = [3]uint8{merged[0].Arm, merged[0].Arm, merged[0].Arm}
	default:
		last := merged[n-1]
		t.first, t.second = merged[0].Last, merged[1].Last
		t.arms = [3]uint8{merged[0].Arm, merged[1].Arm, last.Arm}
	}
	return t, nil
}

// Arm returns the unit's arm.
func (t *Table) Arm(unit []byte) uint8 {
	if t.only {
		return t.arms[0]
	}
	return t.ArmOf(Hash(t.salt, unit))
}

// ArmString is Arm for a string.
func (t *Table) ArmString(unit string) uint8 {
	if t.only {
		return t.arms[0]
	}
	return t.ArmOf(Hash(t.salt, unit))
}

// ArmOf returns the arm to which a hash value (of Hash with the table's salt) belongs.
func (t *Table) ArmOf(h uint64) uint8 {
	if t.many == nil {
		i := 0
		if h > t.first {
			i = 1
		}
		if h > t.second {
			i = 2
		}
		return t.arms[i]
	}
	i, _ := slices.BinarySearchFunc(t.many, h, func(iv Interval, h uint64) int {
		if iv.Last < h {
			return -1
		}
		return 1
	})
	return t.many[i].Arm
}

// Salt returns the salt that the table hashes with.
func (t *Table) Salt() string { return t.salt }
