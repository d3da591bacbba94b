// Package oidc logs people in by an identity provider: OpenID Connect with the authorization code flow and PKCE.
//
//  1. Begin makes state, nonce and verifier by chance and returns the provider's address to send the browser to. All three
//     come back in a cookie, which binds the login to the browser that began it.
//  2. The provider asks the person and sends the browser back with the state and a code.
//  3. Finish compares the state, exchanges the code and the verifier for an ID token over a connection of its own, and
//     checks its signature, issuer, audience, time and nonce. Groups become a role by the config's table.
//
// Nothing of the provider is kept: no access token, no refresh token. A person whom the provider forgets is out when the
// session ends.
package oidc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
)

// Callback is the path that the provider sends browsers back to.
const Callback = "/api/v1/oidc/callback"

const (
	loginTime = 10 * time.Minute // between Begin and Finish
	callTime  = 10 * time.Second // for one request to the provider
	maxName   = 128
	maxGroups = 256
)

// Options of a provider.
type Options struct {
	Config release.OIDCConfig // normalised and valid
	URL    string             // the address that browsers use for this server
	Secret string             // of the client; "" for none
	HTTP   *http.Client       // nil: http.DefaultClient with a time limit
	Now    func() time.Time   // nil: time.Now
}

// Provider logs people in. Safe for concurrent use. The provider is asked for its addresses and keys at the first login,
// so that one that is away keeps nobody's server from starting.
type Provider struct {
	o Options

	mu       sync.Mutex
	found    *oidc.Provider
	verifier *oidc.IDTokenVerifier
}

// New returns a provider. It does not talk to it yet.
func New(o Options) *Provider {
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: callTime}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Provider{o: o}
}

// Name is what people know the provider by.
func (p *Provider) Name() string {
	if p.o.Config.Name != "" {
		return p.o.Config.Name
	}
	u, err := url.Parse(p.o.Config.Issuer)
	if err != nil {
		return p.o.Config.Issuer
	}
	return u.Host
}

// login is what a browser must bring back.
type login struct {
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"`
	Until    time.Time `json:"u"`
}

// Begin returns where to send a browser, and what it must bring back in a cookie that scripts can't read.
// KindUnavailable while the provider does not answer.
func (p *Provider) Begin() (location, state string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	conf, _, err := p.discover(ctx)
	if err != nil {
		return "", "", err
	}
	l := login{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Until: p.o.Now().Add(loginTime)}
	raw, err := json.Marshal(l)
	if err != nil {
		return "", "", err
	}
	return conf.AuthCodeURL(l.State, oidc.Nonce(l.Nonce), oauth2.S256ChallengeOption(l.Verifier)), base64.RawURLEncoding.EncodeToString(raw), nil
}

// discover asks the provider once for its addresses.
func (p *Provider) discover(ctx context.Context) (*oauth2.Config, *oidc.IDTokenVerifier, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.o.Config
	if p.found == nil {
		// The provider keeps the client of this context for its keys, and ignores when the context ends.
		found, err := oidc.NewProvider(oidc.ClientContext(ctx, p.o.HTTP), c.Issuer)
		if err != nil {
			return nil, nil, release.Unavailable("log in", err, "the identity provider %s does not answer as one", p.Name()).Fix("try again, or log in with a token")
		}
		p.found, p.verifier = found, found.VerifierContext(oidc.ClientContext(context.WithoutCancel(ctx), p.o.HTTP), &oidc.Config{ClientID: c.ClientID, Now: p.o.Now})
	}
	conf := &oauth2.Config{
		ClientID: c.ClientID, ClientSecret: p.o.Secret, Endpoint: p.found.Endpoint(),
		RedirectURL: strings.TrimRight(p.o.URL, "/") + Callback, Scopes: append([]string{oidc.ScopeOpenID}, c.Scopes...),
	}
	return conf, p.verifier, nil
}

