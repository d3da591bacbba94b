package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/records"
)

// raw is an answer as an attacker sees it.
type raw struct {
	status int
	header http.Header
	body   string
	p      api.Problem
}

// browser sends requests with chosen headers and follows no redirects.
func (f *fixture) send(t *testing.T, method, path, body string, headers ...string) raw {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := raw{status: resp.StatusCode, header: resp.Header, body: string(b)}
	_ = json.Unmarshal(b, &out.p) // only errors are problems
	return out
}

func (f *fixture) bearer(role string) string { return "Bearer " + f.tokens[role] }

// session logs in and returns the cookie and the value against forged requests.
func (f *fixture) session(t *testing.T, role string, headers ...string) (cookie, csrf string, set *http.Cookie) {
	t.Helper()
	r := f.send(t, "POST", "/api/v1/session", `{"token":"`+f.tokens[role]+`"}`, headers...)
	if r.status != 201 {
		t.Fatalf("login: %d %s", r.status, r.body)
	}
	set = (&http.Response{Header: r.header}).Cookies()[0]
	var info api.SessionInfo
	if err := json.Unmarshal([]byte(r.body), &info); err != nil || info.CSRF == "" {
		t.Fatalf("%v %s", err, r.body)
	}
	return set.Name + "=" + set.Value, info.CSRF, set
}

const abort = "/api/v1/models/credit/releases/1:abort"

// running has release 1 of credit running.
func running(t *testing.T, change ...func(*api.Options)) *fixture {
	t.Helper()
	f := open(t, change...)
	op := f.client(records.Operator)
	if _, err := op.Apply(t.Context(), api.ApplyRequest{File: file}); err != nil {
		t.Fatal(err)
	}
	if _, err := op.Start(t.Context(), "credit", api.StartRequest{To: "v2"}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) wantRefused(t *testing.T, what string, r raw, status int, words string) {
	t.Helper()
	if r.status != status || !strings.Contains(r.p.Detail+" "+r.p.Remedy, words) || r.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %d %s, want %d with %q", what, r.status, r.body, status, words)
	}
}

func (f *fixture) revision(t *testing.T) records.Revision {
	t.Helper()
	rel, err := f.records.Release(t.Context(), "credit", 1)
	if err != nil {
		t.Fatal(err)
	}
	return rel.Revision
}

