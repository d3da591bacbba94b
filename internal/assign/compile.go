package assign

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"sluice.dev/sluice/internal/release"
)

// Resolve returns the plain text of a secret. It is the caller's, because secrets live in files and
// environments and this package does no I/O.
type Resolve func(release.Secret) (string, error)

// Routes is the compiled view of a Spec: one immutable value, safe for concurrent use, that gateways
// swap as a whole.
type Routes struct {
	Generation uint64
	Lease      time.Duration // how long candidates may be served without a renewal; 0: no limit
	All        []*Route      // most specific first

	exact  map[string][]*Route // by exact path
	others []*Route            // with a prefix or without any path
}

// Route is one model's compiled part. Its fields are read only.
type Route struct {
	RouteSpec                  // as published, defaults filled in
	Key       release.ModelKey // compact name inside events and exposure ids
	Upstreams []Upstream       // by arm

	rank        int
	prefix      bool
	host        string
	headers     []Header
	serve       *Table
	wouldBe     *Table // nil unless Kind is WouldBe
	mirrorSalt  string
	mirrorBelow uint64
}

// Upstream is one arm's version, ready to be called.
type Upstream struct {
	Version       string
	URL           *url.URL // nil if Err is set
	Timeout       time.Duration
	MaxConcurrent int
	Headers       []Header // set on each request, secrets resolved
	Failover      bool
	Protocol      release.Protocol // never empty
	Timeouts      release.Timeouts
	Queue         release.Queue
	Health        release.HealthCheck // Path is empty: none
	Hedge         release.Hedge
	// Err says why this arm cannot be called from here, e.g. a secret that is not there. It is no
	// error of Compile: one arm without its secret must not keep the other models, or an abort of
	// this one, from being served.
	Err error
}

// Header is a name and its value.
type Header struct{ Name, Value string }

// Assignment is all that is drawn for one unit.
type Assignment struct {
	Arm      uint8 // serves the request
	Counted  uint8 // is recorded: the same, or the would-be arm while live serves all
	Mirrored bool  // a copy of the request goes to arm 1
	Bin      uint16
}

