package slm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Limits of a model file.
const (
	MaxBytes  = 64 << 20
	maxTokens = 1 << 16
	maxWidth  = 4096
	maxLayers = 64
)

// Model is a model ready to run. Make one with Parse.
type Model struct {
	tokens, width, heads, inner int
	embed                       matrix
	layers                      []layer
	norm                        []float32
}

// matrix holds rows one after the other.
type matrix struct {
	cols int
	w    []float32
}

type layer struct {
	norm1, norm2           []float32
	q, k, v, o, w1, w3, w2 matrix
}

// Tokens is the size of the vocabulary.
func (m *Model) Tokens() int { return m.tokens }

// Parameters is the number of weights.
func (m *Model) Parameters() int {
	n := len(m.embed.w) + len(m.norm)
	for _, l := range m.layers {
		n += len(l.norm1) + len(l.norm2)
		for _, x := range []matrix{l.q, l.k, l.v, l.o, l.w1, l.w3, l.w2} {
			n += len(x.w)
		}
	}
	return n
}

// Parse reads a model file and checks it whole: sizes, length, and that every number is finite.
func Parse(data []byte) (*Model, error) {
	const head = 24
	if len(data) < head || len(data) > MaxBytes {
		return nil, fmt.Errorf("slm: the file has %d bytes, want %d to %d", len(data), head, MaxBytes)
	}
	if string(data[:4]) != "SLM1" {
		return nil, fmt.Errorf("slm: the file begins with %q, not SLM1", data[:4])
	}
	var dims [5]int
	for i := range dims {
		dims[i] = int(binary.LittleEndian.Uint32(data[4+4*i:]))
	}
	m := &Model{tokens: dims[0], width: dims[1], heads: dims[3], inner: dims[4]}
	layers := dims[2]
	if err := m.check(layers); err != nil {
		return nil, err
	}
	if want := head + m.size(layers); len(data) != want {
		return nil, fmt.Errorf("slm: the file has %d bytes, but its sizes ask for %d", len(data), want)
	}
	r := reader{rest: data[head:]}
	m.embed = r.matrix(m.tokens, m.width)
	for range layers {
		m.layers = append(m.layers, r.layer(m.width, m.inner))
	}
	m.norm = r.numbers(m.width)
	if r.bad {
		return nil, errors.New("slm: a scale or norm is not a finite number")
	}
	return m, nil
}

func (m *Model) check(layers int) error {
	switch {
	case m.tokens < 2 || m.tokens > maxTokens:
		return fmt.Errorf("slm: %d tokens, want 2 to %d", m.tokens, maxTokens)
	case m.width < 2 || m.width > maxWidth || m.inner < 1 || m.inner > 4*maxWidth:
		return fmt.Errorf("slm: width %d and inner width %d, want at most %d and %d", m.width, m.inner, maxWidth, 4*maxWidth)
	case layers < 1 || layers > maxLayers:
		return fmt.Errorf("slm: %d layers, want 1 to %d", layers, maxLayers)
	case m.heads < 1 || m.width%(2*m.heads) != 0:
		return fmt.Errorf("slm: %d heads do not divide the width %d into even parts", m.heads, m.width)
	}
	return nil
}

// size is the length of everything behind the sizes, in bytes. It can't overflow, because check bounds the sizes.
func (m *Model) size(layers int) int {
	rows := func(n, cols int) int { return n * (4 + cols) }
	perLayer := 8*m.width + 4*rows(m.width, m.width) + 2*rows(m.inner, m.width) + rows(m.width, m.inner)
	return rows(m.tokens, m.width) + layers*perLayer + 4*m.width
}

// reader takes numbers off data whose length was checked.
type reader struct {
	rest []byte
	bad  bool // a number was not finite
}

func (r *reader) number() float32 {
	v := math.Float32frombits(binary.LittleEndian.Uint32(r.rest))
	r.rest = r.rest[4:]
	if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
		r.bad = true
	}
	return v
}

func (r *reader) numbers(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = r.number()
	}
	return v
}

func (r *reader) matrix(rows, cols int) matrix {
	m := matrix{cols: cols, w: make([]float32, 0, rows*cols)}
	for range rows {
		scale := r.number()
		for _, b := range r.rest[:cols] {
			m.w = append(m.w, scale*float32(int8(b)))
		}
		r.rest = r.rest[cols:]
	}
	return m
}

func (r *reader) layer(width, inner int) layer {
	var l layer
	l.norm1 = r.numbers(width)
	for _, m := range []*matrix{&l.q, &l.k, &l.v, &l.o} {
		*m = r.matrix(width, width)
	}
	l.norm2 = r.numbers(width)
	l.w1, l.w3 = r.matrix(inner, width), r.matrix(inner, width)
	l.w2 = r.matrix(width, inner)
	return l
}
