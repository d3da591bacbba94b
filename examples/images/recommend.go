package images

import (
	"bytes"
	"slices"
)

// Similar is how many products are recommended.
const Similar = 4

// Recommender finds the category of an image and the products of the catalogue that are most like it. A network with an
// inner layer compares by that layer's activity, one without by raw pixels; the distance is Euclid's. It never changes
// and is safe for concurrent use.
type Recommender struct {
	network  *Network
	products []Product
	features [][]float32 // by product
}

// NewRecommender prepares the catalogue.
func NewRecommender(n *Network, products []Product) *Recommender {
	r := &Recommender{network: n, products: products}
	for _, p := range products {
		_, f := r.look(p.Pixels)
		r.features = append(r.features, f)
	}
	return r
}

// look returns an image's category and what it is compared by.
func (r *Recommender) look(pixels []byte) (int, []float32) {
	category, f := r.network.Run(pixels)
	if f == nil {
		f = make([]float32, len(pixels))
		for i, p := range pixels {
			f[i] = float32(p)
		}
	}
	return category, f
}

// Recommend returns the category of an image of Pixels bytes and the ids of the most similar products, the nearest
// first and of equals the one that comes first in the catalogue. The product whose image it is, is left out.
func (r *Recommender) Recommend(pixels []byte) (category string, similar [Similar]string) {
	number, f := r.look(pixels)
	type near struct {
		at       int
		distance float32
	}
	var best []near
	for i, g := range r.features {
		d := distance(f, g)
		if len(best) == Similar && d >= best[Similar-1].distance || bytes.Equal(pixels, r.products[i].Pixels) {
			continue
		}
		at := len(best)
		for at > 0 && best[at-1].distance > d {
			at--
		}
		best = slices.Insert(best, at, near{i, d})
		best = best[:min(len(best), Similar)]
	}
	for i, b := range best {
		similar[i] = r.products[b.at].ID
	}
	return r.network.Label(number), similar
}

func distance(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1 float32
	i := 0
	for ; i+2 <= len(a); i += 2 {
		d0, d1 := a[i]-b[i], a[i+1]-b[i+1]
		s0 += d0 * d0
		s1 += d1 * d1
	}
	for ; i < len(a); i++ {
		s0 += (a[i] - b[i]) * (a[i] - b[i])
	}
	return s0 + s1
}
