package release

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of what a Model file may describe.
const (
	MaxVersions  = 64
	MaxSelectors = 8
	MaxMetrics   = 32
	MaxSteps     = 32
	MaxHeaders   = 32
	MaxBody      = Bytes(1 << 30)

	maxTimeout    = time.Hour
	maxConcurrent = 65536
	maxChecks     = 100
	maxLabels     = 64
	maxLabelLen   = 253
	ownPrefix     = "/-/sluice"
)

// checker collects the faults of a model's sense.
type checker struct {
	at     *Positions
	m      *Model // as written
	n      *Model // normalised
	faults Faults
}

func (m *Model) validate(at *Positions) Faults {
	c := &checker{at: at, m: m, n: m.Normalise()}
	c.metadata()
	c.match()
	c.unit()
	c.segments()
	c.versions()
	c.limits()
	c.capture()
	c.metrics()
	c.plan()
	return c.faults
}

// fail reports a fault of the field, once: a field that could not be read has its fault already.
func (c *checker) fail(path, remedy, format string, args ...any) {
	if !c.at.Faulty(path) {
		c.faults = append(c.faults, c.at.Fault(path, remedy, format, args...))
	}
}

// failErr reports an error that knows its own remedy.
func (c *checker) failErr(path string, err error) {
	e, ok := err.(*Error) //nolint:errorlint // made a moment ago by this package, not wrapped
	if !ok {
		e = Invalid("", "%v", err)
	}
	c.fail(path, e.Remedy, "%s", e.Msg)
}

// warn reports a doubt, which does not make the field faulty.
func (c *checker) warn(path, remedy, format string, args ...any) {
	pos := c.at.At(path)
	f := FileFault{
		Line: pos.Line, Col: pos.Col, Field: strings.TrimPrefix(path, "spec."),
		Msg: fmt.Sprintf(format, args...), Remedy: remedy, Warning: true,
	}
	if c.at != nil {
		f.File = c.at.file
	}
	c.faults = append(c.faults, f)
}

func (c *checker) metadata() {
	if c.m.APIVersion != APIVersion {
		c.fail("apiVersion", "write apiVersion: "+APIVersion, "%q is not read by this build", clip(c.m.APIVersion))
	}
	if c.m.Kind != KindModel {
		c.fail("kind", "write kind: "+KindModel, "%q is not a Model", clip(c.m.Kind))
	}
	checkMetadata(c, c.m.Metadata)
}

// failer is what checks of things that Model and Config share report to.
type failer interface {
	fail(path, remedy, format string, args ...any)
}

func checkMetadata(c failer, meta Metadata) {
	if !isLabel(meta.Name) {
		c.fail("metadata.name", `write a name of lower-case letters, digits and inner "-", at most 63, like "credit"`,
			"%q is not a valid name", clip(meta.Name))
	}
	if len(meta.Labels) > maxLabels {
		c.fail("metadata.labels", "remove some", "there are %d labels, at most %d are kept", len(meta.Labels), maxLabels)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(meta.Labels)) {
		if key == "" || len(key) > maxLabelLen || len(meta.Labels[key]) > maxLabelLen {
			c.fail(child("metadata.labels", key), "shorten it", "a label's name and value have at most %d bytes", maxLabelLen)
		}
	}
}

func (c *checker) match() {
	m := c.m.Spec.Match
	if m.Path == "" && m.Host == "" && m.Model == "" && len(m.Headers) == 0 {
		c.fail("spec.match", "write path, host, headers or model", "it matches no request")
	}
	switch {
	case m.Path == "":
	case m.Path[0] != '/' || strings.ContainsAny(m.Path, "?#* \t\r\n"):
		c.fail("spec.match.path", `write an absolute path like "/credit", or a prefix like "/v1/"`, "%q is not a path", clip(m.Path))
	case m.Path == ownPrefix || strings.HasPrefix(m.Path, ownPrefix+"/"):
		c.fail("spec.match.path", "choose another path", "%s/ belongs to Sluice itself", ownPrefix)
	}
	if m.Host != "" && !isHost(m.Host) {
		c.fail("spec.match.host", `write a host name like "models.example.org", without scheme and port`, "%q is not a host name", clip(m.Host))
	}
	if m.Model != "" && (c.m.Spec.Dialect == DialectJSON || c.m.Spec.Dialect == DialectRaw) {
		c.fail("spec.match.model", "match by path, host or headers, or use the dialect of the requests",
			"requests of the dialect %s name no model", c.m.Spec.Dialect)
	}
	c.headerNames("spec.match.headers", slices.Sorted(maps.Keys(m.Headers)))
}

