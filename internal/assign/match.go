package assign

import (
	"cmp"
	"slices"
	"strings"
)

// Match returns the most specific route for a request, nil if none fits. What makes a route more
// specific, first to last: the body's model, a host, a longer path (an exact one before a prefix of
// the same length), more headers; between equals, which lint reports, the model's name.
//
// Header returns the value of a header of the request. Model returns the model that the body names,
// or ""; it may be nil, and is called at most once and only if its answer matters, because it
// needs the body.
func (r *Routes) Match(host, path string, header func(name string) string, model func() string) *Route {
	q := query{host: hostOnly(host), path: path, header: header, model: model}
	exact, others := r.exact[path], r.others
	for len(exact) > 0 || len(others) > 0 {
		var next *Route
		if len(others) == 0 || len(exact) > 0 && exact[0].rank < others[0].rank {
			next, exact = exact[0], exact[1:]
		} else {
			next, others = others[0], others[1:]
		}
		if q.fits(next) {
			return next
		}
	}
	return nil
}

// query is one request on its way through Match.
type query struct {
	host, path string
	header     func(string) string
	model      func() string
	named      string // the body's model, once asked
	asked      bool
}

func (q *query) fits(r *Route) bool {
	switch {
	case r.host != "" && r.host != q.host && !strings.EqualFold(r.host, q.host):
		return false
	case r.prefix && !strings.HasPrefix(q.path, r.Match.Path):
		return false
	}
	for _, h := range r.headers {
		if q.header == nil || q.header(h.Name) != h.Value {
			return false
		}
	}
	return r.Match.Model == "" || r.Match.Model == q.body()
}

func (q *query) body() string {
	if !q.asked && q.model != nil {
		q.named = q.model()
	}
	q.asked = true
	return q.named
}

// hostOnly cuts the port off; brackets of an IPv6 address stay.
func hostOnly(host string) string {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 {
		return host[:i]
	}
	return host
}

// index sorts the routes and splits them by how their path is found.
func (r *Routes) index() {
	slices.SortStableFunc(r.All, bySpecificity)
	r.exact = make(map[string][]*Route)
	for i, route := range r.All {
		route.rank = i
		if path := route.Match.Path; path != "" && !route.prefix {
			r.exact[path] = append(r.exact[path], route)
		} else {
			r.others = append(r.others, route)
		}
	}
}

// bySpecificity orders the most specific route first.
func bySpecificity(a, b *Route) int {
	return cmp.Or(
		present(b.Match.Model)-present(a.Match.Model),
		present(b.Match.Host)-present(a.Match.Host),
		cmp.Compare(len(b.Match.Path), len(a.Match.Path)),
		len(b.headers)-len(a.headers),
		cmp.Compare(a.Model, b.Model),
	)
}

func present(s string) int {
	if s == "" {
		return 0
	}
	return 1
}
