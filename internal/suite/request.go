package suite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"sluice.dev/sluice/internal/release"
)

// Bounds of requests.
const (
	maxBody    = 16 << 20
	maxHeaders = 64
)

// requestPlan is a request before its row and its secrets are known. Never changed.
type requestPlan struct {
	method  string
	path    template
	headers []headerPlan
	json    *tree
	text    *template
	raw     []byte

	bytes     string    // the column with the body
	file      *template // a path that depends on the row
	files     map[string][]byte
	completes bool // it was made of a prompt or messages
}

// headerPlan is a header: a secret that is resolved when the suite runs, or text.
type headerPlan struct {
	name   string
	secret release.Secret
	text   template
}

// bodyKind says whether the request has a body, and whether that is JSON, as far as it is known before a row.
func (p *requestPlan) bodyKind() (body, isJSON bool) {
	switch {
	case p.json != nil:
		return true, true
	case p.text != nil:
		return true, json.Valid([]byte(p.text.literals[0]))
	}
	return len(p.raw) > 0 || p.bytes != "" || p.file != nil, json.Valid(p.raw)
}

// message is a request that can be sent.
type message struct {
	method string
	path   string // with its query, beginning with "/"
	header http.Header
	body   []byte
}

// secrets resolves headers.
type secrets map[release.Secret]string

// render makes the message for a row; r is nil without data.
func (p *requestPlan) render(r *row, resolved secrets) (message, error) {
	m := message{method: p.method, header: http.Header{}}
	var err error
	if m.path, err = p.path.text(r, pathEscape); err != nil {
		return m, err
	}
	for _, h := range p.headers {
		v, ok := resolved[h.secret]
		if !ok {
			if v, err = h.text.text(r, asIs); err != nil {
				return m, err
			}
		}
		if !httpguts.ValidHeaderFieldValue(v) {
			return m, fmt.Errorf("header %s gets a value that no header may have", h.name)
		}
		m.header.Set(h.name, v)
	}
	switch {
	case p.json != nil:
		v, err := p.json.value(r)
		if err != nil {
			return m, err
		}
		if m.body, err = encodeJSON(v); err != nil {
			return m, fmt.Errorf("the body has no JSON form: %w", err)
		}
	case p.text != nil:
		s, err := p.text.text(r, asIs)
		if err != nil {
			return m, err
		}
		m.body = []byte(s)
	case p.bytes != "":
		if m.body, err = asBytes(r, p.bytes); err != nil {
			return m, err
		}
	case p.file != nil:
		name, err := p.file.text(r, asIs)
		if err != nil {
			return m, err
		}
		m.body = p.files[path.Clean(name)]
	default:
		m.body = p.raw
	}
	if len(m.body) > maxBody {
		return m, fmt.Errorf("the body has %d bytes, at most %d are sent", len(m.body), maxBody)
	}
	return m, nil
}

// encodeJSON writes a value without escaping HTML, so that bodies look as in the file.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// columns calls each for the columns that the request needs.
func (p *requestPlan) columns(each func(string)) {
	p.path.columns(each)
	for _, h := range p.headers {
		h.text.columns(each)
	}
	if p.json != nil {
		p.json.columns(each)
	}
	if p.text != nil {
		p.text.columns(each)
	}
	if p.bytes != "" {
		each(p.bytes)
	}
	if p.file != nil {
		p.file.columns(each)
	}
}

// request checks a request and joins it with the target's defaults. r may be nil: only the target's.
func (c *checker) request(at string, r *Request, withData bool) *requestPlan {
	target := c.suite.Spec.Target
	p := &requestPlan{}
	if r == nil {
		r = &Request{}
	}
	to := firstOf(r.Path, target.Path, dialectPath(target.Dialect))
	c.body(at, r, to, p, withData)
	p.method = firstOf(r.Method, target.Method)
	if p.method == "" {
		p.method = http.MethodGet
		if p.json != nil || p.text != nil || p.raw != nil || p.bytes != "" || p.file != nil {
			p.method = http.MethodPost
		}
	}
	if !httpguts.ValidHeaderFieldName(p.method) || strings.ToUpper(p.method) != p.method || len(p.method) > 20 {
		c.fail(at+".method", "write POST, GET, PUT, ...", "%q is no method", clean(p.method, 20))
	}
	p.path = c.template(at+".path", to, withData)
	if u, err := url.Parse(to); err != nil || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || u.Fragment != "" {
		c.fail(at+".path", "write a path from the root, like /credit", "%q is no path", clean(to, 60))
	}
	c.headers(at, r, p, withData)
	return p
}

