package images_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"sluice.dev/sluice/examples/images"
)

func TestDataIsAsItsProvenanceSays(t *testing.T) {
	text, err := images.Data.ReadFile("data/PROVENANCE.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := images.Data.ReadDir("data")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() == "LICENSE" || f.Name() == "PROVENANCE.md" {
			continue
		}
		data, err := images.Data.ReadFile("data/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		if !strings.Contains(string(text), hex.EncodeToString(sum[:])+"  "+f.Name()) {
			t.Errorf("%s is not the file that PROVENANCE.md describes", f.Name())
		}
	}
}

// TestQuality recomputes the figures of the README over all 500 images.
func TestQuality(t *testing.T) {
	products, err := images.Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	category := map[string]int{}
	for _, p := range products {
		category[p.ID] = p.Category
	}
	for _, want := range []struct {
		version     string
		right, hits int // categories that are right, similar products of the same category (of 4 each)
	}{{"v1", 348, 1358}, {"v2", 440, 1525}} {
		n, err := images.Load(want.version)
		if err != nil {
			t.Fatal(err)
		}
		r := images.NewRecommender(n, products)
		right, hits := 0, 0
		for _, p := range products {
			label, similar := r.Recommend(p.Pixels)
			if label == n.Label(p.Category) {
				right++
			}
			for _, id := range similar {
				if id == p.ID {
					t.Fatalf("%s recommends %s beside itself", want.version, id)
				}
				if c, ok := category[id]; !ok {
					t.Fatalf("%s recommends %q, which is no product", want.version, id)
				} else if c == p.Category {
					hits++
				}
			}
		}
		if right != want.right || hits != want.hits {
			t.Errorf("%s: %d categories right and %d hits, want %d and %d", want.version, right, hits, want.right, want.hits)
		}
	}
}
