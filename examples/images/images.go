// Package images holds what the parts of the images example share: 500 product images of 28 by 28 grey pixels in ten
// categories, and two neural networks that name the category, embedded from the folder data (whose licence and origin
// stand beside the files).
//
// Around it: network.go reads and runs the networks, recommend.go finds similar products, server answers POST /image
// with one version, cmd/imageserver is that server as a program. See README.md for the story.
package images

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"strconv"
)

// Data holds the folder data: networks, images, licence and provenance. Read only.
//
//go:embed data
var Data embed.FS

// Files holds what the commands of Sluice are given: the Model file, its suite and the data that the suite names.
// Read only.
//
//go:embed model.yaml suite.yaml data/sample.bin data/fashion_test500.bin.gz
var Files embed.FS

// Pixels is the number of bytes of an image: 28 rows of 28, 0 is empty and 255 full.
const Pixels = 28 * 28

// count is the number of images in the file.
const count = 500

// Product is one image of the catalogue.
type Product struct {
	ID       string // "p0" to "p499", by its place in the file
	Category int    // its true category, an index into Network.Labels
	Pixels   []byte
}

// Catalogue reads the embedded images. The file holds, per image, a byte of category and then the pixels.
func Catalogue() ([]Product, error) {
	data, err := Data.ReadFile("data/fashion_test500.bin.gz")
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("images: fashion_test500.bin.gz: %w", err)
	}
	const row = 1 + Pixels
	all, err := io.ReadAll(io.LimitReader(z, count*row+1))
	if err != nil {
		return nil, fmt.Errorf("images: fashion_test500.bin.gz: %w", err)
	}
	if len(all) != count*row {
		return nil, fmt.Errorf("images: fashion_test500.bin.gz: %d bytes, want %d images of %d", len(all), count, row)
	}
	list := make([]Product, count)
	for i := range list {
		p := all[i*row : (i+1)*row]
		list[i] = Product{ID: "p" + strconv.Itoa(i), Category: int(p[0]), Pixels: p[1:]}
	}
	return list, nil
}

// Versions returns the names that Load knows, oldest first.
func Versions() []string { return []string{"v1", "v2"} }

// Load reads one of the embedded networks: v1 (softmax regression) or v2 (one inner layer of 64).
func Load(version string) (*Network, error) {
	name := map[string]string{"v1": "fashion_v1_softmax.json", "v2": "fashion_v2_mlp64.json"}[version]
	if name == "" {
		return nil, fmt.Errorf("images: no version %q, want one of %v", version, Versions())
	}
	data, err := Data.ReadFile("data/" + name)
	if err != nil {
		return nil, fmt.Errorf("images: version %s: %w", version, err)
	}
	n, err := ParseNetwork(data)
	if err != nil {
		return nil, fmt.Errorf("images: version %s: %w", version, err)
	}
	return n, nil
}
