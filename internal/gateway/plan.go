package gateway

import (
	"cmp"
	"net/http"
	"net/textproto"
	"net/url"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/upstream"
)

// plan is what a gateway adds to one value of the routes: counters, breakers, slots. It is compiled
// when the routes change and immutable afterwards; what it points to outlives it, as far as the next
// routes name the same.
type plan struct {
	routes *assign.Routes
	models []*model
	byPath map[*assign.Route]*model
	byKey  map[release.ModelKey]*model
	// largest is the largest body that any model takes: the bound while the model is not known
	largest int64
}

// model is one route with its state.
type model struct {
	*assign.Route
	name    string // the label of its metrics
	unit    []release.SelectorSpec
	signals signals
	arms    []*arm
	metrics modelMetrics
	inBody  bool // the request's body must be in memory
}

// arm is one version as one release sees it.
type arm struct {
	version *version
	breaker *breaker // nil for live
	metrics armMetrics
}

// version is one upstream of a model.
type version struct {
	name     string
	url      *url.URL
	host     string // of the Host header
	headers  http.Header
	timeout  time.Duration
	timeouts release.Timeouts
	protocol release.Protocol
	hedge    release.Hedge
	h1       *upstream.Host // nil: HTTP/2 only
	gate     *gate
	check    *check // nil: its health is not asked for
	tongue   tongue
	fallback bool  // failover
	err      error // it can't be called from here
}

// transport is what asks the version other than by HTTP/1.1.
func (v *version) transport(g *Gateway) http.RoundTripper {
	if g.opts.Upstream != nil {
		return g.opts.Upstream
	}
	return g.h2
}

// plan returns the plan of the current routes; nil if there are none. While one request compiles a
// new plan the others serve from the old one, which is whole in itself.
func (g *Gateway) plan() *plan {
	routes := g.opts.Routes()
	if routes == nil {
		return nil
	}
	p := g.planned.Load()
	if p != nil && p.routes == routes {
		return p
	}
	if p == nil {
		g.planning.Lock()
	} else if !g.planning.TryLock() {
		return p
	}
	defer g.planning.Unlock()
	if p = g.planned.Load(); p != nil && p.routes == routes {
		return p
	}
	next := g.compile(routes, p)
	g.planned.Store(next)
	return next
}

func (g *Gateway) compile(routes *assign.Routes, old *plan) *plan {
	p := &plan{
		routes: routes,
		byPath: make(map[*assign.Route]*model, len(routes.All)),
		byKey:  make(map[release.ModelKey]*model, len(routes.All)),
	}
	for i, route := range routes.All {
		name := route.Model
		if i >= maxLabelled {
			name = "other"
		}
		var before *model
		if old != nil {
			before = old.byKey[route.Key]
		}
		m := g.model(route, name, before)
		p.models = append(p.models, m)
		p.largest = min(max(p.largest, int64(m.Limits.Body)), g.opts.Limits.Body)
		p.byPath[route] = m
		p.byKey[route.Key] = m
	}
	g.checks.follow(g, p)
	for _, err := range routes.Faults() {
		g.opts.Logger.Error("a version can't be called from this gateway", "error", err)
	}
	return p
}

func (g *Gateway) model(route *assign.Route, name string, before *model) *model {
	m := &model{Route: route, name: name, metrics: g.metrics.model(name)}
	var err error
	if m.signals, err = compileSignals(route.Signals); err != nil {
		// Validation refuses such a file; a build that knows more selectors may have published it.
		g.opts.Logger.Error("signals of a model are not understood and not recorded", "model", route.Model, "error", err)
	}
	for _, s := range route.Unit.From {
		spec, err := s.Parse()
		if err != nil {
			g.opts.Logger.Error("a selector of the unit is not understood and passed over", "model", route.Model, "error", err)
			continue
		}
		m.unit = append(m.unit, spec)
		m.inBody = m.inBody || spec.ReadsBody()
	}
	m.inBody = m.inBody || m.signals.requestJSON || m.speaks() || route.Mirror > 0
	for i := range route.Upstreams {
		m.arms = append(m.arms, g.arm(m, i, before))
		m.inBody = m.inBody || i > 0 && m.arms[i].version.fallback
	}
	return m
}

// arm joins arm i to the state that it had before: the requests under way of the same version, the
// breaker of the same release.
func (g *Gateway) arm(m *model, i int, before *model) *arm {
	up := &m.Upstreams[i]
	a := &arm{
		metrics: g.metrics.arm(m.name, i),
		version: &version{
			name: up.Version, url: up.URL, timeout: up.Timeout, fallback: up.Failover, err: up.Err,
			timeouts: up.Timeouts, protocol: up.Protocol, hedge: up.Hedge, tongue: learn(m.Route, i, before),
			headers: make(http.Header, len(up.Headers)), gate: new(gate),
		},
	}
	if m.Dialect.Language() {
		a.metrics.speech = g.metrics.speech(m.name, i)
	}
	if up.URL != nil {
		a.version.host = up.URL.Host
		if g.opts.Upstream == nil && (up.Protocol == release.ProtocolAuto || up.Protocol == release.ProtocolH1) {
			a.version.h1 = g.h1.Host(up.URL)
		}
	}
	for _, h := range up.Headers {
		if name := textproto.CanonicalMIMEHeaderKey(h.Name); name == "Host" {
			a.version.host = h.Value
		} else {
			a.version.headers[name] = []string{h.Value}
		}
	}
	if before != nil {
		for _, o := range before.arms {
			if o.version.name == up.Version {
				a.version.gate = o.version.gate
			}
		}
	}
	a.version.gate.set(up.MaxConcurrent, up.Queue.Length, cmp.Or(up.Queue.Wait.Std(), release.DefaultQueueWait))
	if i == 0 {
		return a
	}
	if before != nil && before.Release == m.Release && before.Breaker == m.Breaker &&
		i < len(before.arms) && before.arms[i].version.name == up.Version {
		a.breaker = before.arms[i].breaker
	} else {
		a.breaker = newBreaker(m.Breaker)
	}
	return a
}

// leaseLeft returns for how long candidates may still be served; leaseForever without a lease.
func (g *Gateway) leaseLeft(p *plan, now time.Time) time.Duration {
	if p.routes.Lease == 0 || g.opts.Renewed == nil {
		return leaseForever
	}
	return g.opts.Renewed().Add(p.routes.Lease).Sub(now)
}

const leaseForever = time.Duration(1<<63 - 1)
