package suite

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/invopop/jsonschema"

	"sluice.dev/sluice/internal/release"
)

var rewrite = flag.Bool("rewrite", false, "write the schema instead of comparing it")

// mapper gives the schema of types that files write as text.
func mapper(t reflect.Type) *jsonschema.Schema {
	text := func(pattern string, examples ...any) *jsonschema.Schema {
		return &jsonschema.Schema{Type: "string", Pattern: pattern, Examples: examples}
	}
	or := func(s *jsonschema.Schema) *jsonschema.Schema {
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{s, {Type: "number", Minimum: "0"}}}
	}
	switch t {
	case reflect.TypeFor[release.Share]():
		return text(`^\s*[0-9]*\.?[0-9]*\s*%\s*$`, "0%", "0.5%")
	case reflect.TypeFor[release.Duration]():
		return text(`^\s*([0-9]+d)?([0-9.]+(ns|us|µs|ms|s|m|h))*0?\s*$`, "250ms", "5s", "10m")
	case reflect.TypeFor[release.Rate]():
		return text(`^\s*[0-9.]+\s*/\s*(s|sec|m|min|h|hour|d|day)\s*$`, "50/s")
	case reflect.TypeFor[release.Bytes]():
		return or(text(`^\s*[0-9.]+\s*([KMGT]iB|[kKMGT]B|B)?\s*$`, "512KiB", "4MiB"))
	case reflect.TypeFor[release.Margin]():
		return or(text(`^\s*[0-9.]+\s*(pp|x|%|bits?)?\s*$`, "2pp", "1.25x"))
	case reflect.TypeFor[release.Secret]():
		return text("", "env:TOKEN", "file:/run/secrets/token")
	}
	if e, ok := reflect.Zero(t).Interface().(release.Enum); ok && t.Kind() == reflect.String {
		s := &jsonschema.Schema{Type: "string"}
		for _, word := range e.Values() {
			s.Enum = append(s.Enum, word)
		}
		return s
	}
	return nil
}

// fieldComments are the comments of the file's types and fields.
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "file.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	line := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	for _, d := range file.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		spec, _ := gen.Specs[0].(*ast.TypeSpec)
		key := "sluice.dev/sluice/internal/suite." + spec.Name.Name
		out[key] = line(gen.Doc.Text())
		s, ok := spec.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, f := range s.Fields.List {
			text := f.Comment.Text()
			if text == "" {
				text = f.Doc.Text()
			}
			for _, n := range f.Names {
				out[key+"."+n.Name] = line(text)
			}
		}
	}
	return out
}

// TestSchema keeps docs/schema/suite.schema.json, by which editors complete a Suite file, what the types say:
// go test ./internal/suite -run TestSchema -rewrite writes it anew. The examples' suites obey it.
func TestSchema(t *testing.T) {
	r := &jsonschema.Reflector{Mapper: mapper, CommentMap: fieldComments(t), BaseSchemaID: "https://sluice.dev/schema", ExpandedStruct: true, Anonymous: true}
	s := r.Reflect(&File{})
	s.ID, s.Title = "https://sluice.dev/schema/v1alpha1/suite.json", release.KindSuite
	for name, value := range map[string]string{"apiVersion": release.APIVersion, "kind": release.KindSuite} {
		p, ok := s.Properties.Get(name)
		if !ok {
			t.Fatalf("no property %s", name)
		}
		p.Const = value
	}
	got, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	path := filepath.Join("..", "..", "docs", "schema", "suite.schema.json")
	if *rewrite {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if stored, err := os.ReadFile(path); err != nil || !bytes.Equal(stored, got) {
		t.Errorf("%s is not current (%v): go test ./internal/suite -run TestSchema -rewrite", path, err)
	}
	schema, err := compileSchema(got)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join("..", "..", "examples", "*", "suite.yaml"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%d suites, %v", len(files), err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if fault := obeys(t, schema.Validate, data); fault != nil {
			t.Errorf("%s: %v", name, fault)
		}
		if obeys(t, schema.Validate, bytes.Replace(data, []byte("deadline: 50s"), []byte("deadlin: 50s"), 1)) == nil {
			t.Errorf("%s: an unknown field is allowed", name)
		}
	}
}

func obeys(t *testing.T, validate func(any) error, data []byte) error {
	t.Helper()
	text, err := yaml.YAMLToJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	v, err := decodeJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	return validate(v)
}
