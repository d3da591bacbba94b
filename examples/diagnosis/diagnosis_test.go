package diagnosis_test

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"testing"

	"sluice.dev/sluice/examples/diagnosis"
)

// TestDataIsAsItsProvenanceSays finds the hash of each data file in PROVENANCE.md.
func TestDataIsAsItsProvenanceSays(t *testing.T) {
	text, err := diagnosis.Data.ReadFile("data/PROVENANCE.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := diagnosis.Data.ReadDir("data")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() == "LICENSE" || f.Name() == "PROVENANCE.md" {
			continue
		}
		data, err := diagnosis.Data.ReadFile("data/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		if !strings.Contains(string(text), hex.EncodeToString(sum[:])+"  "+f.Name()) {
			t.Errorf("%s is not the file that PROVENANCE.md describes", f.Name())
		}
	}
}

// TestQuality recomputes the figures of the README from data and models.
func TestQuality(t *testing.T) {
	samples, err := diagnosis.Samples()
	if err != nil {
		t.Fatal(err)
	}
	names, err := diagnosis.Measurements()
	if err != nil {
		t.Fatal(err)
	}
	if len(samples) != 240 || len(names) != 30 {
		t.Fatalf("%d samples of %d measurements, want 240 of 30", len(samples), len(names))
	}
	for _, want := range []struct {
		version     string
		found, calm int // malignant samples called malignant, benign ones benign
		auc         float64
	}{{"v1", 59, 137, .911}, {"v2", 80, 151, .996}} {
		m, err := diagnosis.Load(want.version)
		if err != nil {
			t.Fatal(err)
		}
		var found, calm int
		var sick, well []float64
		for _, s := range samples {
			var x []float64
			for _, f := range m.Features() {
				x = append(x, s.Values[slices.Index(names, f)])
			}
			p := m.Score(x)
			right := diagnosis.Diagnose(p) == s.Truth()
			if s.Malignant {
				sick = append(sick, p)
			} else {
				well = append(well, p)
			}
			switch {
			case right && s.Malignant:
				found++
			case right:
				calm++
			}
		}
		if found != want.found || calm != want.calm || len(sick) != 89 {
			t.Errorf("%s: finds %d of %d malignant and spares %d benign, want %d of 89 and %d", want.version, found, len(sick), calm, want.found, want.calm)
		}
		if got := auc(sick, well); math.Abs(got-want.auc) > .0006 {
			t.Errorf("%s: AUC %.4f, want %.3f", want.version, got, want.auc)
		}
	}
}

// auc counts the pairs that stand in the right order.
func auc(sick, well []float64) float64 {
	var n float64
	for _, s := range sick {
		for _, w := range well {
			switch {
			case s > w:
				n++
			case s == w:
				n += .5
			}
		}
	}
	return n / float64(len(sick)*len(well))
}

func TestLoadOfAnUnknownVersion(t *testing.T) {
	if _, err := diagnosis.Load("v9"); err == nil || !strings.Contains(err.Error(), "v1 v2") {
		t.Errorf("%v, want an error that names the versions", err)
	}
}