// TestAttacks is the list of attacks. None of them changes the release that runs.
func TestAttacks(t *testing.T) {
	for _, a := range []struct {
		name   string
		attack func(*testing.T, *fixture)
	}{
		{"no token", func(t *testing.T, f *fixture) {
			f.wantRefused(t, "abort", f.send(t, "POST", abort, `{"reason":"x"}`), 401, "bearer token is needed")
			for _, header := range []string{"Basic YWRtaW46YWRtaW4=", "Bearer", "bearer x", "Bearer null"} {
				if r := f.send(t, "POST", abort, `{"reason":"x"}`, "Authorization", header); r.status != 401 || r.header.Get("Www-Authenticate") == "" {
					t.Errorf("%s: %d", header, r.status)
				}
			}
		}},
		{"expired token", func(t *testing.T, f *fixture) {
			_, clear, err := f.records.CreateToken(t.Context(), records.Token{Name: "old", Role: records.Admin, Expires: f.now()}, t0)
			if err != nil {
				t.Fatal(err)
			}
			f.wantRefused(t, "abort", f.send(t, "POST", abort, `{"reason":"x"}`, "Authorization", "Bearer "+clear), 401, "expired")
		}},
		{"revoked token", func(t *testing.T, f *fixture) {
			tok, clear, err := f.records.CreateToken(t.Context(), records.Token{Name: "gone", Role: records.Admin}, t0)
			if err != nil {
				t.Fatal(err)
			}
			cookie := f.send(t, "POST", "/api/v1/session", `{"token":"`+clear+`"}`).header.Get("Set-Cookie")
			if r := f.send(t, "DELETE", "/api/v1/tokens/"+tok.ID, "", "Authorization", f.bearer(records.Admin)); r.status != 200 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			f.wantRefused(t, "abort", f.send(t, "POST", abort, `{"reason":"x"}`, "Authorization", "Bearer "+clear), 401, "revoked")
			f.wantRefused(t, "by its session", f.send(t, "GET", "/api/v1/whoami", "", "Cookie", strings.Split(cookie, ";")[0]), 401, "session is over")
		}},
		{"viewer acting", func(t *testing.T, f *fixture) {
			for _, c := range [][3]string{
				{"POST", abort, `{"reason":"x"}`},
				{"POST", "/api/v1/models/credit:undo", `{"reason":"x"}`},
				{"PUT", "/api/v1/models", `{"file":"x"}`},
				{"POST", "/api/v1/models/credit/releases", `{"to":"v2"}`},
				{"POST", "/api/v1/models/credit/releases/1:approve", `{"reason":"x"}`},
			} {
				f.wantRefused(t, c[1], f.send(t, c[0], c[1], c[2], "Authorization", f.bearer(records.Viewer)), 403, "needs the role operator")
			}
			for _, c := range [][3]string{{"GET", "/api/v1/tokens", ""}, {"POST", "/api/v1/tokens", `{"name":"x","role":"admin"}`}, {"GET", "/api/v1/acts", ""}, {"DELETE", "/api/v1/tokens/0000000000000000", ""}, {"POST", "/api/v1/tokens/0000000000000000:rotate", `{}`}} {
				f.wantRefused(t, c[1], f.send(t, c[0], c[1], c[2], "Authorization", f.bearer(records.Operator)), 403, "needs the role admin")
			}
		}},
		{"raising one's own role", func(t *testing.T, f *fixture) {
			who := f.send(t, "GET", "/api/v1/session", "", "Authorization", f.bearer(records.Viewer))
			var info api.SessionInfo
			_ = json.Unmarshal([]byte(who.body), &info) // checked by the id below
			r := f.send(t, "POST", "/api/v1/tokens/"+info.ID+":rotate", `{"role":"admin"}`, "Authorization", f.bearer(records.Viewer))
			f.wantRefused(t, "a role in a rotation", r, 400, "role")
			r = f.send(t, "POST", "/api/v1/tokens/"+info.ID+":rotate", `{}`, "Authorization", f.bearer(records.Viewer))
			if r.status != 201 || !strings.Contains(r.body, `"role":"viewer"`) {
				t.Errorf("%d %s", r.status, r.body)
			}
		}},
		{"CSRF", func(t *testing.T, f *fixture) {
			cookie, csrf, _ := f.session(t, records.Operator)
			body := `{"reason":"x"}`
			f.wantRefused(t, "cookie alone", f.send(t, "POST", abort, body, "Cookie", cookie), 403, "X-Sluice-Csrf")
			f.wantRefused(t, "a guess", f.send(t, "POST", abort, body, "Cookie", cookie, "X-Sluice-Csrf", csrf[1:]+"0"), 403, "X-Sluice-Csrf")
			_, other, _ := f.session(t, records.Operator)
			f.wantRefused(t, "another session's", f.send(t, "POST", abort, body, "Cookie", cookie, "X-Sluice-Csrf", other), 403, "X-Sluice-Csrf")
			f.wantRefused(t, "another site", f.send(t, "POST", abort, body, "Cookie", cookie, "X-Sluice-Csrf", csrf, "Sec-Fetch-Site", "cross-site"), 403, "another site")
			f.wantRefused(t, "another origin", f.send(t, "POST", abort, body, "Cookie", cookie, "X-Sluice-Csrf", csrf, "Origin", "https://evil.example"), 403, "another site")
			f.wantRefused(t, "a sister's page", f.send(t, "POST", abort, body, "Cookie", cookie, "X-Sluice-Csrf", csrf, "Sec-Fetch-Site", "same-site"), 403, "another site")
			f.wantRefused(t, "login by another site", f.send(t, "POST", "/api/v1/session", `{"token":"`+f.tokens[records.Viewer]+`"}`, "Origin", "https://evil.example"), 403, "another site")
			f.wantRefused(t, "a form", f.send(t, "POST", abort, body, "Cookie", cookie, "X-Sluice-Csrf", csrf, "Content-Type", "text/plain"), 415, "application/json")
			if r := f.send(t, "GET", "/api/v1/models", "", "Cookie", cookie, "Origin", "https://evil.example"); r.header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("another site may read what the session sees")
			}
			if r := f.send(t, "OPTIONS", abort, "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST"); r.status < 400 {
				t.Errorf("a preflight is answered with %d", r.status)
			}
		}},
		{"path traversal", func(t *testing.T, f *fixture) {
			for _, p := range []string{
				"/api/v1/models/..%2f..%2ftoken", "/api/v1/models/%2e%2e/releases/1", "/api/v1/models/credit/releases/..%2f1", "/api/v1/models/credit%00/releases/1",
				"/api/v1/models/credit/releases/1/series?metric=../../etc/passwd", "/api/v1/models/credit/releases/1%2f..%2f2/report", "/assets/..%2f..%2fgo.mod", "/../../etc/passwd",
				`/api/v1/models/..\..\token`,
			} {
				r := f.send(t, "GET", p, "", "Authorization", f.bearer(records.Admin))
				if r.status >= 500 || r.status == 200 && !strings.Contains(p, "series") || strings.Contains(r.body, "root:") || strings.Contains(r.body, "hash") && r.status == 200 {
					t.Errorf("%s: %d %s", p, r.status, r.body)
				}
			}
		}},
		{"header injection", func(t *testing.T, f *fixture) {
			for _, p := range []string{"/api/v1/models/a%0d%0aSet-Cookie:%20x=1", "/api/v1/models/credit/audit?format=csv&model=a%0d%0aX-Evil:1", "/api/v1/audit?q=%0d%0aX-Evil:1", "/api/v1/stream?model=%0a%0adata:%20x"} {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // one of them is a stream, which has no end
				req, _ := http.NewRequestWithContext(ctx, http.MethodGet, f.URL+p, nil)
				req.Header.Set("Authorization", f.bearer(records.Admin))
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				if resp.Header.Get("X-Evil") != "" || len(resp.Cookies()) > 0 || resp.StatusCode >= 500 {
					t.Errorf("%s: %d %v", p, resp.StatusCode, resp.Header)
				}
				cancel()
				_ = resp.Body.Close()
			}
			for _, h := range [][2]string{{"If-Match", "x"}, {"If-Match", `"-1"`}, {"Idempotency-Key", "a b"}, {"Idempotency-Key", strings.Repeat("k", 129)}, {"If-None-Match", `"1"`}} {
				if r := f.send(t, "POST", abort, `{"reason":"x"}`, "Authorization", f.bearer(records.Operator), h[0], h[1]); r.status != 400 {
					t.Errorf("%v: %d %s", h, r.status, r.body)
				}
			}
			if _, clear, err := f.records.CreateToken(t.Context(), records.Token{Name: "a\r\nX-Evil: 1", Role: records.Viewer}, t0); err == nil {
				t.Errorf("a token's name breaks lines: %s", clear)
			}
		}},
		{"oversized body", func(t *testing.T, f *fixture) { // only just: the server hangs up on who goes on sending
			for _, c := range [][3]string{
				{"POST", abort, `{"reason":"` + strings.Repeat("x", 70_000) + `"}`},
				{"PUT", "/api/v1/models", `{"file":"` + strings.Repeat("x", 8<<20) + `"}`},
				{"POST", "/api/v1/session", `{"token":"` + strings.Repeat("x", 70_000) + `"}`},
				{"POST", "/api/v1/simulate", `{"file":"` + strings.Repeat("x", 1<<20) + `"}`},
			} {
				f.wantRefused(t, c[1], f.send(t, c[0], c[1], c[2], "Authorization", f.bearer(records.Operator)), 413, "larger")
			}
			f.wantRefused(t, "under an idempotency key", f.send(t, "PUT", "/api/v1/models", strings.Repeat("x", 8<<20+1), "Authorization", f.bearer(records.Operator), "Idempotency-Key", "k"), 413, "larger")
			f.wantRefused(t, "a parameter", f.send(t, "GET", "/api/v1/models?q="+strings.Repeat("x", 300), "", "Authorization", f.bearer(records.Viewer)), 400, "longer")
			f.wantRefused(t, "a reason", f.send(t, "POST", abort, `{"reason":"`+strings.Repeat("x", 1001)+`"}`, "Authorization", f.bearer(records.Operator)), 400, "longer")
		}},
		{"deep JSON and YAML", func(t *testing.T, f *fixture) {
			deep := strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000)
			for _, body := range []string{deep, `{"reason":` + deep + `}`, strings.Repeat(`{"reason":`, 5000) + "1" + strings.Repeat("}", 5000)} {
				if r := f.send(t, "POST", abort, body, "Authorization", f.bearer(records.Operator)); r.status != 400 {
					t.Errorf("%d %s", r.status, r.body)
				}
			}
			for _, yaml := range []string{strings.Repeat("[", 20_000), strings.Repeat("a: {", 5000), "a: &a [*a]", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"} {
				body, _ := json.Marshal(api.ApplyRequest{File: yaml})
				if r := f.send(t, "PUT", "/api/v1/models", string(body), "Authorization", f.bearer(records.Operator)); r.status != 422 {
					t.Errorf("%.20s: %d %.200s", yaml, r.status, r.body)
				}
			}
		}},
		{"XSS in names, reasons and what is shown of them", func(t *testing.T, f *fixture) {
			const evil = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>`
			if r := f.send(t, "POST", "/api/v1/models/credit/releases/1:pause", mustJSON(t, api.CommandRequest{Reason: evil}), "Authorization", f.bearer(records.Operator)); r.status != 200 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			for _, p := range []string{
				"/api/v1/models/credit/releases/1", "/api/v1/models/credit/audit", "/api/v1/audit", "/api/v1/audit?format=jsonl", "/api/v1/audit?format=csv",
				"/api/v1/models/" + url.PathEscape(evil), "/api/v1/nope/" + url.PathEscape(evil), "/api/v1/models?phase=" + url.QueryEscape(evil), "/api/v1/models?" + url.QueryEscape(evil) + "=1",
				"/api/v1/models/credit/releases/1/series",
			} {
				r := f.send(t, "GET", p, "", "Authorization", f.bearer(records.Viewer))
				media := r.header.Get("Content-Type")
				if strings.Contains(media, "html") || r.header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(r.header.Get("Content-Security-Policy"), "default-src 'none'") {
					t.Errorf("%s: %v", p, r.header)
				}
				if strings.Contains(media, "json") && strings.Contains(r.body, "<script") {
					t.Errorf("%s: markup in %s", p, media)
				}
				if strings.Contains(media, "csv") && !strings.HasPrefix(r.header.Get("Content-Disposition"), "attachment") {
					t.Errorf("%s is shown and not saved", p)
				}
			}
			bad := strings.Replace(file, "name: credit", `name: "<script>"`, 1)
			if r := f.send(t, "PUT", "/api/v1/models", mustJSON(t, api.ApplyRequest{File: bad}), "Authorization", f.bearer(records.Operator)); r.status != 422 || strings.Contains(r.body, "<script>") {
				t.Errorf("a model named so: %d %s", r.status, r.body)
			}
			if r := f.send(t, "POST", "/api/v1/models/credit/releases/1:resume", `{"reason":"=HYPERLINK(\"https://evil.example\")"}`, "Authorization", f.bearer(records.Operator)); r.status != 200 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			if r := f.send(t, "GET", "/api/v1/audit?format=csv", "", "Authorization", f.bearer(records.Viewer)); regexp.MustCompile(`(^|,)"?=`).MatchString(r.body) {
				t.Errorf("a spreadsheet takes a reason for a formula: %s", r.body)
			}
		}},
		{"open redirect", func(t *testing.T, f *fixture) {
			for _, p := range []string{
				"/api/v1/oidc/login?next=https://evil.example", "/api/v1/oidc/callback?next=//evil.example&code=x&state=y", "//evil.example/%2e%2e", `/\evil.example`, "/api/v1//evil.example",
				"/%2f%2fevil.example", "/api/v1/../..//evil.example/",
			} {
				for _, host := range []string{"", "evil.example"} {
					r := f.send(t, "GET", p, "", "X-Forwarded-Host", host, "Forwarded", "host="+host)
					u, err := url.Parse(r.header.Get("Location"))
					if err != nil || u.Host != "" || strings.HasPrefix(u.Path, "//") || strings.HasPrefix(u.Path, `/\`) {
						t.Errorf("%s leads to %q", p, r.header.Get("Location"))
					}
				}
			}
		}},
		{"SSRF through what a client sends", func(t *testing.T, f *fixture) {
			var hits atomic.Int64
			inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
			defer inner.Close()
			withURL := strings.Replace(strings.Replace(file, "http://127.0.0.1:9102", inner.URL, 1), "name: credit", "name: other", 1)
			for _, c := range [][3]string{
				{"PUT", "/api/v1/models", mustJSON(t, api.ApplyRequest{Name: inner.URL, File: withURL, Reason: inner.URL})},
				{"PUT", "/api/v1/models", mustJSON(t, api.ApplyRequest{File: inner.URL, Files: map[string]string{inner.URL: inner.URL}})},
				{"POST", "/api/v1/simulate", mustJSON(t, map[string]any{"file": withURL, "runs": 1, "users": 100})},
				{"POST", "/api/v1/simulate", mustJSON(t, map[string]any{"model": inner.URL})},
				{"POST", "/api/v1/session", mustJSON(t, api.LoginRequest{Token: inner.URL})},
				{"GET", "/api/v1/oidc/callback?iss=" + url.QueryEscape(inner.URL) + "&code=x&state=y", ""},
				{"GET", "/api/v1/models/" + url.PathEscape(inner.URL), ""},
			} {
				if r := f.send(t, c[0], c[1], c[2], "Authorization", f.bearer(records.Operator), "Referer", inner.URL, "X-Forwarded-For", inner.URL); r.status >= 500 {
					t.Errorf("%s: %d %s", c[1], r.status, r.body)
				}
			}
			for _, scheme := range []string{"file:///etc/passwd", "gopher://x", "unix:/run/docker.sock", "//169.254.169.254"} {
				bad := strings.Replace(file, "http://127.0.0.1:9102", scheme, 1)
				if r := f.send(t, "PUT", "/api/v1/models", mustJSON(t, api.ApplyRequest{File: bad}), "Authorization", f.bearer(records.Operator)); r.status != 422 {
					t.Errorf("%s: %d %s", scheme, r.status, r.body)
				}
			}
			if hits.Load() != 0 {
				t.Errorf("the server called %d times where a client told it to", hits.Load())
			}
		}},
		{"session fixation", func(t *testing.T, f *fixture) {
			const planted = "sluice-session=0.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
			cookie, _, _ := f.session(t, records.Operator, "Cookie", planted)
			if cookie == planted {
				t.Error("the login took over a planted session")
			}
			f.wantRefused(t, "the planted one", f.send(t, "GET", "/api/v1/whoami", "", "Cookie", planted), 401, "session is over")
			again, _, _ := f.session(t, records.Operator, "Cookie", cookie) // a second login of the same browser
			f.wantRefused(t, "the session before", f.send(t, "GET", "/api/v1/whoami", "", "Cookie", cookie), 401, "session is over")
			_, csrf, _ := f.session(t, records.Viewer)
			f.wantRefused(t, "logout with another's value", f.send(t, "DELETE", "/api/v1/session", "", "Cookie", again, "X-Sluice-Csrf", csrf), 403, "X-Sluice-Csrf")
		}},
		{"stolen cookie after logout", func(t *testing.T, f *fixture) {
			cookie, csrf, _ := f.session(t, records.Operator)
			r := f.send(t, "DELETE", "/api/v1/session", "", "Cookie", cookie, "X-Sluice-Csrf", csrf)
			if r.status != 200 || !strings.Contains(r.header.Get("Set-Cookie"), "Max-Age=0") {
				t.Errorf("%d %v", r.status, r.header)
			}
			f.wantRefused(t, "afterwards", f.send(t, "GET", "/api/v1/whoami", "", "Cookie", cookie), 401, "session is over")
			late, _, _ := f.session(t, records.Operator)
			f.past.Add(int64(api.DefaultSession))
			f.wantRefused(t, "after its time", f.send(t, "GET", "/api/v1/whoami", "", "Cookie", late), 401, "session is over")
		}},
		{"cookie in the clear", func(t *testing.T, _ *fixture) {
			plain, tls := running(t), running(t, func(o *api.Options) { o.Access.URL = "https://sluice.example.com" })
			_, _, c := plain.session(t, records.Viewer)
			if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
				t.Errorf("%+v", c)
			}
			_, _, c = tls.session(t, records.Viewer)
			if !c.Secure || !strings.HasPrefix(c.Name, "__Host-") || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode {
				t.Errorf("%+v", c)
			}
			if tls.send(t, "GET", "/healthz", "").header.Get("Strict-Transport-Security") == "" {
				t.Error("HTTPS is not asked for")
			}
			if r := tls.send(t, "POST", "/api/v1/session", `{"token":"x"}`, "Origin", "https://sluice.example.com"); r.status != 401 {
				t.Errorf("the console behind a proxy: %d %s", r.status, r.body)
			}
		}},
		{"lock-out", func(t *testing.T, f *fixture) {
			good := f.tokens[records.Operator]
			wrong := good[:len(good)-1] + "!"
			login := func(token string) raw {
				return f.send(t, "POST", "/api/v1/session", mustJSON(t, api.LoginRequest{Token: token}))
			}
			for i := range 10 {
				if r := login(wrong); r.status != 401 {
					t.Fatalf("attempt %d: %d %s", i, r.status, r.body)
				}
			}
			r := login(good)
			f.wantRefused(t, "the right one while locked", r, 429, "too many")
			if r.header.Get("Retry-After") != "60" {
				t.Errorf("Retry-After %q", r.header.Get("Retry-After"))
			}
			f.wantRefused(t, "as a bearer", f.send(t, "GET", "/api/v1/whoami", "", "Authorization", "Bearer "+good), 429, "too many")
			f.wantRefused(t, "with another address claimed", f.send(t, "GET", "/api/v1/whoami", "", "Authorization", "Bearer "+good, "X-Forwarded-For", "10.9.9.9"), 429, "too many")
			if r := f.send(t, "GET", "/api/v1/whoami", "", "Authorization", f.bearer(records.Admin)); r.status != 200 {
				t.Errorf("another token behind the same address: %d", r.status)
			}
			f.past.Add(int64(time.Minute))
			if r := login(good); r.status != 201 {
				t.Errorf("after a minute: %d %s", r.status, r.body)
			}
		}},
		{"header games with methods and hosts", func(t *testing.T, f *fixture) {
			for _, h := range [][2]string{{"X-HTTP-Method-Override", "DELETE"}, {"X-Original-URL", "/api/v1/tokens"}, {"X-Rewrite-URL", "/api/v1/tokens"}} {
				r := f.send(t, "GET", "/api/v1/whoami", "", "Authorization", f.bearer(records.Viewer), h[0], h[1])
				if r.status != 200 || !strings.Contains(r.body, "viewer-person") {
					t.Errorf("%v: %d %s", h, r.status, r.body)
				}
			}
			for _, method := range []string{"TRACE", "CONNECT", "PATCH", "PROPFIND"} {
				if r := f.send(t, method, "/api/v1/tokens", "", "Authorization", f.bearer(records.Admin)); r.status < 400 || r.status >= 500 {
					t.Errorf("%s: %d", method, r.status)
				}
			}
		}},
		{"clickjacking, sniffing, caching", func(t *testing.T, f *fixture) {
			for _, p := range []string{"/api/v1/models", "/api/v1/nope", "/healthz", "/api/openapi.json"} {
				h := f.send(t, "GET", p, "").header
				for name, want := range map[string]string{
					"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin",
				} {
					if h.Get(name) != want {
						t.Errorf("%s: %s is %q", p, name, h.Get(name))
					}
				}
				if !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
					t.Errorf("%s may be framed", p)
				}
			}
		}},
		{"secrets in answers", func(t *testing.T, f *fixture) {
			for _, p := range []string{"/api/v1/tokens", "/api/v1/acts", "/api/v1/status", "/api/v1/whoami", "/api/v1/session"} {
				r := f.send(t, "GET", p, "", "Authorization", f.bearer(records.Admin))
				for _, clear := range f.tokens {
					if strings.Contains(r.body, strings.SplitN(clear, "_", 3)[2]) || strings.Contains(strings.ToLower(r.body), "sha256") {
						t.Errorf("%s tells a secret", p)
					}
				}
			}
			f.wantRefused(t, "a token under an idempotency key", f.send(t, "POST", "/api/v1/tokens", `{"name":"x","role":"viewer"}`, "Authorization", f.bearer(records.Admin), "Idempotency-Key", "k"), 400, "Idempotency-Key")
		}},
		{"injected filters", func(t *testing.T, f *fixture) {
			for _, p := range []string{"/api/v1/models?limit=-1", "/api/v1/models?limit=1e9", "/api/v1/models?after=x", "/api/v1/models?after=bnVsbA..", "/api/v1/audit?from=now", "/api/v1/audit?order=up", "/api/v1/audit?unknown=1", "/api/v1/models?running=maybe", "/api/v1/models/credit/releases/1/series?points=1000000000", "/api/v1/models?q=%zz"} {
				if r := f.send(t, "GET", p, "", "Authorization", f.bearer(records.Viewer)); r.status != 400 || r.p.Detail == "" {
					t.Errorf("%s: %d %s", p, r.status, r.body)
				}
			}
		}},
	} {
		t.Run(a.name, func(t *testing.T) {
			f := running(t)
			a.attack(t, f)
			rel, err := f.records.Release(t.Context(), "credit", 1)
			if err != nil || rel.State.Phase.Ended() {
				t.Errorf("the attack ended the release: %v", err)
			}
		})
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSlowloris: a client that sends the body of its request drop by drop is let go after a while, and so is one that
// does not take its answer; others are served meanwhile. On a virtual clock.
func TestSlowloris(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t)
		f.Close()
		l := newPipes()
		srv := &http.Server{Handler: f.Config.Handler, ReadHeaderTimeout: 10 * time.Second}
		go func() { _ = srv.Serve(l) }() // ends with Close
		defer func() { _ = srv.Close() }()
		began := time.Now()
		var writers sync.WaitGroup
		defer writers.Wait()

		slow := l.dial()
		writers.Go(func() {
			_, _ = fmt.Fprintf(slow, "POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
			for { // one byte every five seconds
				time.Sleep(5 * time.Second)
				if _, err := slow.Write([]byte(" ")); err != nil {
					return
				}
			}
		})
		resp, err := http.ReadResponse(bufio.NewReader(slow), nil)
		if err != nil || resp.StatusCode != http.StatusRequestTimeout {
			t.Errorf("after %v: %v %v", time.Since(began), resp, err)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("a slow body held its connection for %v", took)
		}

		began = time.Now()
		headers := l.dial()
		writers.Go(func() {
			_, _ = headers.Write([]byte("GET / HTTP/1.1\r\n"))
			for {
				time.Sleep(time.Second)
				if _, err := headers.Write([]byte("X: y\r\n")); err != nil {
					return
				}
			}
		})
		_, _ = io.Copy(io.Discard, headers) // until the server hangs up
		if took := time.Since(began); took > time.Minute {
			t.Errorf("a slow header held its connection for %v", took)
		}
		_ = slow.Close()
		_ = headers.Close()
	})
}

// pipes is a listener in memory.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// TestSecretsAreComparedInConstantTime reads the code: a comparison of secrets by == would show in no test of behaviour.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	for _, name := range []string{"../records/tokens.go", "../records/sessions.go", "auth.go", "strikes.go", "../oidc/oidc.go"} {
		code, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if m := regexp.MustCompile(`(?i)(\.hash|secret|csrf|nonce|\.state)\s*[!=]= *[^"n ]`).Find(code); m != nil {
			t.Errorf("%s compares a secret in a time that depends on it: %s", name, m)
		}
		if name != "auth.go" && !strings.Contains(string(code), "subtle.ConstantTimeCompare") {
			t.Errorf("%s has no comparison in constant time", name)
		}
	}
}
