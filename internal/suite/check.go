package suite

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sluice.dev/sluice/internal/release"
)

// Bounds and defaults of a suite.
const (
	defaultDeadline  = 5 * time.Minute
	maxDeadline      = time.Hour
	defaultTimeout   = 5 * time.Second
	maxTimeout       = 5 * time.Minute
	defaultMaxAnswer = 1 << 20
	maxMaxAnswer     = 64 << 20
	defaultParallel  = 4
	maxParallel      = 64
	maxRetries       = 5
	maxRepeat        = 20
	maxNameBytes     = 200
)

// head is what all cases have in common.
type head struct {
	family   Family
	name     string
	required bool
	tags     []string
	timeout  time.Duration
}

// functionalCase is a checked Functional.
type functionalCase struct {
	head
	retries int
	repeat  int
	same    []string
	table   *table // nil: one request without a row
	rows    int
	seed    uint64 // 0: the run's
	request *requestPlan
	expect  *expectation
	gates   []*gate
}

// performanceCase is a checked Performance.
type performanceCase struct {
	head
	spec     Performance
	table    *table
	seed     uint64
	request  *requestPlan
	duration time.Duration
	warmUp   time.Duration
	ramp     time.Duration
	workers  int
	errors   float64 // share
}

// exceptionCase is a checked Exception: a battery if parts is not empty.
type exceptionCase struct {
	head
	parts    []Trouble
	accept   []Trouble
	request  *requestPlan
	expect   *expectation
	oversize int
	burst    int
	patience time.Duration
	schema   *jsonschema.Schema // of the body; nil if none is known
	rules    *shapes            // the same as it was written
	foreign  bool               // answers of 2xx need not be JSON, whatever the dialect
}

// all checks the file and makes the suite's cases.
func (c *checker) all() {
	s := c.suite
	c.head()
	for i := range s.Spec.Functional {
		s.functional = append(s.functional, c.functional(fmt.Sprintf("spec.functional[%d]", i), &s.Spec.Functional[i]))
	}
	for i := range s.Spec.Performance {
		s.performance = append(s.performance, c.performance(fmt.Sprintf("spec.performance[%d]", i), &s.Spec.Performance[i]))
	}
	for i := range s.Spec.Exceptions {
		s.exceptions = append(s.exceptions, c.exceptionsOf(fmt.Sprintf("spec.exceptions[%d]", i), s.Spec.Exceptions[i])...)
	}
	if s.Cases() == 0 {
		c.fail("spec", "add functional, performance or exceptions", "the suite has no case, so it can show nothing")
	}
	if !c.anyRequired() && s.Cases() > 0 {
		c.fail("spec", "let at least one case be required", "every case is optional, so the suite can't pass or fail")
	}
}

func (c *checker) anyRequired() bool {
	for _, f := range c.suite.functional {
		if f.required {
			return true
		}
	}
	for _, p := range c.suite.performance {
		if p.required {
			return true
		}
	}
	return slices.ContainsFunc(c.suite.exceptions, func(e *exceptionCase) bool { return e.required })
}

// head checks what stands above the cases.
func (c *checker) head() {
	s := &c.suite.Spec
	if name := c.suite.Name; name == "" || len(name) > release.MaxNameLen {
		c.fail("metadata.name", "write a name like credit", "the name has %d bytes, want 1 to %d", len(name), release.MaxNameLen)
	}
	if s.Seed < 0 {
		c.fail("spec.seed", "write a whole number from 0", "%d is negative", s.Seed)
	}
	c.count("spec.parallel", s.Parallel, defaultParallel, maxParallel)
	c.between("spec.deadline", s.Deadline, defaultDeadline, maxDeadline)
	c.between("spec.target.timeout", s.Target.Timeout, defaultTimeout, maxTimeout)
	if s.Target.MaxAnswer < 0 || s.Target.MaxAnswer > maxMaxAnswer {
		c.fail("spec.target.maxAnswer", "write a size up to 64MiB", "%s is too much", s.Target.MaxAnswer)
	}
	c.generation("spec.target.generation", s.Target.Generation)
	c.judge("spec.judge", s.Judge)
	if s.Target.Path != "" || len(s.Target.Headers) > 0 || s.Target.Method != "" {
		c.request("spec.target", nil, true)
	}
	if s.Sample != nil {
		c.request("spec.sample", s.Sample, false)
	}
}

// common checks what cases of all families share.
func (c *checker) common(at string, family Family, name string, optional bool, tags []string, timeout release.Duration) head {
	h := head{family: family, name: name, required: !optional, tags: tags}
	switch key := string(family) + "/" + name; {
	case name == "" || len(name) > maxNameBytes || name != clean(name, maxNameBytes):
		c.fail(at+".name", "write a short name on one line", "%q is no name of a case", clean(name, 40))
	case c.names[key]:
		c.fail(at+".name", "give each case of a family its own name", "%q is the name of another case", name)
	default:
		c.names[key] = true
	}
	for _, t := range tags {
		if t == "" || t != clean(t, 60) {
			c.fail(at+".tags", "write words", "%q is no tag", clean(t, 60))
		}
	}
	target := c.suite.Spec.Target.Timeout.Std()
	if target < time.Millisecond || target > maxTimeout {
		target = defaultTimeout
	}
	h.timeout = c.between(at+".timeout", timeout, target, maxTimeout)
	return h
}

