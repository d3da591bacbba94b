package suite

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"sluice.dev/sluice/internal/release"
)

const (
	maxOperations = 40
	maxYAML       = 1 << 20
)

// exceptionsOf makes the cases of one entry: one, or with an OpenAPI document one per operation.
func (c *checker) exceptionsOf(at string, e Exception) []*exceptionCase {
	if e.Battery == "" && (e.OpenAPI != "" || e.Schema != "") {
		e.Battery = BatteryAll
	}
	switch {
	case e.OpenAPI != "" && (e.Schema != "" || e.Request != nil):
		c.fail(at+".openapi", "keep one of openapi, schema and request", "the document has its own requests")
	case e.OpenAPI != "":
		return c.openAPI(at, &e)
	case e.Operation != "":
		c.fail(at+".operation", "add openapi: FILE", "there is no document that names operations")
	case e.Schema != "":
		return []*exceptionCase{c.ofSchema(at, &e)}
	}
	return []*exceptionCase{c.exception(at, &e, nil)}
}

// ofSchema is a battery whose body has a schema. Without a sample one is made.
func (c *checker) ofSchema(at string, e *Exception) *exceptionCase {
	var plan *requestPlan
	doc := c.document(at+".schema", e.Schema)
	if doc != nil && e.Request == nil && c.suite.Spec.Sample == nil {
		plan = c.bodyOf(at+".schema", &shapes{doc: doc, root: object(doc)}, doc, "", nil)
	}
	if doc == nil && plan == nil {
		plan = &requestPlan{}
	}
	out := c.exception(at, e, plan)
	if doc != nil {
		out.rules = &shapes{doc: doc, root: object(doc)}
		out.schema = c.compiled(at+".schema", doc, "")
	}
	return out
}

// openAPI makes a battery per operation of a document.
func (c *checker) openAPI(at string, e *Exception) (out []*exceptionCase) {
	doc := object(c.document(at+".openapi", e.OpenAPI))
	if doc == nil { // said, or files are not looked at
		return []*exceptionCase{c.exception(at, e, &requestPlan{})}
	}
	if v, _ := doc["openapi"].(string); !strings.HasPrefix(v, "3.") {
		c.fail(at+".openapi", "use version 3", "%s is no OpenAPI 3 document", clean(e.OpenAPI, 60))
		return nil
	}
	var list []string
	for _, op := range operations(doc) {
		list = append(list, op.name())
		if e.Operation != "" && !strings.EqualFold(e.Operation, op.name()) {
			continue
		}
		if len(out) == maxOperations {
			c.fail(at+".openapi", "name one: operation: POST /x", "the document has more than %d operations", maxOperations)
			break
		}
		one := *e
		one.Name = clean(firstOf(e.Name, "battery")+" "+op.name(), maxNameBytes)
		if made := c.operation(at, &one, doc, op); made != nil {
			out = append(out, made)
		}
	}
	if len(out) == 0 {
		c.fail(at+".operation", "its operations are "+clean(strings.Join(list, ", "), 200), "%s has no operation %s that a request can be made for",
			clean(e.OpenAPI, 60), clean(e.Operation, 60))
	}
	return out
}

// operation is one of a document.
type operation struct {
	method, path string
	item, spec   map[string]any
}

func (o operation) name() string { return strings.ToUpper(o.method) + " " + o.path }

// operations lists those of a document in the order of their paths, writing ones first.
func operations(doc map[string]any) (out []operation) {
	for at, item := range object(doc["paths"]) {
		for _, method := range []string{"post", "put", "patch", "delete", "get"} {
			if spec := object(object(item)[method]); spec != nil {
				out = append(out, operation{method, at, object(item), spec})
			}
		}
	}
	order := []string{"post", "put", "patch", "delete", "get"}
	slices.SortStableFunc(out, func(a, b operation) int {
		return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(slices.Index(order, a.method), slices.Index(order, b.method)))
	})
	return out
}

// operation makes the battery of one operation.
func (c *checker) operation(at string, e *Exception, doc map[string]any, op operation) *exceptionCase {
	rules := &shapes{doc: doc}
	r := &Request{Method: strings.ToUpper(op.method), Path: serverPath(doc) + op.path, Headers: map[string]release.Secret{}}
	r.parameters(rules, op)
	body := rules.resolve(op.spec["requestBody"], 0)
	media, content := jsonContent(object(body["content"]))
	if content == nil {
		if body["required"] == true {
			return nil // a body that is not JSON: no sample can be made
		}
		out := c.exception(at, e, c.request(at+".openapi", r, false))
		out.foreign = true
		return out
	}
	rules.root = object(content["schema"])
	pointer := "#/paths/" + escapePointer(op.path) + "/" + op.method + "/requestBody/content/" + escapePointer(media) + "/schema"
	if ref, ok := object(op.spec["requestBody"])["$ref"].(string); ok {
		pointer = ref + "/content/" + escapePointer(media) + "/schema"
	}
	plan := c.bodyOf(at+".openapi", rules, doc, pointer, exampleOf(content))
	r.Body = nil
	p := c.request(at+".openapi", r, false)
	p.json = plan.json
	p.headers = append(p.headers, headerPlan{name: "Content-Type", text: template{literals: []string{media}}})
	out := c.exception(at, e, p)
	out.rules, out.schema, out.foreign = rules, c.compiled(at+".openapi", doc, pointer), true
	return out
}

