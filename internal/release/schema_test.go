package release

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
)

const packagePath = "sluice.dev/sluice/internal/release"

// texts are the patterns and examples of the types that files write as text.
var texts = map[reflect.Type]struct {
	pattern  string
	examples []any
}{
	reflect.TypeFor[Share]():    {`^\s*[0-9]*\.?[0-9]*\s*%\s*$`, []any{"20%", "0.5%"}},
	reflect.TypeFor[Duration](): {`^\s*([0-9]+d)?([0-9.]+(ns|us|µs|ms|s|m|h))*0?\s*$`, []any{"90s", "10m", "72h", "3d"}},
	reflect.TypeFor[Rate]():     {`^\s*[0-9.]+\s*/\s*(s|sec|m|min|h|hour|d|day)\s*$`, []any{"40/s", "20000/day"}},
	reflect.TypeFor[Bytes]():    {`^\s*[0-9.]+\s*([KMGT]iB|[kKMGT]B|B)?\s*$`, []any{"512KiB", "10MiB"}},
	reflect.TypeFor[Margin]():   {`^\s*[0-9.]+\s*(pp|x|%|bits?)?\s*$`, []any{"0.5pp", "1.25x", "5%", "0.05bits"}},
	reflect.TypeFor[Selector](): {`^\s*((header|json|cookie|query)\s*:\s*\S|conversation\s*$|apiKey\s*$)`, []any{"header:X-User-Id", "json:applicant.id", "cookie:uid", "conversation"}},
	reflect.TypeFor[Source](): {
		`^\s*(error|timeout|latency|ttfb|status\s*:\s*[1-5][0-9][0-9]|ttft(\s*:\s*answer)?|tpot|cost|length|similarity|truncated|cancelled|fellBack` +
			`|tokens\s*:\s*(input|output|cached|reasoning|total)|(finish|text)(\s*:\s*\S.*)?|(json|header|feedback)\s*:\s*\S.*|agree\s*\(.+,\s*feedback:.+\))\s*$`,
		[]any{"error", "latency", "ttft", "tokens:output", "json:decision", "feedback:thumbs", "agree(json:decision, feedback:outcome)"},
	},
	reflect.TypeFor[Secret](): {``, []any{"env:UPSTREAM_KEY", "file:/run/secrets/upstream"}},
}

// mapper gives the schema of types that are no plain structs, lists or numbers.
func mapper(t reflect.Type) *jsonschema.Schema {
	if text, ok := texts[t]; ok {
		s := &jsonschema.Schema{Type: "string", Pattern: text.pattern, Examples: text.examples}
		if t == reflect.TypeFor[Margin]() || t == reflect.TypeFor[Bytes]() {
			// A plain number is one in YAML, too.
			return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{s, {Type: "number", Minimum: "0"}}}
		}
		return s
	}
	if e, ok := reflect.Zero(t).Interface().(Enum); ok && t.Kind() == reflect.String {
		s := &jsonschema.Schema{Type: "string"}
		for _, word := range e.Values() {
			s.Enum = append(s.Enum, word)
		}
		return s
	}
	return nil
}

func generate(t *testing.T, v any, kind string) []byte {
	t.Helper()
	r := &jsonschema.Reflector{
		Mapper: mapper, CommentMap: comments(t),
		BaseSchemaID: "https://sluice.dev/schema", ExpandedStruct: true, Anonymous: true,
	}
	s := r.Reflect(v)
	s.ID = jsonschema.ID("https://sluice.dev/schema/v1alpha1/" + strings.ToLower(kind) + ".json")
	s.Title = kind
	property(t, s, "apiVersion").Const = APIVersion
	property(t, s, "kind").Const = kind
	property(t, s.Definitions["Metadata"], "name").Pattern = `^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`
	if kind == KindModel {
		narrow(t, s.Definitions)
	}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return append(indent(t, data), '\n')
}

// narrow adds what the types don't say.
func narrow(t *testing.T, defs jsonschema.Definitions) {
	one := uint64(1)
	defs["Step"].MinProperties, defs["Step"].MaxProperties = &one, &one
	property(t, defs["Spec"], "versions").MinProperties = &one
	property(t, defs["Spec"], "versions").PropertyNames = &jsonschema.Schema{Pattern: `^[a-z0-9]([-._a-z0-9]{0,61}[a-z0-9])?$`}
	word := &jsonschema.Schema{Pattern: `^[A-Za-z][-_A-Za-z0-9]{0,62}$`}
	property(t, defs["Spec"], "segments").PropertyNames = word
	property(t, defs["Metric"], "name").Pattern = word.Pattern
	property(t, defs["Plan"], "alpha").ExclusiveMinimum = "0"
	property(t, defs["Plan"], "alpha").Maximum = "0.5"
	property(t, defs["Plan"], "steps").MinItems = &one
	property(t, defs["Metric"], "quantile").ExclusiveMinimum = "0"
	property(t, defs["Metric"], "quantile").ExclusiveMaximum = "1"
	property(t, defs["Metric"], "weight").Minimum = "0"
	property(t, defs["ShadowUntil"], "pairs").Minimum = "1"
	property(t, defs["CanaryStep"], "shares").MinItems = &one
	property(t, defs["Version"], "url").Pattern = `^https?://`
}

func property(t *testing.T, s *jsonschema.Schema, name string) *jsonschema.Schema {
	t.Helper()
	p, ok := s.Properties.Get(name)
	if !ok {
		t.Fatalf("the schema has no property %q", name)
	}
	return p
}

