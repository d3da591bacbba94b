package suite

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/net/http/httpguts"
)

const (
	maxRegex = 1000 // bytes
	maxPath  = 500
)

// expect checks an Expect; fallback is the status without one.
func (c *checker) expect(at string, e Expect, withData bool, fallback statusRange) *expectation {
	out := &expectation{status: []statusRange{fallback}}
	if e.Status != nil {
		out.status = c.status(at+".status", e.Status)
	}
	if e.Latency != 0 {
		out.latency = c.between(at+".latency", e.Latency, time.Second, maxTimeout)
	}
	for name, t := range e.Headers {
		if !httpguts.ValidHeaderFieldName(name) {
			c.fail(at+".headers", "write a name like Content-Type", "%q is no name of a header", clean(name, 40))
		}
		out.headers = append(out.headers, namedText{name, c.textExpect(at+".headers."+name, t)})
	}
	sortBy(out.headers, func(h namedText) string { return h.name })
	if e.Body != nil {
		out.body = c.textExpect(at+".body", *e.Body)
	}
	if e.Text != nil {
		out.text = c.reply(at+".text", *e.Text, withData)
	}
	for i, j := range e.JSON {
		out.json = append(out.json, c.jsonExpect(fmt.Sprintf("%s.json[%d]", at, i), j, withData))
	}
	out.schema = c.schemaOf(at, e)
	return out
}

var (
	ok2xx      = statusRange{200, 299}
	refused4xx = statusRange{400, 499}
)

// status reads 200, "4xx" or a list of them.
func (c *checker) status(at string, v any) (out []statusRange) {
	list, isList := v.([]any)
	if !isList {
		list = []any{v}
	}
	for _, item := range list {
		s, err := parseStatus(asText(item))
		if err != nil {
			c.fail(at, "write 200, 4xx or a list like [200, 404]", "%v", err)
			return []statusRange{ok2xx}
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		c.fail(at, "write 200, 4xx or a list like [200, 404]", "no status is listed")
	}
	return out
}

func parseStatus(s string) (statusRange, error) {
	if len(s) == 3 && s[1:] == "xx" && s[0] >= '1' && s[0] <= '5' {
		lo := int(s[0]-'0') * 100
		return statusRange{lo, lo + 99}, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 100 || n > 599 {
		return statusRange{}, fmt.Errorf("%q is no status", clean(s, 20))
	}
	return statusRange{n, n}, nil
}

func (c *checker) textExpect(at string, t TextExpect) *textCheck {
	if t.Equals == nil && len(t.Contains) == 0 && len(t.Excludes) == 0 && t.Regex == "" && t.Similar == nil {
		c.fail(at, "write equals, contains, excludes, regex or similar", "nothing is expected")
	}
	c.similar(at, t.Similar)
	return &textCheck{TextExpect: t, regex: c.regex(at+".regex", t.Regex)}
}

func (c *checker) similar(at string, s *Similar) {
	if s != nil && !(s.AtLeast > 0 && s.AtLeast <= 1) {
		c.fail(at+".similar.atLeast", "write a number up to 1, like 0.8", "%g is not above 0 and at most 1", s.AtLeast)
	}
	if s != nil && len(s.To) > maxSimilar {
		c.fail(at+".similar.to", "shorten it", "it has %d bytes, at most %d are compared", len(s.To), maxSimilar)
	}
}

func (c *checker) regex(at, text string) *regexp.Regexp {
	if text == "" {
		return nil
	}
	re, err := regexp.Compile(text)
	if err != nil || len(text) > maxRegex {
		c.fail(at, "write a regular expression of RE2 of at most 1000 bytes", "%q is no regular expression that is read here", clean(text, 60))
		return nil
	}
	return re
}

func (c *checker) jsonExpect(at string, j JSONExpect, withData bool) jsonCheck {
	out := jsonCheck{JSONExpect: j, path: j.Path, regex: c.regex(at+".regex", j.Regex), in: j.In}
	c.jsonPath(at+".path", j.Path)
	c.similar(at, j.Similar)
	if j.Equals != nil || c.at.Written(at+".equals") {
		t, err := parseTree(j.Equals, !withData)
		if err != nil {
			c.fail(at+".equals", "write places as {{column}}", "%v", err)
		}
		out.equals = &t
	}
	if j.Tolerance != nil && (*j.Tolerance < 0 || out.equals == nil && len(j.In) == 0) {
		c.fail(at+".tolerance", "write a number from 0, beside equals or in", "a tolerance of %g means nothing here", *j.Tolerance)
	}
	if j.Min != nil && j.Max != nil && *j.Min > *j.Max {
		c.fail(at+".max", "write min below max", "no number is at least %g and at most %g", *j.Min, *j.Max)
	}
	return out
}

// jsonPath checks a GJSON path. Its modifiers are left out: they can read nothing but the answer, but one
// (@this|@pretty, ...) is more often a mistake than meant.
func (c *checker) jsonPath(at, path string) {
	switch {
	case path == "":
		c.fail(at, "write a path like decision or choices.0.text", "it is empty")
	case len(path) > maxPath:
		c.fail(at, "shorten it", "it has %d bytes, at most %d are read", len(path), maxPath)
	}
}

func (c *checker) schemaOf(at string, e Expect) *jsonschema.Schema {
	var data []byte
	var err error
	place := at + ".schema"
	switch {
	case e.Schema != nil && e.SchemaFile != "":
		c.fail(at+".schemaFile", "keep one of schema and schemaFile", "there are two schemas")
		return nil
	case e.Schema != nil:
		data, err = json.Marshal(e.Schema)
	case e.SchemaFile != "":
		place = at + ".schemaFile"
		if data = c.file(place, e.SchemaFile); data == nil {
			return nil
		}
	default:
		return nil
	}
	var schema *jsonschema.Schema
	if err == nil {
		schema, err = compileSchema(data)
	}
	if err != nil {
		c.fail(place, "correct the JSON Schema", "%s", clean(err.Error(), 300))
	}
	return schema
}

// noLoader keeps schemas from naming other files or addresses.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("the schema refers to %s; only references inside it are read", url)
}

func compileSchema(data []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, errors.New("it is not JSON")
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	c.AssertFormat()
	const name = "suite:///schema.json"
	if err := c.AddResource(name, doc); err != nil {
		return nil, err
	}
	return c.Compile(name)
}