// parameters fills in what the operation needs in path, query and headers.
func (r *Request) parameters(rules *shapes, op operation) {
	query := url.Values{}
	shared, _ := op.item["parameters"].([]any)
	own, _ := op.spec["parameters"].([]any)
	for _, p := range slices.Concat(shared, own) {
		rule := rules.resolve(p, 0)
		name, _ := rule["name"].(string)
		v := rule["example"]
		if v == nil {
			v = exampleOf(rule)
		}
		if v == nil {
			v = rules.value(rule["schema"], 0)
		}
		switch rule["in"] {
		case "path":
			r.Path = strings.ReplaceAll(r.Path, "{"+name+"}", url.PathEscape(asText(v)))
		case "query":
			query.Set(name, asText(v))
		case "header":
			if rule["required"] == true {
				r.Headers[name] = release.Secret(asText(v))
			}
		}
	}
	if len(query) > 0 {
		r.Path += "?" + query.Encode()
	}
}

// exampleOf is the first of examples.
func exampleOf(rule map[string]any) any {
	if v, ok := rule["example"]; ok {
		return v
	}
	list := object(rule["examples"])
	names := make([]string, 0, len(list))
	for name := range list {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if v, ok := object(list[name])["value"]; ok {
			return v
		}
	}
	return nil
}

// bodyOf is a request of a sample that obeys the schema: the given one, or one that is made.
func (c *checker) bodyOf(at string, rules *shapes, doc any, pointer string, sample any) *requestPlan {
	if sample == nil {
		sample = rules.sample()
	}
	if schema := c.compiled(at, doc, pointer); schema != nil {
		if err := schema.Validate(sample); err != nil {
			c.fail(at, "give the schema an example, or write a request", "no sample could be made that obeys the schema: %s", clean(schemaFault(err), 200))
		}
	}
	t, err := parseTree(sample, true)
	if err != nil {
		c.fail(at, "correct the document", "%v", err)
	}
	p := c.request(at, &Request{}, false)
	p.json = &t
	p.method = firstOf(c.suite.Spec.Target.Method, "POST")
	if !slices.ContainsFunc(p.headers, func(h headerPlan) bool { return h.name == "Content-Type" }) {
		p.headers = append(p.headers, headerPlan{name: "Content-Type", text: template{literals: []string{"application/json"}}})
	}
	return p
}

// compiled compiles a schema inside a document.
func (c *checker) compiled(at string, doc any, pointer string) *jsonschema.Schema {
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(noLoader{})
	const name = "suite:///document.json"
	err := compiler.AddResource(name, doc)
	var s *jsonschema.Schema
	if err == nil {
		s, err = compiler.Compile(name + pointer)
	}
	if err != nil {
		c.fail(at, "correct the schema", "%s", clean(err.Error(), 300))
	}
	return s
}

// document reads a JSON Schema or OpenAPI document, JSON or YAML; nil after saying what is wrong, or if files are not looked at.
func (c *checker) document(at, name string) any {
	data := c.file(at, name)
	if data == nil {
		return nil
	}
	doc, err := decodeDocument(name, data)
	if err != nil {
		c.fail(at, "correct the document", "%s: %s", clean(name, 60), clean(err.Error(), 200))
		return nil
	}
	if v, _ := object(doc)["openapi"].(string); strings.HasPrefix(v, "3.0") {
		modern(doc, 0)
	}
	return doc
}

func decodeDocument(name string, data []byte) (doc any, err error) {
	if ext := strings.ToLower(path.Ext(name)); ext != ".yaml" && ext != ".yml" {
		return jsonschema.UnmarshalJSON(bytes.NewReader(data))
	}
	if len(data) > maxYAML {
		return nil, fmt.Errorf("it has %d bytes, at most %d of YAML are read", len(data), maxYAML)
	}
	// The parser is a library fed with untrusted text: a panic in it is a fault of the file, not an outage. Aliases could
	// make a small file large.
	defer func() {
		if recover() != nil {
			doc, err = nil, errors.New("it is no YAML")
		}
	}()
	for _, t := range lexer.Tokenize(string(data)) {
		if t.Type == token.AliasType {
			return nil, errors.New("it has aliases, which are not read; write it as JSON")
		}
	}
	text, err := yaml.YAMLToJSON(data)
	if err != nil {
		return nil, errors.New("it is no YAML")
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(text))
}

// modern rewrites the words of OpenAPI 3.0 that JSON Schema does not know: nullable, and bounds that are excluded by true.
func modern(v any, depth int) {
	if depth > 200 {
		return
	}
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			modern(x, depth+1)
		}
	case map[string]any:
		for _, x := range v {
			modern(x, depth+1)
		}
		if t, ok := v["type"].(string); ok && v["nullable"] == true {
			v["type"] = []any{t, "null"}
			if list, ok := v["enum"].([]any); ok && !slices.Contains(list, nil) {
				v["enum"] = append(list, nil)
			}
		}
		for excluded, bound := range map[string]string{"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"} {
			flag, ok := v[excluded].(bool)
			if !ok {
				continue
			}
			delete(v, excluded)
			if x, ok := v[bound].(json.Number); ok && flag {
				v[excluded] = x
				delete(v, bound)
			}
		}
	}
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// jsonContent finds the JSON among media types.
func jsonContent(content map[string]any) (string, map[string]any) {
	names := make([]string, 0, len(content))
	for name := range content {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		kind, _, _ := strings.Cut(name, ";")
		if kind == "application/json" || strings.HasSuffix(kind, "+json") {
			return name, object(content[name])
		}
	}
	return "", nil
}

// serverPath is the path of the document's first server; its host is not used: a suite is run against the version that
// it is told.
func serverPath(doc map[string]any) string {
	list, _ := doc["servers"].([]any)
	if len(list) == 0 {
		return ""
	}
	address, _ := object(list[0])["url"].(string)
	u, err := url.Parse(address)
	if err != nil || strings.Contains(u.Path, "{") {
		return ""
	}
	return strings.TrimSuffix(u.Path, "/")
}

func escapePointer(s string) string {
	return url.PathEscape(strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1"))
}