// requestOf is the request of a case: its own, else the sample.
func (c *checker) requestOf(at string, own *Request, withData bool) *requestPlan {
	switch {
	case own != nil:
		return c.request(at+".request", own, withData)
	case c.suite.Spec.Sample != nil:
		return c.request("spec.sample", c.suite.Spec.Sample, withData)
	}
	c.fail(at+".request", "add a request here, or spec.sample for all", "the case has no request")
	return &requestPlan{}
}

func (c *checker) functional(at string, f *Functional) *functionalCase {
	out := &functionalCase{
		head:    c.common(at, FamilyFunctional, f.Name, f.Optional, f.Tags, f.Timeout),
		repeat:  c.count(at+".repeat", f.Repeat, 1, maxRepeat),
		retries: c.count(at+".retries", f.Retries, 0, maxRetries),
		same:    f.Same,
		request: c.requestOf(at, f.Request, f.Data != nil),
		expect:  c.expect(at+".expect", f.Expect, f.Data != nil, ok2xx),
	}
	for i, p := range f.Same {
		c.jsonPath(fmt.Sprintf("%s.same[%d]", at, i), p)
	}
	if len(f.Same) > 0 && out.repeat == 1 {
		c.fail(at+".same", "add repeat: 2", "one answer has none to be the same as")
	}
	out.table, out.rows, out.seed = c.data(at+".data", f.Data, out.request)
	if out.table != nil {
		c.columnsOf(at+".expect", f.Data.File, out.table, func(each func(string)) {
			for _, j := range out.expect.json {
				if j.equals != nil {
					j.equals.columns(each)
				}
			}
			if out.expect.text != nil {
				out.expect.text.columns(each)
			}
		})
	}
	if f.Data == nil && len(f.Gates) > 0 {
		c.fail(at+".gates", "add data: {file: ...}", "gates judge the rows of a data file, and the case has none")
	}
	for i := range f.Gates {
		out.gates = append(out.gates, c.gate(fmt.Sprintf("%s.gates[%d]", at, i), &f.Gates[i], out))
	}
	return out
}

// data reads the rows of a case.
func (c *checker) data(at string, d *Data, request *requestPlan) (t *table, rows int, seed uint64) {
	if d == nil {
		return nil, 0, 0
	}
	if d.Rows < 0 || d.Rows > maxRows {
		c.fail(at+".rows", "write a number of rows", "%d is not between 1 and %d", d.Rows, maxRows)
	}
	if d.Seed < 0 {
		c.fail(at+".seed", "write a whole number from 0", "%d is negative", d.Seed)
	}
	c.record(at+".record", d.Record)
	if t = c.table(at+".file", d.File, d.Record); t == nil {
		return nil, 0, 0
	}
	if d.Rows > len(t.rows) {
		c.fail(at+".rows", "ask for fewer rows, or leave it out for all", "%s has %d rows, fewer than %d", clean(d.File, 60), len(t.rows), d.Rows)
	}
	c.columnsOf(at, d.File, t, request.columns)
	c.bodyFiles(at, request, t)
	return t, d.Rows, uint64(max(d.Seed, 0))
}

// columnsOf checks that all columns that are needed exist.
func (c *checker) columnsOf(at, file string, t *table, needed func(func(string))) {
	var missing []string
	needed(func(column string) {
		if !t.has(column) && !slices.Contains(missing, column) {
			missing = append(missing, column)
		}
	})
	if len(missing) > 0 {
		c.fail(at, "its columns are "+clean(strings.Join(t.columns, ", "), 200), "%s has no column %s",
			clean(file, 60), clean(strings.Join(missing, ", "), 100))
	}
}

