package oidc

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// idp is an identity provider with a real key. What it signs can be spoiled.
type idp struct {
	*httptest.Server
	t       *testing.T
	key     *rsa.PrivateKey // that it publishes
	signer  *rsa.PrivateKey // that it signs with
	alg     string
	claims  map[string]any // beside those of the protocol; they replace these
	grants  map[string]url.Values
	refuses bool
}

// keys are made once: it takes a while.
var keys = sync.OnceValue(func() (out [2]*rsa.PrivateKey) {
	for i := range out {
		var err error
		if out[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			panic(err)
		}
	}
	return out
})

func newIDP(t *testing.T) *idp {
	t.Helper()
	key := keys()[0]
	p := &idp{t: t, key: key, signer: key, alg: "RS256", grants: map[string]url.Values{}, claims: map[string]any{
		"email": "alice@example.com", "email_verified": true, "groups": []string{"ml", "staff"},
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		p.answer(w, map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		p.answer(w, map[string]any{"keys": []any{map[string]any{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1",
			"n": b64(p.key.N.Bytes()), "e": b64(big.NewInt(int64(p.key.E)).Bytes()),
		}}})
	})
	mux.HandleFunc("POST /token", p.token)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (p *idp) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		p.t.Error(err)
	}
}

// authorize is what the provider does when a browser arrives: it returns the code.
func (p *idp) authorize(location string) url.Values {
	u, err := url.Parse(location)
	if err != nil || !strings.HasPrefix(location, p.URL+"/authorize?") {
		p.t.Fatalf("the browser is sent to %s: %v", location, err)
	}
	q := u.Query()
	p.grants["the-code"] = q
	return url.Values{"state": {q.Get("state")}, "code": {"the-code"}}
}

// token checks what a provider must: code, client, address and the verifier of PKCE.
func (p *idp) token(w http.ResponseWriter, r *http.Request) {
	grant, ok := p.grants[r.FormValue("code")]
	id, secret, _ := r.BasicAuth()
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if !ok || p.refuses || id != "sluice" || secret != "s3cret" || grant.Get("code_challenge_method") != "S256" || grant.Get("code_challenge") != b64(sum[:]) ||
		r.FormValue("redirect_uri") != grant.Get("redirect_uri") {
		w.WriteHeader(http.StatusBadRequest)
		p.answer(w, map[string]any{"error": "invalid_grant"})
		return
	}
	delete(p.grants, r.FormValue("code"))
	claims := map[string]any{
		"iss": p.URL, "aud": "sluice", "sub": "1", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "nonce": grant.Get("nonce"),
	}
	for k, v := range p.claims {
		claims[k] = v
	}
	p.answer(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": p.sign(claims)})
}

func (p *idp) sign(claims map[string]any) string {
	body, err := json.Marshal(claims)
	if err != nil {
		p.t.Fatal(err)
	}
	text := b64([]byte(`{"alg":"`+p.alg+`","kid":"1"}`)) + "." + b64(body)
	if p.alg == "none" {
		return text + "."
	}
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, p.signer, crypto.SHA256, sum[:])
	if err != nil {
		p.t.Fatal(err)
	}
	return text + "." + b64(sig)
}

func (p *idp) provider(change func(*release.OIDCConfig)) *Provider {
	c := release.OIDCConfig{
		Issuer: p.URL, ClientID: "sluice", NameClaim: "email", GroupsClaim: "groups", Scopes: []string{"email"},
		Roles: map[string][]string{"viewer": {"staff"}, "operator": {"ml"}, "admin": {"root"}},
	}
	if change != nil {
		change(&c)
	}
	return New(Options{Config: c, URL: "https://sluice.example.com/", Secret: "s3cret", Now: func() time.Time { return now }})
}

// login goes the whole way.
func enter(t *testing.T, idp *idp, p *Provider) (records.Who, error) {
	t.Helper()
	location, state, err := p.Begin()
	if err != nil {
		t.Fatal(err)
	}
	return p.Finish(t.Context(), state, idp.authorize(location))
}

func TestLogin(t *testing.T) {
	idp := newIDP(t)
	p := idp.provider(nil)
	location, state, err := p.Begin()
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if q.Get("redirect_uri") != "https://sluice.example.com/api/v1/oidc/callback" || q.Get("scope") != "openid email" || q.Get("code_challenge_method") != "S256" ||
		len(q.Get("state")) < 20 || len(q.Get("nonce")) < 20 || q.Get("state") == q.Get("nonce") {
		t.Errorf("%v", q)
	}
	if raw, _ := base64.RawURLEncoding.DecodeString(state); strings.Contains(location, strings.Split(string(raw), `"v":"`)[1][:20]) {
		t.Error("the verifier is in the address")
	}
	who, err := p.Finish(t.Context(), state, idp.authorize(location))
	if err != nil || who.Name != "alice@example.com" || who.Role != records.Operator || !slices.Equal(who.Groups, []string{"ml", "staff"}) || who.ID != "" {
		t.Errorf("%+v, %v", who, err)
	}
	if _, again := p.Finish(t.Context(), state, url.Values{"state": {q.Get("state")}, "code": {"the-code"}}); release.KindOf(again) != release.KindDenied {
		t.Errorf("a code works twice: %v", again)
	}
}