func (c *checker) headerNames(path string, names []string) {
	if len(names) > MaxHeaders {
		c.fail(path, "remove some", "there are %d headers, at most %d are allowed", len(names), MaxHeaders)
		return
	}
	for _, name := range names {
		if !isToken(name) {
			c.fail(child(path, name), `write letters, digits and "-"`, "%q is not a header name", clip(name))
		}
	}
}

func isHost(s string) bool {
	for _, label := range strings.Split(s, ".") {
		if !isLabel(strings.ToLower(label)) {
			return false
		}
	}
	return len(s) <= maxLabelLen
}

func (c *checker) unit() {
	u := c.m.Spec.Unit
	if len(c.n.Spec.Unit.From) == 0 && u.Missing != MissingPerRequest {
		c.fail("spec.unit.from", "write where a request names its user, like [header:X-User-Id], or missing: perRequest",
			"no unit can be found")
	}
	if len(u.From) > MaxSelectors {
		c.fail("spec.unit.from", "keep the most reliable ones", "there are %d selectors, at most %d are tried", len(u.From), MaxSelectors)
	}
	for i, sel := range u.From {
		c.requestSelector(fmt.Sprintf("spec.unit.from[%d]", i), sel)
		if first := slices.Index(c.n.Spec.Unit.From, c.n.Spec.Unit.From[i]); first < i {
			c.fail(fmt.Sprintf("spec.unit.from[%d]", i), "remove it", "it repeats the selector number %d", first+1)
		}
	}
}

// requestSelector checks a selector that is applied to requests.
func (c *checker) requestSelector(path string, sel Selector) {
	spec, err := sel.Parse()
	switch {
	case err != nil:
		c.failErr(path, err)
	case spec.Kind == SelectJSON && c.m.Spec.Dialect == DialectRaw:
		c.fail(path, "use header:, cookie: or query:, or dialect: json", "bodies of the dialect raw are not looked into")
	case spec.Kind == SelectText || spec.Kind == SelectMeasure:
		c.fail(path, "use header:, json:, cookie: or query:", "%s is a part of answers, not of requests", spec.Kind)
	case spec.Kind == SelectConversation && c.m.Spec.Dialect != "" && !c.m.Spec.Dialect.Language():
		c.fail(path, "use header:, json:, cookie: or query:", "requests of the dialect %s have no conversation that is known here", c.m.Spec.Dialect)
	}
}

func (c *checker) segments() {
	segments := c.m.Spec.Segments
	if len(segments) > MaxSelectors {
		c.fail("spec.segments", "keep the most telling ones", "there are %d segments, at most %d are kept", len(segments), MaxSelectors)
	}
	for _, name := range slices.Sorted(maps.Keys(segments)) {
		path := child("spec.segments", name)
		if !isWord(name) {
			c.fail(path, nameRemedy, "%q is not a valid name of a segment", clip(name))
		}
		c.requestSelector(path, segments[name])
	}
}

const nameRemedy = `write letters, digits, "-" and "_", at most 63, beginning with a letter`

func (c *checker) versions() {
	versions := c.m.Spec.Versions
	names := slices.Sorted(maps.Keys(versions))
	switch {
	case len(names) == 0:
		c.fail("spec.versions", `write at least one, like v1: {url: "http://127.0.0.1:9101"}`, "there is no version")
	case len(names) > MaxVersions:
		c.fail("spec.versions", "remove those that are no longer used", "there are %d versions, at most %d are kept", len(names), MaxVersions)
		return
	}
	for _, name := range names {
		c.version(child("spec.versions", name), name, versions[name])
	}
	c.renamed(names)
	c.versionExists("spec.live", c.m.Spec.Live)
}

