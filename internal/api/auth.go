package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
)

// Access says how people get in.
type Access struct {
	// URL is the address under which browsers reach the server, if it is another one than that which it listens on; a
	// proxy that ends TLS makes it so. "" takes the request's own.
	URL string
	// TLS says that this port itself serves HTTPS.
	TLS bool
	// Session is how long a browser stays logged in. 0: DefaultSession.
	Session time.Duration
	// Provider logs people in, beside tokens. nil: there is none.
	Provider Provider
}

// DefaultSession is how long a browser stays logged in.
const DefaultSession = 12 * time.Hour

// Provider is an identity provider that a browser is sent to and comes back from. Implemented by package oidc.
type Provider interface {
	// Name is what people know it by.
	Name() string
	// Begin returns where to send the browser, and what it must bring back in a cookie.
	Begin() (location, state string, err error)
	// Finish checks what the browser came back with and returns who it is. KindDenied if it is nobody who may get in.
	Finish(ctx context.Context, state string, query url.Values) (records.Who, error)
}

// secure says whether cookies are for HTTPS alone.
func (a *Access) secure() bool { return a.TLS || strings.HasPrefix(a.URL, "https://") }

const (
	csrfHeader    = "X-Sluice-Csrf"
	csrfHeaderToo = "X-Csrf-Token"
)

// cookieName binds the cookie to this very host and to HTTPS where that can be had.
func (s *server) cookieName(base string) string {
	if s.o.Access.secure() {
		return "__Host-sluice-" + base
	}
	return "sluice-" + base
}

func (s *server) cookie(base, value string, lasts time.Duration, site http.SameSite) *http.Cookie {
	age := int(lasts / time.Second)
	if value == "" {
		age = -1
	}
	return &http.Cookie{
		Name: s.cookieName(base), Value: value, Path: "/", MaxAge: age, Secure: s.o.Access.secure(), HttpOnly: true, SameSite: site,
	}
}

// caller is who sends a request, and with which session if it comes from a browser.
type caller struct {
	who     records.Who
	session records.Session // zero for a bearer token
}

type callerKey struct{}

// guard lets a request through when its token or session has the needed role.
func (s *server) guard(role string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := s.identify(r)
		if err == nil {
			err = records.Require(who.who, role)
		}
		if err != nil {
			s.fail(w, r, err)
			return
		}
		who.who.Address = address(r)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
	})
}

// identify finds out who sends a request: by its bearer token, or else by its session.
func (s *server) identify(r *http.Request) (caller, error) {
	if header := r.Header.Get("Authorization"); header != "" {
		bearer, ok := strings.CutPrefix(header, "Bearer ")
		if !ok {
			return caller{}, unauthorized("the Authorization header holds no bearer token", "send Authorization: Bearer TOKEN")
		}
		who, err := s.authenticate(r, strings.TrimSpace(bearer))
		return caller{who: who}, err
	}
	cookie, err := r.Cookie(s.cookieName("session"))
	if err != nil {
		return caller{}, unauthorized("a bearer token is needed", "send Authorization: Bearer TOKEN; the first token was printed when the server first started")
	}
	session, err := s.o.Records.ResumeSession(r.Context(), cookie.Value, s.o.Now())
	if err != nil {
		return caller{}, asUnauthorized(err)
	}
	return caller{who: session.Who, session: session}, checkCSRF(r, session.CSRF)
}

// checkCSRF wants a value that only our own page knows with every request that may change something: a cookie goes along
// with requests that other pages make.
func checkCSRF(r *http.Request, want string) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	got := r.Header.Get(csrfHeader)
	if got == "" {
		got = r.Header.Get(csrfHeaderToo)
	}
	if !sameText(got, want) {
		return &httpError{
			status: http.StatusForbidden, msg: "a request by session that changes something needs the header " + csrfHeader,
			remedy: "its value is csrf in the answer of GET /api/v1/session",
		}
	}
	return nil
}

// authenticate checks a bearer token unless too many wrong ones came for it from the same address.
func (s *server) authenticate(r *http.Request, bearer string) (records.Who, error) {
	attempt := attempt{address: prefix(address(r)), id: records.TokenID(bearer)}
	if wait := s.strikes.locked(attempt, s.o.Now()); wait > 0 {
		return records.Who{}, &httpError{
			status: http.StatusTooManyRequests, retry: wait, msg: "too many wrong tokens came from this address",
			remedy: "wait as long as Retry-After says; tokens that were not tried are not affected",
		}
	}
	who, err := s.o.Records.Authenticate(r.Context(), bearer, s.o.Now())
	switch {
	case err == nil:
		s.strikes.forgive(attempt)
	case release.KindOf(err) == release.KindDenied:
		if !errors.Is(err, records.ErrTokenOver) { // a right secret is no guess
			s.strikes.count(attempt, s.o.Now())
		}
		err = asUnauthorized(err)
	}
	return who, err
}

func unauthorized(msg, remedy string) error {
	return &httpError{status: http.StatusUnauthorized, msg: msg, remedy: remedy}
}

// asUnauthorized turns "you may not" into "who are you".
func asUnauthorized(err error) error {
	var re *release.Error
	if errors.As(err, &re) && re.Kind == release.KindDenied {
		return unauthorized(re.Op+": "+re.Msg, re.Remedy)
	}
	return err
}

// address is where a request comes from. Headers that claim another one are not believed.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// prefix is what one attacker has: an IPv4 address, or a /64 of IPv6.
func prefix(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	p, err := ip.Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}