func (c *checker) body(at string, r *Request, to string, p *requestPlan, withData bool) {
	set := 0
	if r.Prompt != "" || len(r.Messages) > 0 {
		set++
		p.json, p.completes = c.spoken(at, r, to, withData), true
		if r.Prompt != "" && len(r.Messages) > 0 {
			set++
		}
	} else if r.System != "" || r.Generation != nil {
		c.fail(at, "add prompt or messages", "system and generation stand beside a prompt, and there is none")
	}
	if r.Bytes != "" {
		set++
		p.bytes = r.Bytes
		if !withData {
			c.fail(at+".bytes", "add data, or use file", "it names a column, and there are no data")
		}
	}
	if r.Body != nil || c.at.Written(at+".body") {
		set++
		t, err := parseTree(r.Body, !withData)
		if err != nil {
			c.fail(at+".body", "write places as {{column}}", "%v", err)
		}
		p.json = &t
	}
	if r.Text != "" {
		set++
		t := c.template(at+".text", r.Text, withData)
		p.text = &t
	}
	if r.File != "" {
		set++
		c.bodyFile(at+".file", r.File, p, withData)
	}
	if set > 1 {
		c.fail(at, "keep one of body, text, file, bytes, prompt and messages", "the request has %d bodies", set)
	}
}

// bodyFile is a file that is a body, or a place for one that the row names.
func (c *checker) bodyFile(at, name string, p *requestPlan, withData bool) {
	if t := c.template(at, name, withData); len(t.places) > 0 {
		p.file, p.files = &t, map[string][]byte{}
		return // read when the rows are known
	}
	if p.raw = c.file(at, name); p.raw == nil {
		p.raw = []byte{}
	}
}

// bodyFiles reads the files that rows name.
func (c *checker) bodyFiles(at string, p *requestPlan, t *table) {
	if p.file == nil || t == nil {
		return
	}
	for i := range t.rows {
		name, err := p.file.text(&t.rows[i], asIs)
		if err != nil {
			c.fail(at, "correct the data file", "%v", err)
			return
		}
		data := c.file(at, name)
		if data == nil && c.at.Faulty(at) {
			return
		}
		p.files[path.Clean(name)] = data
	}
}

func (c *checker) headers(at string, r *Request, p *requestPlan, withData bool) {
	all := map[string]headerPlan{}
	add := func(at string, headers map[string]release.Secret) {
		for name, v := range headers {
			place := at + ".headers." + name
			if !httpguts.ValidHeaderFieldName(name) {
				c.fail(at+".headers", "write a name like X-User-Id", "%q is no name of a header", clean(name, 40))
				continue
			}
			h := headerPlan{name: textproto.CanonicalMIMEHeaderKey(name)}
			if strings.HasPrefix(string(v), "env:") || strings.HasPrefix(string(v), "file:") {
				h.secret = v
			} else {
				h.text = c.template(place, string(v), withData)
			}
			all[h.name] = h
		}
	}
	if p.json != nil {
		all["Content-Type"] = headerPlan{name: "Content-Type", text: template{literals: []string{"application/json"}}}
	}
	if c.suite.Spec.Target.Dialect == release.DialectAnthropic {
		all["Anthropic-Version"] = headerPlan{name: "Anthropic-Version", text: template{literals: []string{anthropicVersion}}}
	}
	add("spec.target", c.suite.Spec.Target.Headers)
	add(at, r.Headers)
	if len(all) > maxHeaders {
		c.fail(at+".headers", "send fewer", "the request has %d headers, at most %d are sent", len(all), maxHeaders)
	}
	for _, h := range all {
		p.headers = append(p.headers, h)
	}
	slices.SortFunc(p.headers, func(a, b headerPlan) int { return strings.Compare(a.name, b.name) })
}

// template reads a text; without data, places are plain text.
func (c *checker) template(at, text string, withData bool) template {
	if !withData {
		return template{literals: []string{text}}
	}
	t, err := parseTemplate(text)
	if err != nil {
		c.fail(at, "write places as {{column}}", "%v", err)
	}
	return t
}

// between checks a span and sets its default.
func (c *checker) between(at string, d release.Duration, fallback, most time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	if d.Std() > most || d.Std() < time.Millisecond {
		c.fail(at, "write a span like "+release.Duration(fallback).String(), "%s is not between 1ms and %s", d, release.Duration(most))
		return fallback
	}
	return d.Std()
}

// count checks a whole number and sets its default.
func (c *checker) count(at string, n, fallback, most int) int {
	if n == 0 {
		return fallback
	}
	if n < 0 || n > most {
		c.fail(at, fmt.Sprintf("write a number from 1 to %d", most), "%d is not between 1 and %d", n, most)
		return fallback
	}
	return n
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