// versionExists checks that a name is that of a version.
func (c *checker) versionExists(path, name string) {
	if _, ok := c.m.Spec.Versions[name]; ok || len(c.m.Spec.Versions) == 0 {
		return
	}
	names := slices.Sorted(maps.Keys(c.m.Spec.Versions))
	c.fail(path, "write one of "+quoteList(names)+didYouMean(name, names), "there is no version %q", clip(name))
}

func (c *checker) version(path, name string, v Version) {
	if !isVersionName(name) {
		c.fail(path, `write lower-case letters, digits and inner "-", "." and "_", at most 63, like "v1.2"`, "%q is not a valid name of a version", clip(name))
	}
	c.url(path+".url", v.URL)
	if v.Timeout < 0 || v.Timeout.Std() > maxTimeout || v.Timeout == 0 && c.at.Written(path+".timeout") {
		c.fail(path+".timeout", "write a time above 0s and at most 1h", "%s is out of range", v.Timeout)
	}
	if v.MaxConcurrent < 0 || v.MaxConcurrent > maxConcurrent || v.MaxConcurrent == 0 && c.at.Written(path+".maxConcurrent") {
		c.fail(path+".maxConcurrent", fmt.Sprintf("write a number from 1 to %d", maxConcurrent), "%d is out of range", v.MaxConcurrent)
	}
	c.serving(path, v)
	c.asked(path, v)
	names := slices.Sorted(maps.Keys(v.Headers))
	c.headerNames(path+".headers", names)
	for _, header := range names {
		c.secret(child(path+".headers", header), header, v.Headers[header])
	}
}

// renamed warns where versions' model names would be put into requests that mean another model.
func (c *checker) renamed(names []string) {
	m := c.m.Spec.Match
	if c.m.Spec.Dialect != DialectOpenAI || m.Model != "" || m.Path != "" && !strings.HasSuffix(m.Path, "/") {
		return
	}
	for _, name := range names {
		if c.m.Spec.Versions[name].Model != "" {
			c.warn(child("spec.versions", name)+".model", "write match.model, the name by which clients ask for this model, or the path of one API",
				"it is put into every request that is matched, those for other models and embeddings too")
			return
		}
	}
}

// asked checks under which name a version is asked, and what it costs.
func (c *checker) asked(path string, v Version) {
	const longest = 256
	switch d := c.m.Spec.Dialect; {
	case v.Model == "" && c.at.Written(path+".model"):
		c.fail(path+".model", "write the name that its server expects, or remove it", "it is empty")
	case v.Model != "" && (d == DialectJSON || d == DialectRaw):
		c.fail(path+".model", "remove it, or use the dialect of the requests", "requests of the dialect %s name no model", d)
	case len(v.Model) > longest || strings.ContainsFunc(v.Model, func(r rune) bool { return r < ' ' || r == utf8.RuneError }):
		c.fail(path+".model", fmt.Sprintf("write at most %d characters without control characters", longest), "it is no name of a model")
	}
	p := v.Price
	prices := map[string]*float64{"input": &p.Input, "output": &p.Output, "cacheRead": p.CacheRead, "cacheWrite": p.CacheWrite, "request": &p.Request}
	for _, name := range slices.Sorted(maps.Keys(prices)) {
		if price := prices[name]; price != nil && !(*price >= 0 && *price <= 1e6) {
			c.fail(path+".price."+name, "write a number from 0 to 1000000", "%v is no price", *price)
		}
	}
}