// Compile builds the immutable view of a Spec. It refuses what is wrong in itself (all faults at
// once, as release.KindInvalid) and marks in Upstream.Err what is only wrong on this machine.
func Compile(spec *Spec, resolve Resolve) (*Routes, error) {
	const op = "compile routes"
	var faults []error
	routes := &Routes{Generation: spec.Generation, Lease: time.Duration(spec.Lease) * time.Millisecond}
	if spec.Lease < 0 {
		faults = append(faults, release.Invalid(op, "the lease is negative"))
	}
	names := make(map[string]bool, len(spec.Models))
	for i := range spec.Models {
		m := spec.Models[i]
		r, err := compileRoute(m, resolve)
		if err == nil && names[m.Model] {
			err = release.Invalid(op, "model %q is there twice", m.Model)
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		names[m.Model] = true
		routes.All = append(routes.All, r)
	}
	if len(faults) > 0 {
		e := release.Invalid(op, "generation %d has %d faults", spec.Generation, len(faults))
		e.Cause = errors.Join(faults...)
		return nil, e
	}
	routes.index()
	return routes, nil
}

// Faults lists the arms that cannot be called from here; empty is good.
func (r *Routes) Faults() []error {
	var out []error
	for _, route := range r.All {
		for i := range route.Upstreams {
			if err := route.Upstreams[i].Err; err != nil {
				out = append(out, err)
			}
		}
	}
	return out
}

// Model returns the route of the model of that name, nil if there is none.
func (r *Routes) Model(name string) *Route {
	for _, route := range r.All {
		if route.Model == name {
			return route
		}
	}
	return nil
}

// Assign draws everything for one unit. It doesn't allocate for units of ordinary length.
func (r *Route) Assign(unit []byte) Assignment {
	var a Assignment
	if r.wouldBe != nil { // one hash for both
		h := Hash(r.Salt, unit)
		a.Arm, a.Counted = r.serve.ArmOf(h), r.wouldBe.ArmOf(h)
	} else {
		a.Arm = r.serve.Arm(unit)
		a.Counted = a.Arm
	}
	a.Bin = Bin(unit)
	a.Mirrored = r.Mirrored(unit)
	return a
}

// Arm returns the arm that serves the unit.
func (r *Route) Arm(unit []byte) uint8 { return r.serve.Arm(unit) }

// WouldBe returns the arm that is recorded for the unit: that which serves it, or while live serves
// all in a release, that which would.
func (r *Route) WouldBe(unit []byte) uint8 {
	if r.wouldBe != nil {
		return r.wouldBe.Arm(unit)
	}
	return r.serve.Arm(unit)
}

// Mirrored says whether copies of the unit's requests go to arm 1. The units of a smaller mirror
// share are a subset of those of a larger one.
func (r *Route) Mirrored(unit []byte) bool {
	switch r.Mirror {
	case 0:
		return false
	case release.Whole:
		return true
	}
	return Hash(r.mirrorSalt, unit) < r.mirrorBelow
}

func compileRoute(m RouteSpec, resolve Resolve) (*Route, error) {
	if err := checkRoute(m); err != nil {
		return nil, err
	}
	defaults(&m)
	r := &Route{
		RouteSpec: m, Key: release.ModelKeyOf(m.Model),
		prefix:     strings.HasSuffix(m.Match.Path, "/"),
		host:       hostOnly(strings.ToLower(m.Match.Host)),
		mirrorSalt: m.Salt + mirrorSuffix, mirrorBelow: Measure(m.Mirror),
	}
	for _, name := range sortedKeys(m.Match.Headers) {
		r.headers = append(r.headers, Header{name, m.Match.Headers[name]})
	}
	var err error
	if r.serve, err = NewTable(m.Salt, m.Serve); err != nil {
		return nil, err
	}
	if m.Kind == release.ExposureWouldBe {
		if r.wouldBe, err = NewTable(m.Salt, m.WouldBe); err != nil {
			return nil, err
		}
	}
	for _, arm := range m.Arms {
		r.Upstreams = append(r.Upstreams, upstream(m.Model, arm, resolve))
	}
	return r, nil
}

// checkRoute finds what no build of Sluice publishes: a damaged or foreign Spec must not be served.
func checkRoute(m RouteSpec) error {
	op := "compile route of model " + m.Model
	switch {
	case m.Model == "":
		return release.Invalid("compile route", "a model has no name")
	case len(m.Arms) == 0 || len(m.Arms) > release.MaxArms:
		return release.Invalid(op, "%d arms; 1 to %d are possible", len(m.Arms), release.MaxArms)
	case len(m.Signals) > release.MaxSignals:
		return release.Invalid(op, "%d signals; %d are possible", len(m.Signals), release.MaxSignals)
	case m.Mirror > release.Whole:
		return release.Invalid(op, "the mirror share is above 100%%")
	case m.Mirror > 0 && len(m.Arms) < 2:
		return release.Invalid(op, "copies are asked for, but there is no candidate")
	case m.Match.Path != "" && m.Match.Path[0] != '/':
		return release.Invalid(op, "path %q does not begin with a slash", m.Match.Path)
	case m.Kind == release.ExposureCopy || m.Kind > release.ExposureOutside:
		return release.Invalid(op, "kind %d is not one of a route", m.Kind)
	}
	lists := [][]Interval{m.Serve}
	if m.Kind == release.ExposureWouldBe {
		lists = append(lists, m.WouldBe)
	}
	for _, list := range lists {
		if err := Validate(list); err != nil {
			return err
		}
		for _, iv := range list {
			if int(iv.Arm) >= len(m.Arms) {
				return release.Invalid(op, "an interval names arm %d; there are %d", iv.Arm, len(m.Arms))
			}
		}
	}
	return nil
}

func defaults(m *RouteSpec) {
	if m.Unit.Missing == "" {
		m.Unit.Missing = release.MissingLive
	}
	if m.Limits.Body == 0 {
		m.Limits.Body = release.DefaultBodyLimit
	}
	if m.Horizon == 0 {
		m.Horizon = release.Duration(release.DefaultHorizon)
	}
}

func upstream(model string, arm ArmSpec, resolve Resolve) Upstream {
	u := Upstream{
		Version: arm.Version, Timeout: time.Duration(arm.Spec.Timeout),
		MaxConcurrent: arm.Spec.MaxConcurrent, Failover: arm.Spec.Failover,
		Protocol: cmp.Or(arm.Spec.Protocol, release.ProtocolAuto), Timeouts: arm.Spec.Timeouts,
		Queue: arm.Spec.Queue, Health: arm.Spec.Health, Hedge: arm.Spec.Hedge,
	}
	if u.Timeout <= 0 {
		u.Timeout = release.DefaultVersionTimeout
	}
	if u.MaxConcurrent <= 0 {
		u.MaxConcurrent = release.DefaultMaxConcurrent
	}
	u.URL, u.Headers, u.Err = address(arm, resolve)
	if u.Err != nil {
		u.URL, u.Headers = nil, nil
		u.Err = unusable(model, arm.Version, u.Err)
	}
	return u
}

func address(arm ArmSpec, resolve Resolve) (*url.URL, []Header, error) {
	at, err := url.Parse(arm.Spec.URL)
	if err != nil {
		return nil, nil, err
	}
	if at.Scheme == "" || at.Host == "" {
		return nil, nil, release.Invalid("", "url %q has no scheme or no host", at.Redacted())
	}
	headers := make([]Header, 0, len(arm.Spec.Headers))
	for _, name := range sortedKeys(arm.Spec.Headers) {
		value, err := resolve(arm.Spec.Headers[name])
		if err != nil {
			e := release.Unavailable("", err, "header %s", name)
			return nil, nil, e
		}
		headers = append(headers, Header{name, value})
	}
	return at, headers, nil
}

func unusable(model, version string, cause error) error {
	e := release.Unavailable("use version "+version+" of model "+model, cause, "it cannot be called from here")
	return e.Fix("check its url and headers in the Model file, and its secrets on this machine")
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
