package tally

import (
	"encoding/binary"
	"math"
)

// writer appends the pieces of a snapshot.
type writer struct{ b []byte }

func (w *writer) byte(v byte)     { w.b = append(w.b, v) }
func (w *writer) uint(v uint64)   { w.b = binary.AppendUvarint(w.b, v) }
func (w *writer) int(v int64)     { w.b = binary.AppendVarint(w.b, v) }
func (w *writer) fixed(v uint64)  { w.b = binary.LittleEndian.AppendUint64(w.b, v) }
func (w *writer) float(v float64) { w.fixed(math.Float64bits(v)) }
func (w *writer) text(s string)   { w.uint(uint64(len(s))); w.b = append(w.b, s...) }
func (w *writer) len(n int)       { w.uint(uint64(n)) }

func (w *writer) bool(v bool) {
	if v {
		w.byte(1)
	} else {
		w.byte(0)
	}
}

// Forms of a row of numbers.
const (
	rowNone   = iota // nil
	rowInts          // every number is whole and small: signed varints
	rowFloats        // 8 bytes each
)

func (w *writer) floats(row []float64) {
	if row == nil {
		w.byte(rowNone)
		return
	}
	for _, v := range row {
		if v != math.Trunc(v) || math.Abs(v) >= 1<<53 || v == 0 && math.Signbit(v) {
			w.byte(rowFloats)
			for _, v := range row {
				w.float(v)
			}
			return
		}
	}
	w.byte(rowInts)
	for _, v := range row {
		w.int(int64(v))
	}
}

func (w *writer) counts(c *counts) {
	if c.lo == nil {
		w.byte(rowNone)
		return
	}
	w.byte(rowInts)
	for i := range c.lo {
		w.uint(c.at(i))
	}
}

func (w *writer) rows(rows []counts) {
	w.len(len(rows))
	for i := range rows {
		w.counts(&rows[i])
	}
}

func (w *writer) diffs(rows [][]int32) {
	w.len(len(rows))
	for _, r := range rows {
		w.diff(r)
	}
}

func (w *writer) diff(row []int32) {
	w.bool(row != nil)
	for _, d := range row {
		w.int(int64(d))
	}
}

// hist writes only the buckets in use, each by its distance from the one before.
func (w *writer) hist(h *hist) {
	w.bool(h != nil)
	if h == nil {
		return
	}
	used := 0
	for _, p := range h.pages {
		if p != nil {
			for _, c := range p {
				used += int(indicator(c != 0))
			}
		}
	}
	w.len(used)
	last := 0
	for i, p := range h.pages {
		if p == nil {
			continue
		}
		for j, c := range p {
			if c != 0 {
				w.len(i*pageLen + j - last)
				w.uint(c)
				last = i*pageLen + j
			}
		}
	}
}

// reader walks over a snapshot. After the first fault it is bad and yields zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() { r.b, r.bad = nil, true }

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) atMost(most uint64) uint64 {
	v := r.uint()
	if v > most {
		r.fail()
		return 0
	}
	return v
}

func (r *reader) fixed() uint64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

// float reads a finite number: sums of finite values that overflowed would poison every verdict.
func (r *reader) float() float64 {
	v := math.Float64frombits(r.fixed())
	if math.IsNaN(v) || math.IsInf(v, 0) {
		r.fail()
		return 0
	}
	return v
}

func (r *reader) bool() bool { return r.atOne() == 1 }

func (r *reader) atOne() byte {
	v := r.byte()
	if v > 1 {
		r.fail()
		return 0
	}
	return v
}

// len reads a number of elements that take at least size bytes each.
func (r *reader) len(most, size int) int {
	n := int(r.atMost(uint64(most)))
	if n*size > len(r.b) {
		r.fail()
		return 0
	}
	return n
}

func (r *reader) text(most int) string {
	n := r.len(most, 1)
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) floats() []float64 {
	form := r.byte()
	if form == rowNone {
		return nil
	}
	row := make([]float64, partBins)
	for i := range row {
		switch form {
		case rowInts:
			row[i] = float64(r.int())
		case rowFloats:
			row[i] = r.float()
		default:
			r.fail()
		}
		if r.bad {
			return nil
		}
	}
	return row
}

func (r *reader) counts() counts {
	switch form := r.byte(); {
	case form == rowNone:
		return counts{}
	case form != rowInts || len(r.b) < partBins:
		r.fail()
		return counts{}
	}
	c := newCounts(partBins)
	for i := range partBins {
		c.add(i, r.uint())
	}
	return c
}

func (r *reader) rows(want int) []counts {
	n := r.len(want, 1)
	if n == 0 {
		return nil
	}
	if n != want {
		r.fail()
		return nil
	}
	rows := make([]counts, n)
	for i := range rows {
		rows[i] = r.counts()
	}
	return rows
}

func (r *reader) diffs(want int) [][]int32 {
	n := r.len(want, 1)
	if n == 0 {
		return nil
	}
	if n != want {
		r.fail()
		return nil
	}
	rows := make([][]int32, n)
	for i := range rows {
		rows[i] = r.diff()
	}
	return rows
}

func (r *reader) diff() []int32 {
	if !r.bool() {
		return nil
	}
	if len(r.b) < partBins {
		r.fail()
		return nil
	}
	row := make([]int32, partBins)
	for i := range row {
		row[i] = int32(r.int())
	}
	return row
}

func (r *reader) hist(buckets int) *hist {
	if !r.bool() {
		return nil
	}
	h := newHist(buckets)
	at := 0
	for range r.len(buckets, 2) {
		at += int(r.atMost(uint64(buckets)))
		n := r.uint()
		if at >= buckets || n == 0 {
			r.fail()
			return nil
		}
		h.add(at, n)
	}
	return h
}
