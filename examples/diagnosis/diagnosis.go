// Package diagnosis holds what the parts of the diagnosis example share: the 240 held-out samples of fine-needle
// aspirates and the two models, embedded from the folder data (whose licence and origin stand beside the files).
//
// Around it: server answers POST /diagnose with one of the models, cmd/diagnosisserver is that server as a program.
// The reader of the models is the credit example's package scoring. See README.md for the story. None of this is for
// clinical use.
package diagnosis

import (
	"bytes"
	"embed"
	"encoding/csv"
	"fmt"
	"math"
	"strconv"

	"sluice.dev/sluice/examples/credit/scoring"
)

// Data holds the folder data: models, samples, licence and provenance. Read only.
//
//go:embed data
var Data embed.FS

// Files holds what the commands of Sluice are given: the Model file, its suite and the data that the suite names.
// Read only.
//
//go:embed model.yaml suite.yaml data/wdbc_test.csv
var Files embed.FS

// The two diagnoses.
const (
	Malignant = "malignant"
	Benign    = "benign"
)

// Cutoff is the P(malignant) from which a sample is called malignant.
const Cutoff = 0.5

// Diagnose names the diagnosis for P(malignant).
func Diagnose(p float64) string {
	if p >= Cutoff {
		return Malignant
	}
	return Benign
}

// Versions returns the names that Load knows, oldest first.
func Versions() []string { return []string{"v1", "v2"} }

// Load reads one of the embedded models: v1 (logistic, 4 measurements) or v2 (logistic, all 30). Score is P(malignant).
func Load(version string) (*scoring.Model, error) {
	name := map[string]string{"v1": "wdbc_v1_logistic4.json", "v2": "wdbc_v2_logistic30.json"}[version]
	if name == "" {
		return nil, fmt.Errorf("diagnosis: no version %q, want one of %v", version, Versions())
	}
	data, err := Data.ReadFile("data/" + name)
	if err != nil {
		return nil, fmt.Errorf("diagnosis: version %s: %w", version, err)
	}
	m, err := scoring.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("diagnosis: version %s: %w", version, err)
	}
	return m, nil
}

// Sample is one row of the held-out data.
type Sample struct {
	Values    []float64 // by Measurements
	Malignant bool
}

// Truth is Malignant or Benign.
func (s Sample) Truth() string {
	if s.Malignant {
		return Malignant
	}
	return Benign
}

// Measurements returns the names of the 30 measurements in the order of the data file, and Samples its rows.
func Measurements() ([]string, error) {
	names, _, err := read()
	return names, err
}

// Samples reads the embedded held-out samples.
func Samples() ([]Sample, error) {
	_, list, err := read()
	return list, err
}

func read() ([]string, []Sample, error) {
	data, err := Data.ReadFile("data/wdbc_test.csv")
	if err != nil {
		return nil, nil, fmt.Errorf("diagnosis: %w", err)
	}
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		return nil, nil, fmt.Errorf("diagnosis: wdbc_test.csv: %w", err)
	}
	last := len(rows[0]) - 1
	if rows[0][last] != "malignant" {
		return nil, nil, fmt.Errorf("diagnosis: wdbc_test.csv: the last column is %q, want malignant", rows[0][last])
	}
	var list []Sample
	for i, row := range rows[1:] {
		s := Sample{Malignant: row[last] == "1"}
		for _, cell := range row[:last] {
			v, err := strconv.ParseFloat(cell, 64)
			if err != nil || v < 0 || math.IsInf(v, 0) || math.IsNaN(v) {
				return nil, nil, fmt.Errorf("diagnosis: wdbc_test.csv: line %d: %q, want a number from 0", i+2, cell)
			}
			s.Values = append(s.Values, v)
		}
		list = append(list, s)
	}
	return rows[0][:last], list, nil
}
