package images

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// Limits of a network file.
const (
	maxBytes  = 16 << 20
	maxLayers = 16
	maxWidth  = 4096
)

// Network is a feed-forward network with 8-bit weights: per layer out = in * W * scale + bias, and what is negative
// becomes 0, but in the last layer. Its input is an image with pixels from 0 to 1. It never changes and is safe for
// concurrent use.
type Network struct {
	labels []string
	layers []dense
}

// dense is a layer; weight (i, j) from input i to output j is w[i*cols+j].
type dense struct {
	rows, cols  int
	w           []int8
	scale, bias []float32
}

// networkFile is a network as it is stored: JSON, the weights as base64 of signed bytes.
type networkFile struct {
	Kind   string
	Labels []string
	Layers []struct {
		Rows, Cols  int
		W           []byte
		Scale, Bias []float32
	}
}

// ParseNetwork reads a network and checks it whole: each layer fits the one before, the last one the labels, and all
// numbers are finite.
func ParseNetwork(data []byte) (*Network, error) {
	if len(data) > maxBytes {
		return nil, fmt.Errorf("network: %d bytes, at most %d are allowed", len(data), maxBytes)
	}
	var f networkFile
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("network: something follows the JSON object")
	}
	if f.Kind != "mlp-int8" || len(f.Layers) == 0 || len(f.Layers) > maxLayers {
		return nil, fmt.Errorf("network: kind %q with %d layers, want mlp-int8 with 1 to %d", f.Kind, len(f.Layers), maxLayers)
	}
	n := &Network{labels: f.Labels}
	in := Pixels
	for i, l := range f.Layers {
		if l.Rows != in || l.Cols < 1 || l.Cols > maxWidth || len(l.W) != l.Rows*l.Cols || len(l.Scale) != l.Cols || len(l.Bias) != l.Cols {
			return nil, fmt.Errorf("network: layers[%d]: %d by %d with %d weights, %d scales and %d biases do not fit each other or the %d numbers before",
				i, l.Rows, l.Cols, len(l.W), len(l.Scale), len(l.Bias), in)
		}
		if !finite(l.Scale) || !finite(l.Bias) {
			return nil, fmt.Errorf("network: layers[%d]: a number is not finite", i)
		}
		w := make([]int8, len(l.W))
		for j, b := range l.W {
			w[j] = int8(b)
		}
		n.layers = append(n.layers, dense{l.Rows, l.Cols, w, l.Scale, l.Bias})
		in = l.Cols
	}
	if in != len(f.Labels) {
		return nil, fmt.Errorf("network: %d outputs for %d labels", in, len(f.Labels))
	}
	return n, nil
}

func finite(list []float32) bool {
	for _, v := range list {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return false
		}
	}
	return true
}

// Label is the name of a category.
func (n *Network) Label(category int) string { return n.labels[category] }

// Run returns the likeliest category of an image of Pixels bytes, and the activity of the layer before the last one,
// or nil in a network of one layer.
func (n *Network) Run(pixels []byte) (category int, inner []float32) {
	x := make([]float32, len(pixels))
	for i, p := range pixels {
		x[i] = float32(p) / 255
	}
	for i := range n.layers {
		if i > 0 {
			inner = x
		}
		x = n.layers[i].run(x, i+1 < len(n.layers))
	}
	for i, v := range x {
		if v > x[category] {
			category = i
		}
	}
	return category, inner
}

func (l *dense) run(x []float32, rectify bool) []float32 {
	out := make([]float32, l.cols)
	for i, v := range x {
		if v == 0 { // half of an image is empty
			continue
		}
		for j, w := range l.w[i*l.cols : (i+1)*l.cols] {
			out[j] += v * float32(w)
		}
	}
	for j := range out {
		out[j] = out[j]*l.scale[j] + l.bias[j]
		if rectify {
			out[j] = max(out[j], 0)
		}
	}
	return out
}