// Finish checks what a browser came back with and returns who it is. KindInvalid for a login that was not begun here,
// KindDenied for one that the provider refused and for who has no role.
func (p *Provider) Finish(ctx context.Context, state string, query url.Values) (records.Who, error) {
	const op = "log in"
	var l login
	raw, err := base64.RawURLEncoding.DecodeString(state)
	if err == nil {
		err = json.Unmarshal(raw, &l)
	}
	if err != nil || l.State == "" || subtle.ConstantTimeCompare([]byte(l.State), []byte(query.Get("state"))) != 1 || !p.o.Now().Before(l.Until) {
		return records.Who{}, release.Invalid(op, "this login was not begun here, or more than ten minutes ago").Fix("begin again at the login page")
	}
	if fault := query.Get("error"); fault != "" {
		return records.Who{}, release.Denied(op, "the identity provider refused: %.200q", fault)
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	conf, verifier, err := p.discover(ctx)
	if err != nil {
		return records.Who{}, err
	}
	token, err := p.exchange(ctx, conf, verifier, l, query.Get("code"))
	if err != nil {
		return records.Who{}, err
	}
	claims := map[string]any{}
	if err := token.Claims(&claims); err != nil {
		return records.Who{}, release.Denied(op, "the identity provider's token can't be read")
	}
	return p.who(claims)
}

// exchange turns the code into a token that is proven to be for this login.
func (p *Provider) exchange(ctx context.Context, conf *oauth2.Config, verifier *oidc.IDTokenVerifier, l login, code string) (*oidc.IDToken, error) {
	const op = "log in"
	access, err := conf.Exchange(oidc.ClientContext(ctx, p.o.HTTP), code, oauth2.VerifierOption(l.Verifier))
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response != nil && refused.Response.StatusCode < 500 {
		e := release.Denied(op, "the identity provider did not accept the login").Fix("begin again at the login page")
		e.Cause = err
		return nil, e
	}
	if err != nil {
		return nil, release.Unavailable(op, err, "the identity provider %s does not answer", p.Name())
	}
	text, _ := access.Extra("id_token").(string)
	token, err := verifier.Verify(ctx, text)
	if err == nil && subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(l.Nonce)) != 1 {
		err = errors.New("its nonce is another login's")
	}
	if err != nil {
		e := release.Denied(op, "the identity provider's token does not prove who you are").Fix("begin again at the login page; the server's log says more")
		e.Cause = err
		return nil, e
	}
	return token, nil
}

// ranks are the roles, the highest first.
var ranks = []string{records.Admin, records.Operator, records.Viewer}

func (p *Provider) who(claims map[string]any) (records.Who, error) {
	const op = "log in"
	c := p.o.Config
	name, _ := claims[c.NameClaim].(string)
	if !plain(name) {
		return records.Who{}, release.Denied(op, "the identity provider does not say who you are (claim %s)", c.NameClaim).Fix("set spec.admin.oidc.nameClaim to a claim that it sends")
	}
	if c.NameClaim == "email" && fmt.Sprint(claims["email_verified"]) != "true" {
		return records.Who{}, release.Denied(op, "the identity provider has not verified the address %s", name).
			Fix("verify it there, or set spec.admin.oidc.nameClaim to a claim that people can't choose")
	}
	groups := groupsOf(claims[c.GroupsClaim])
	for _, role := range ranks {
		if slices.ContainsFunc(c.Roles[role], func(g string) bool { return g == "*" || slices.Contains(groups, g) }) {
			return records.Who{Name: name, Role: role, Groups: groups}, nil
		}
	}
	return records.Who{}, release.Denied(op, "%s is in none of the groups that may use Sluice", name).Fix("ask an admin of Sluice to add one of your groups to spec.admin.oidc.roles")
}

// groupsOf reads a list, or one group alone. What could not be on record is left out.
func groupsOf(claim any) []string {
	var out []string
	list, ok := claim.([]any)
	if !ok {
		list = []any{claim}
	}
	for _, g := range list {
		if s, ok := g.(string); ok && plain(s) && len(out) < maxGroups {
			out = append(out, s)
		}
	}
	return out
}

// plain keeps line breaks and control characters out of logs and records.
func plain(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
