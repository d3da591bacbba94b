package scoring

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// Limits of a model file: far above any sensible model, low enough that a hostile file does no harm.
const (
	MaxBytes    = 16 << 20
	MaxFeatures = 1024
	MaxNodes    = 1 << 20 // over all trees
)

// file is a model file as it stands. Pointers tell "absent" from zero.
type file struct {
	Kind       string              `json:"kind"`
	Task       string              `json:"task"`
	Features   []string            `json:"features"`
	Categories map[string][]string `json:"categories"`

	Bias    *number  `json:"bias"`
	Weights []number `json:"weights"`
	Mean    []number `json:"mean"`
	Scale   []number `json:"scale"`
	Fill    []number `json:"fill"`

	BaseMargin *number      `json:"base_margin"`
	Trees      [][][]number `json:"trees"`
}

// number is a finite JSON number. Unlike a plain float64 it refuses null, which would else read as 0.
type number float64

func (n *number) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return fmt.Errorf("%.40s is not a finite number", b)
	}
	*n = number(v)
	return nil
}

// Parse reads a model file and checks it whole. The error names the first fault and where it is.
func Parse(data []byte) (*Model, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("scoring: the file has %d bytes, at most %d are allowed", len(data), MaxBytes)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var f file
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("scoring: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("scoring: something follows the JSON object")
	}
	m, err := f.model()
	if err != nil {
		return nil, fmt.Errorf("scoring: %w", err)
	}
	return m, nil
}

func (f *file) model() (*Model, error) {
	m := &Model{kind: f.Kind, task: f.Task, features: f.Features}
	if err := f.checkFeatures(); err != nil {
		return nil, err
	}
	if err := m.setCodes(f.Categories); err != nil {
		return nil, err
	}
	switch f.Kind {
	case "logistic":
		return m, m.setLinear(f)
	case "gbt-logistic":
		return m, m.setTrees(f)
	}
	return nil, fmt.Errorf(`kind %q: want "logistic" or "gbt-logistic"`, f.Kind)
}

func (f *file) checkFeatures() error {
	if len(f.Features) == 0 || len(f.Features) > MaxFeatures {
		return fmt.Errorf("features: %d names, want 1 to %d", len(f.Features), MaxFeatures)
	}
	seen := map[string]bool{}
	for i, name := range f.Features {
		if name == "" || seen[name] {
			return fmt.Errorf("features[%d]: %q is empty or there already", i, name)
		}
		seen[name] = true
	}
	return nil
}

func (m *Model) setCodes(categories map[string][]string) error {
	m.codes = make([]map[string]float64, len(m.features))
	found := 0
	for i, name := range m.features {
		values, ok := categories[name]
		if !ok {
			continue
		}
		found++
		m.codes[i] = make(map[string]float64, len(values))
		for code, text := range values {
			if _, twice := m.codes[i][text]; twice {
				return fmt.Errorf("categories.%s[%d]: %q is there already", name, code, text)
			}
			m.codes[i][text] = float64(code)
		}
	}
	if found != len(categories) {
		return fmt.Errorf("categories: %d of %d names are not among the features", len(categories)-found, len(categories))
	}
	return nil
}

func (m *Model) setLinear(f *file) error {
	if f.Trees != nil || f.BaseMargin != nil {
		return errors.New("kind logistic: trees and base_margin belong to gbt-logistic")
	}
	if f.Bias == nil {
		return errors.New("bias is missing")
	}
	n := len(m.features)
	for _, l := range []struct {
		name   string
		values []number
	}{{"weights", f.Weights}, {"mean", f.Mean}, {"scale", f.Scale}} {
		if len(l.values) != n {
			return fmt.Errorf("%s: %d values for %d features", l.name, len(l.values), n)
		}
	}
	if f.Fill != nil && len(f.Fill) != n {
		return fmt.Errorf("fill: %d values for %d features (leave it out when nothing may be missing)", len(f.Fill), n)
	}
	m.bias = float64(*f.Bias)
	m.terms = make([]term, n)
	for i := range m.terms {
		t := term{weight: float64(f.Weights[i]), mean: float64(f.Mean[i]), scale: float64(f.Scale[i]), fill: math.NaN()}
		if t.scale <= 0 {
			return fmt.Errorf("scale[%d]: %g, want a positive number", i, t.scale)
		}
		if f.Fill != nil {
			t.fill = float64(f.Fill[i])
		}
		m.terms[i] = t
	}
	return nil
}