// comments collects the comments of types and fields, with line breaks of the source undone.
func comments(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.TYPE {
				continue
			}
			spec := gen.Specs[0].(*ast.TypeSpec)
			key := packagePath + "." + spec.Name.Name
			out[key] = oneLine(gen.Doc.Text())
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range s.Fields.List {
					text := f.Doc.Text()
					if text == "" {
						text = f.Comment.Text()
					}
					for _, n := range f.Names {
						out[key+"."+n.Name] = oneLine(text)
					}
				}
			}
		}
	}
	return out
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestSchemas(t *testing.T) {
	model, config := generate(t, &Model{}, KindModel), generate(t, &Config{}, KindConfig)
	docs := filepath.Join("..", "..", "docs", "schema")
	same(t, filepath.Join(docs, "model.schema.json"), model)
	same(t, filepath.Join(docs, "config.schema.json"), config)
	var code bytes.Buffer
	code.WriteString("// Code generated by TestSchemas; DO NOT EDIT.\n\npackage release\n")
	fmt.Fprintf(&code, "\nconst modelSchema = %s\n\nconst configSchema = %s\n", literal(t, model), literal(t, config))
	same(t, "schemadata.go", code.Bytes())
}

// literal is a raw string literal of the compact form.
func literal(t *testing.T, data []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, data); err != nil {
		t.Fatal(err)
	}
	if bytes.ContainsRune(b.Bytes(), '`') {
		t.Fatal("a comment of a field has a backquote, which a raw string can't hold")
	}
	return "`" + b.String() + "`"
}

func compile(t *testing.T, schema []byte) *validator.Schema {
	t.Helper()
	doc, err := validator.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := validator.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// check validates YAML by the schema, through another reader than ours.
func check(t *testing.T, s *validator.Schema, data []byte) error {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := validator.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

// Files that ParseModel accepts fit the schema; faults that lie in one field do not.
func TestModelSchema(t *testing.T) {
	s := compile(t, ModelSchema())
	canonical, _ := design(t).Canonical()
	for name, data := range map[string][]byte{
		"design":     read(t, "design.yaml"),
		"canonical":  canonical,
		"pauses":     edit(t, "approval:   {by: [release-managers]}", "pause: {}"),
		"plain mean": edit(t, "source: json:decision, kind: category, margin: 0.05bits", "source: json:score, kind: mean, direction: lower, margin: 3"),
	} {
		if _, faults := ParseModel(name, data); faults.Err() != nil {
			t.Errorf("%s: %v", name, faults)
		}
		if err := check(t, s, data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, data := range map[string][]byte{
		"unknown field": edit(t, "margin: 0.5pp", "margn: 0.5pp"),
		"no deadline":   edit(t, "deadline: 1h}", "}"),
		"unit of share": edit(t, "share: 20%", "share: 0.2"),
		"margin":        edit(t, "margin: 0.5pp", "margin: 0.5ms"),
		"duration":      edit(t, "window: 1h", "window: 1 week"),
		"rate":          edit(t, "40/s", "40/fortnight"),
		"role":          edit(t, "role: objective", "role: boss"),
		"source":        edit(t, "source: error", "source: eror"),
		"selector":      edit(t, "header:X-User-Id", "headr:X-User-Id"),
		"two kinds":     edit(t, "- approval:   {by: [release-managers]}", "- {approval: {}, pause: {}}"),
		"no kind":       edit(t, "- approval:   {by: [release-managers]}", "- {}"),
		"name":          edit(t, "name: credit", "name: Credit_1"),
		"version":       edit(t, "v1: {url", "V1: {url"),
		"url":           edit(t, "http://127.0.0.1:9101", "127.0.0.1:9101"),
		"alpha":         edit(t, "alpha: 0.05", "alpha: 0.6"),
		"api version":   edit(t, "sluice.dev/v1alpha1", "sluice.dev/v2"),
		"kind":          edit(t, "kind: Model", "kind: Config"),
	} {
		if err := check(t, s, data); err == nil {
			t.Errorf("%s: the schema accepts it", name)
		}
		if m, _ := ParseModel(name, data); m != nil {
			t.Errorf("%s: ParseModel accepts it", name)
		}
	}
}

func TestConfigSchema(t *testing.T) {
	s := compile(t, ConfigSchema())
	if err := check(t, s, read(t, "config.yaml")); err != nil {
		t.Error(err)
	}
	defaults, err := json.Marshal(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	if err := check(t, s, defaults); err != nil {
		t.Error(err)
	}
	for _, spec := range []string{"role: boss", "log: {level: trace}", "gateway: {tls: {cert: a}}", "gatway: {}", "telemetry: {ring: many}"} {
		if err := check(t, s, []byte("apiVersion: sluice.dev/v1alpha1\nkind: Config\nspec: {"+spec+"}\n")); err == nil {
			t.Errorf("%s: the schema accepts it", spec)
		}
	}
}

// Every field of a file has a comment, which editors show.
func TestSchemaDescriptions(t *testing.T) {
	docs := comments(t)
	var missing []string
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(rt reflect.Type) {
		for rt.Kind() == reflect.Pointer || rt.Kind() == reflect.Slice || rt.Kind() == reflect.Map {
			rt = rt.Elem()
		}
		if rt.Kind() != reflect.Struct || seen[rt] || texts[rt].examples != nil {
			return
		}
		seen[rt] = true
		for i := range rt.NumField() {
			if f := rt.Field(i); docs[packagePath+"."+rt.Name()+"."+f.Name] == "" {
				missing = append(missing, rt.Name()+"."+f.Name)
			}
			walk(rt.Field(i).Type)
		}
	}
	walk(reflect.TypeFor[Config]())
	walk(reflect.TypeFor[Model]())
	if len(missing) > 0 {
		t.Errorf("fields without a comment: %s", strings.Join(missing, " "))
	}
}