func (c *checker) performance(at string, p *Performance) *performanceCase {
	out := &performanceCase{
		head:     c.common(at, FamilyPerformance, p.Name, p.Optional, p.Tags, p.Timeout),
		spec:     *p,
		request:  c.requestOf(at, p.Request, p.Data != nil),
		duration: c.between(at+".duration", p.Duration, time.Second, maxLoadDuration),
		workers:  c.count(at+".maxConcurrent", p.MaxConcurrent, defaultLoadWorkers, maxLoadWorkers),
	}
	if p.WarmUp != 0 {
		out.warmUp = c.between(at+".warmUp", p.WarmUp, time.Second, maxWarmUp)
	}
	if p.Ramp != 0 {
		out.ramp = c.between(at+".ramp", p.Ramp, time.Second, maxRamp)
	}
	if r := p.Rate.PerSecond(); r < minLoadRate || r > maxLoadRate {
		c.fail(at+".rate", "write a rate like 50/s", "%s is not between %d/s and %d/s", p.Rate, minLoadRate, maxLoadRate)
	} else if n := r * out.duration.Seconds(); n < 1 || n > maxLoadRequests {
		c.fail(at+".duration", "change rate or duration", "the load has %.0f requests, want 1 to %d", n, maxLoadRequests)
	}
	if p.Limits.Errors != nil {
		out.errors = p.Limits.Errors.Fraction()
	}
	if p.Limits.PerToken > 0 || p.Limits.Tokens > 0 || p.AgainstLive != nil && !p.AgainstLive.PerToken.IsZero() {
		c.needsText(at+".limits", "the speed of tokens")
	}
	if l := p.AgainstLive; l != nil {
		c.factor(at+".againstLive.p50", l.P50)
		c.factor(at+".againstLive.p95", l.P95)
		c.factor(at+".againstLive.firstToken", l.FirstToken)
		c.factor(at+".againstLive.perToken", l.PerToken)
		if l.P50.IsZero() && l.P95.IsZero() && l.FirstToken.IsZero() && l.PerToken.IsZero() {
			c.fail(at+".againstLive", "write p50, p95, firstToken or perToken, like p95: 1.25x", "nothing is compared")
		}
	}
	out.table, _, out.seed = c.data(at+".data", p.Data, out.request)
	return out
}

func (c *checker) factor(at string, m release.Margin) {
	if !m.IsZero() && (m.Unit != release.Factor || m.Value < 1) {
		c.fail(at, "write a factor from 1x, like 1.25x", "%s is no such factor", m)
	}
}

// exception checks a battery or a case of one's own. With a plan its request is not looked for.
func (c *checker) exception(at string, e *Exception, plan *requestPlan) *exceptionCase {
	name := e.Name
	if name == "" && e.Battery != "" {
		name = "battery"
	}
	out := &exceptionCase{
		head:     c.common(at, FamilyException, name, e.Optional, e.Tags, e.Timeout),
		accept:   e.Accept,
		request:  plan,
		burst:    c.count(at+".burst", e.Burst, 64, 1000),
		patience: c.between(at+".patience", e.Patience, 500*time.Millisecond, 30*time.Second),
		oversize: int(cmp.Or(e.Oversize, 4<<20)),
	}
	if plan == nil {
		out.request = c.requestOf(at, e.Request, false)
	}
	if out.oversize < 1024 || out.oversize > 256<<20 {
		c.fail(at+".oversize", "write a size from 1KiB to 256MiB", "%s is not", e.Oversize)
	}
	if e.Battery == "" {
		out.expect = c.expect(at+".expect", e.Expect, false, refused4xx)
		if len(e.Only)+len(e.Except)+len(e.Accept) > 0 {
			c.fail(at+".battery", "add battery: all, or remove only, except and accept", "only, except and accept speak of a battery")
		}
		return out
	}
	out.expect = c.expect(at+".expect", e.Expect, false, ok2xx)
	if e.Expect.Status != nil {
		c.fail(at+".expect.status", "remove it, or use accept", "in a battery expect is about answers of 2xx")
	}
	for _, t := range troubles() {
		wanted := slices.Contains(e.Only, t) || len(e.Only) == 0 && c.concerns(t, e, out.request)
		if wanted && !slices.Contains(e.Except, t) {
			out.parts = append(out.parts, t)
		}
	}
	if len(out.parts) == 0 {
		c.fail(at+".except", "leave something in", "nothing is left of the battery")
	}
	return out
}

// concerns says whether a part of the battery can be made of such requests at all. A part that is left out so is no
// result; one that is asked for by name is skipped in words.
func (c *checker) concerns(t Trouble, e *Exception, plan *requestPlan) bool {
	d := c.suite.Spec.Target.Dialect
	body, isJSON := plan.bodyKind()
	switch t {
	case TroubleNotJSON, TroubleMistyped, TroubleMissing, TroubleUnknown, TroubleNested, TroubleNumbers, TroubleInjection:
		return isJSON
	case TroubleEmpty, TroubleTruncated, TroubleOversized, TroubleMedia, TroubleEncoding, TroubleSlow:
		return body
	case TroubleParameters, TroubleMessages, TroubleStreamGone:
		return speaksText(d)
	case TroubleTensors:
		return d == release.DialectOIP
	case TroubleSchema:
		return e.Schema != "" || e.OpenAPI != ""
	case TroubleQuery:
		return plan.path.has("?")
	case TroubleCorrupted:
		return body && !isJSON
	}
	return true
}

func sortBy[T any](list []T, key func(T) string) {
	slices.SortFunc(list, func(a, b T) int { return strings.Compare(key(a), key(b)) })
}
