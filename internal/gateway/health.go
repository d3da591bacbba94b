package gateway

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"sluice.dev/sluice/internal/release"
)

// check asks one version how it is, again and again, beside the requests of clients. A candidate that is
// not well is left alone as if its breaker were open; live is only reported, for nobody could answer
// in its place.
type check struct {
	key  checkKey
	spec release.HealthCheck
	v    version // its own copy, under the check's time limit
	url  *url.URL

	down atomic.Bool
	stop context.CancelFunc
}

// checkKey is what makes two checks the same although the routes changed between.
type checkKey struct {
	model, version, url string
	spec                release.HealthCheck
}

// sick says that the version is known not to be well. A nil check knows nothing.
func (c *check) sick() bool { return c != nil && c.down.Load() }

// checks are those that run.
type checks struct {
	mu      sync.Mutex
	running map[checkKey]*check
	closed  bool
	group   sync.WaitGroup
}

// follow makes the checks of a plan run, and only those.
func (s *checks) follow(g *Gateway, p *plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	next := map[checkKey]*check{}
	for _, m := range p.models {
		for i, a := range m.arms {
			up := &m.Upstreams[i]
			if up.Health.Path == "" || a.version.err != nil {
				continue
			}
			k := checkKey{m.Model, a.version.name, a.version.url.String(), up.Health}
			c := s.running[k]
			if c == nil {
				c = next[k] // the same version behind two arms
			}
			if c == nil {
				c = s.start(g, k, a.version)
			}
			next[k], a.version.check = c, c
		}
	}
	for k, c := range s.running {
		if next[k] == nil {
			c.stop()
		}
	}
	s.running = next
}

// start runs a check. The lock is held.
func (s *checks) start(g *Gateway, k checkKey, v *version) *check {
	ctx, cancel := context.WithCancel(context.Background())
	c := &check{key: k, spec: k.spec, v: *v, stop: cancel}
	c.v.timeout, c.v.timeouts, c.v.hedge = k.spec.Timeout.Std(), release.Timeouts{}, release.Hedge{}
	at, err := url.Parse(k.spec.Path)
	if err != nil { // validation refuses such a file; a build that knows more may have published it
		g.opts.Logger.Error("the path of a health check is not understood and not asked for", "model", k.model, "version", k.version)
		return c
	}
	c.url = new(url.URL)
	upstreamURL(c.url, v.url, at)
	s.group.Go(func() { c.run(ctx, g) })
	return c
}

func (s *checks) close() {
	s.mu.Lock()
	s.closed = true
	for _, c := range s.running {
		c.stop()
	}
	s.mu.Unlock()
	s.group.Wait()
}

// run asks until ctx ends. A version is well until it has failed as often in a row as is allowed.
func (c *check) run(ctx context.Context, g *Gateway) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for row := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		well := c.ask(ctx, g)
		if ctx.Err() != nil {
			return
		}
		if well == c.down.Load() {
			row++
		} else {
			row = 0
		}
		if limit := map[bool]int{false: c.spec.Unhealthy, true: c.spec.Healthy}[well]; row >= max(limit, 1) {
			c.down.Store(!well)
			row = 0
			g.opts.Logger.Warn("the health of a version changed", "model", c.key.model, "version", c.key.version, "well", well)
		}
		timer.Reset(c.spec.Interval.Std())
	}
}

// maxHealthAnswer bounds what is read of an answer to a check.
const maxHealthAnswer = 64 << 10

func (c *check) ask(ctx context.Context, g *Gateway) bool {
	r := &http.Request{Method: http.MethodGet, URL: c.url, Header: http.Header{}}
	h := fields{{Name: HeaderShadow, Values: []string{"health"}}}
	for name, values := range c.v.headers {
		h.set(name, values)
	}
	s := sending{ctx: ctx, r: r, v: &c.v, out: outgoing{version: &c.v, url: c.url, header: h}}
	resp, err := s.send(g)
	if err != nil {
		s.end()
		return false
	}
	defer s.end()
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxHealthAnswer))
	return err == nil && resp.StatusCode >= 200 && resp.StatusCode < 400
}
