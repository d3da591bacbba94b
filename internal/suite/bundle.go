package suite

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"

	"sluice.dev/sluice/internal/release"
)

// kindBundle marks a suite that carries its data.
const kindBundle = "SuiteBundle"

// bundle is a suite with the files that it names. Its JSON is the same bytes for the same content.
type bundle struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Name       string            `json:"name"`             // how faults call the suite
	Suite      string            `json:"suite"`            // the Suite file as written
	Files      map[string]string `json:"files,omitempty"`  // by path, those that are UTF-8
	Binary     map[string][]byte `json:"binary,omitempty"` // the others
}

// Bundle reads the suite at a path, as Load does, and returns it with its data files as one text of at
// most 6 MiB that Unbundle reads anywhere.
func Bundle(file string) (string, error) {
	root, name, err := openFolder(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = root.Close() }() // it was only read from
	return bundleFS(root.FS(), name, file)
}

// BundleFS is Bundle for a file system; the suite's folder is that of name inside it.
func BundleFS(fsys fs.FS, name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", release.Invalid("bundle suite", "%q is no path of the file system", clean(name, 100))
	}
	folder, err := fs.Sub(fsys, path.Dir(name))
	if err != nil {
		return "", release.NotFound("bundle suite", "%s: %v", clean(name, 100), err)
	}
	return bundleFS(folder, path.Base(name), name)
}

func bundleFS(folder fs.FS, name, shown string) (string, error) {
	s, faults := loadFS(folder, name, shown)
	if err := faults.Err(); err != nil {
		return "", err
	}
	return s.bundled(name, shown)
}

// bundled is the suite with its data files as one text.
func (s *Suite) bundled(name, shown string) (string, error) {
	b := bundle{APIVersion: release.APIVersion, Kind: kindBundle, Name: name, Suite: string(s.source)}
	for p, data := range s.files {
		if utf8.Valid(data) {
			if b.Files == nil {
				b.Files = map[string]string{}
			}
			b.Files[p] = string(data)
			continue
		}
		if b.Binary == nil {
			b.Binary = map[string][]byte{}
		}
		b.Binary[p] = data
	}
	text, err := json.Marshal(b)
	if err != nil {
		return "", release.Internal("bundle suite", err, "%s has no JSON form", shown)
	}
	if len(text) > maxBundle {
		return "", release.Invalid("bundle suite", "%s and its data have %d bytes together, at most %d can be sent", shown, len(text), maxBundle).
			Fix("use smaller data files")
	}
	return string(text), nil
}

// Unbundle reads what Bundle made, or a Suite file that names no data.
func Unbundle(s string) (*Suite, error) {
	if len(s) > maxBundle {
		return nil, release.Invalid("read suite", "it has %d bytes, at most %d are read", len(s), maxBundle)
	}
	b := bundle{Name: "suite", Suite: s}
	if strings.HasPrefix(s, "{") {
		var sent bundle
		if err := json.Unmarshal([]byte(s), &sent); err == nil && sent.Kind == kindBundle {
			b = sent
		}
	}
	suite, faults := parse(clean(b.Name, 100), []byte(b.Suite), func(p string) ([]byte, error) {
		if text, ok := b.Files[p]; ok {
			return []byte(text), nil
		}
		if data, ok := b.Binary[p]; ok {
			return data, nil
		}
		return nil, fmt.Errorf("it did not travel with the suite: %w", fs.ErrNotExist)
	})
	return suite, faults.Err()
}