func TestRoles(t *testing.T) {
	for _, c := range []struct {
		name, groups string
		roles        map[string][]string
		want         string
	}{
		{"the highest counts", `["root","staff"]`, nil, records.Admin},
		{"one group as text", `"staff"`, nil, records.Viewer},
		{"none", `["other"]`, nil, ""},
		{"no claim", `null`, nil, ""},
		{"everybody", `null`, map[string][]string{"viewer": {"*"}}, records.Viewer},
		{"a group with a line break", `["ml\n"]`, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			idp := newIDP(t)
			idp.claims["groups"] = json.RawMessage(c.groups)
			who, err := enter(t, idp, idp.provider(func(o *release.OIDCConfig) {
				if c.roles != nil {
					o.Roles = c.roles
				}
			}))
			if who.Role != c.want || (c.want == "") != (release.KindOf(err) == release.KindDenied && err != nil) {
				t.Errorf("%+v, %v", who, err)
			}
		})
	}
}

// TestForgeries: none of these gets in.
func TestForgeries(t *testing.T) {
	for name, spoil := range map[string]func(*idp){
		"another key":        func(p *idp) { p.signer = keys()[1] },
		"no signature":       func(p *idp) { p.alg = "none" },
		"another algorithm":  func(p *idp) { p.alg = "HS256" },
		"another nonce":      func(p *idp) { p.claims["nonce"] = "x" },
		"no nonce":           func(p *idp) { p.claims["nonce"] = "" },
		"another audience":   func(p *idp) { p.claims["aud"] = "other" },
		"another issuer":     func(p *idp) { p.claims["iss"] = "https://evil.example" },
		"expired":            func(p *idp) { p.claims["exp"] = now.Add(-time.Minute).Unix() },
		"unverified address": func(p *idp) { p.claims["email_verified"] = false },
		"no verification":    func(p *idp) { delete(p.claims, "email_verified") },
		"no name":            func(p *idp) { delete(p.claims, "email") },
		"a name with lines":  func(p *idp) { p.claims["email"] = "a@b\nc" },
		"the code refused":   func(p *idp) { p.refuses = true },
	} {
		t.Run(name, func(t *testing.T) {
			idp := newIDP(t)
			spoil(idp)
			who, err := enter(t, idp, idp.provider(nil))
			if err == nil || release.KindOf(err) != release.KindDenied {
				t.Errorf("%+v, %v", who, err)
			}
		})
	}
}

// TestLoginsThatWereNotBegunHere: a state of another browser, none, an old one.
func TestLoginsThatWereNotBegunHere(t *testing.T) {
	idp := newIDP(t)
	p := idp.provider(nil)
	location, state, err := p.Begin()
	if err != nil {
		t.Fatal(err)
	}
	good := idp.authorize(location)
	_, foreign, err := p.Begin()
	if err != nil {
		t.Fatal(err)
	}
	refused := func(name, state string, q url.Values) {
		t.Helper()
		if who, err := p.Finish(t.Context(), state, q); err == nil || release.KindOf(err) != release.KindInvalid {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
	refused("another browser's cookie", foreign, good)
	refused("no cookie", "", good)
	refused("no state", state, url.Values{"code": good["code"]})
	refused("garbage", "e30", url.Values{"state": {""}, "code": good["code"]})
	p.o.Now = func() time.Time { return now.Add(loginTime) }
	refused("too late", state, good)
	p.o.Now = func() time.Time { return now }
	if _, err := p.Finish(t.Context(), state, url.Values{"state": good["state"], "error": {"access_denied\n"}}); release.KindOf(err) != release.KindDenied || strings.Contains(err.Error(), "\n") {
		t.Errorf("refused by the provider: %v", err)
	}
	// A stolen code is of no use without the verifier of the browser that began: PKCE.
	var mine login
	raw, _ := base64.RawURLEncoding.DecodeString(state)
	if err := json.Unmarshal(raw, &mine); err != nil {
		t.Fatal(err)
	}
	mine.Verifier = strings.Repeat("x", 43)
	stolen, _ := json.Marshal(mine)
	if _, err := p.Finish(t.Context(), b64(stolen), good); release.KindOf(err) != release.KindDenied {
		t.Errorf("a code without its verifier: %v", err)
	}
}

// TestProviderAway: a provider that is away keeps nobody from starting, and is asked again.
func TestProviderAway(t *testing.T) {
	idp := newIDP(t)
	p := idp.provider(nil)
	down := true
	p.o.HTTP = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if down {
			return nil, errors.New("away")
		}
		return http.DefaultTransport.RoundTrip(r)
	})}
	if _, _, err := p.Begin(); release.KindOf(err) != release.KindUnavailable {
		t.Errorf("%v", err)
	}
	down = false
	if who, err := enter(t, idp, p); err != nil || who.Role == "" {
		t.Errorf("%+v, %v", who, err)
	}
	if p.Name() != strings.TrimPrefix(idp.URL, "http://") {
		t.Error(p.Name())
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