// serving checks how a version is asked.
func (c *checker) serving(path string, v Version) {
	scheme, _, _ := strings.Cut(v.URL, ":")
	switch {
	case v.Protocol == ProtocolH2 && scheme == "http":
		c.fail(path+".protocol", "write h2c, or an https url", "h2 is HTTP/2 over TLS, and the url is http")
	case v.Protocol == ProtocolH2C && scheme == "https":
		c.fail(path+".protocol", "write h2, or an http url", "h2c is HTTP/2 without TLS, and the url is https")
	}
	for _, t := range []struct {
		name string
		d    Duration
	}{
		{".timeouts.headers", v.Timeouts.Headers},
		{".timeouts.firstToken", v.Timeouts.FirstToken},
		{".timeouts.between", v.Timeouts.Between},
		{".timeouts.keepAlive", v.Timeouts.KeepAlive},
		{".queue.wait", v.Queue.Wait},
		{".health.interval", v.Health.Interval},
		{".health.timeout", v.Health.Timeout},
		{".hedge.after", v.Hedge.After},
	} {
		if t.d < 0 || t.d.Std() > maxTimeout || t.d == 0 && c.at.Written(path+t.name) {
			c.fail(path+t.name, "write a time above 0s and at most 1h", "%s is out of range", t.d)
		}
	}
	for _, n := range []struct {
		name string
		n    int
		most int
	}{
		{".queue.length", v.Queue.Length, maxConcurrent},
		{".health.unhealthy", v.Health.Unhealthy, maxChecks},
		{".health.healthy", v.Health.Healthy, maxChecks},
	} {
		if n.n < 0 || n.n > n.most || n.n == 0 && c.at.Written(path+n.name) {
			c.fail(path+n.name, fmt.Sprintf("write a number from 1 to %d", n.most), "%d is out of range", n.n)
		}
	}
	switch h := v.Health; {
	case h.Path == "" && h != HealthCheck{}:
		c.fail(path+".health.path", "write what to ask for, like /healthz", "it is missing")
	case h.Path != "" && (h.Path[0] != '/' || len(h.Path) > 2048 || strings.ContainsAny(h.Path, " \t\r\n#")):
		c.fail(path+".health.path", "write what to ask for, like /healthz", "%q is not a path", clip(h.Path))
	}
}

// url checks the address of an upstream. Messages don't quote it: it may hold a password.
func (c *checker) url(path, text string) {
	const remedy = `write an address like "http://127.0.0.1:9101" or "https://models.example.org/v2"`
	u, err := url.Parse(text)
	switch {
	case text == "":
		c.fail(path, remedy, "it is empty")
	case len(text) > 2048 || err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		c.fail(path, remedy, "it is not a valid URL")
	case u.Scheme != "http" && u.Scheme != "https":
		c.fail(path, remedy, "the scheme %q is not supported", clip(u.Scheme))
	case u.User != nil:
		c.fail(path, "remove them and add a header from a secret, like headers: {Authorization: env:UPSTREAM_KEY}", "it holds credentials")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		c.fail(path, "remove what follows ? or #", "it has a query or a fragment, which come from the request")
	}
}

// Headers that a proxy or its client library sets by itself.
var ownedHeaders = []string{
	"Connection", "Content-Length", "Host", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

func (c *checker) secret(path, header string, s Secret) {
	text := string(s)
	source, name, isReference := strings.Cut(text, ":")
	switch {
	case slices.Contains(ownedHeaders, CanonicalHeader(header)):
		c.fail(path, "remove it", "the header %s is set by the gateway", header)
	case strings.ContainsAny(text, "\r\n\x00"):
		c.fail(path, "write one line", "a header's value can't hold line breaks")
	case isReference && (source == "env" || source == "file") && name == "":
		c.fail(path, "write env:NAME or file:PATH", "the secret's name is empty")
	case isReference && (source == "env" || source == "file"):
	case text == "":
		c.fail(path, "write a value, env:NAME or file:PATH", "it is empty")
	case holdsSecret(header):
		c.fail(path, "write env:NAME or file:PATH", "a secret must not stand in the file, which is stored")
	}
}

// holdsSecret says whether headers of this name usually carry credentials.
func holdsSecret(header string) bool {
	h := strings.ToLower(header)
	return strings.Contains(h, "authorization") || strings.Contains(h, "key") || strings.Contains(h, "token") ||
		strings.Contains(h, "secret") || strings.Contains(h, "cookie") || strings.Contains(h, "password")
}

func (c *checker) limits() {
	if b := c.m.Spec.Limits.Body; b < 0 || b > MaxBody || b == 0 && c.at.Written("spec.limits.body") {
		c.fail("spec.limits.body", "write a size from 1B to "+MaxBody.String(), "%s is out of range", b)
	}
	if h := c.m.Spec.Feedback.Horizon; h < 0 || h == 0 && c.at.Written("spec.feedback.horizon") {
		c.fail("spec.feedback.horizon", "write a time like 72h", "%s is out of range", h)
	}
}
