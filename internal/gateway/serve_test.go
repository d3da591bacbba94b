package gateway

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
)

func TestRequestIsServedByItsArmAndRecordedOnce(t *testing.T) {
	w := newWorld(t, credit(500_000, func(m *assign.RouteSpec) {
		m.Signals = []release.Signal{
			{From: release.FromAnswer, Selector: "json:decision"},
			{From: release.FromAnswer, Selector: "json:score", Number: true},
			{From: release.FromRequest, Selector: "json:applicant.age", Segment: "age"},
			{From: release.FromRequest, Selector: "header:X-Channel", Segment: "channel"},
		}
	}))
	w.upstream("live", echo("v1"))
	w.upstream("candidate", echo("v2"))
	body := `{"applicant":{"id":"anna","age":"30-39"}}`
	got := w.do("POST", "/credit", body, "X-Channel", "web")

	route := w.routes.Load().All[0]
	a := route.Assign([]byte("anna"))
	want := []string{"v1", "v2"}[a.Arm]
	if got.status != 200 || !strings.Contains(got.body, `"by":"`+want+`"`) {
		t.Fatalf("got %d %s, want an answer of %s", got.status, got.body, want)
	}
	e := w.sink.wait(t, 1)[0]
	if e.Model != route.Key || e.Release != 7 || e.Stratum != 3 || e.Epoch != 2 || e.Arm != a.Counted || e.Bin != a.Bin ||
		e.Kind != release.ExposureServe || e.Status != 200 || e.Fault != release.FaultNone || e.Flags != 0 {
		t.Errorf("recorded %+v", e)
	}
	if e.Unit != w.keys.UnitHash([]byte("anna")) {
		t.Error("the unit is not its keyed hash")
	}
	if int(e.ReqLen) != len(body) || int(e.RespLen) != len(got.body) || e.TTFB > e.Latency {
		t.Errorf("sizes %d/%d, first byte %d of %d us", e.ReqLen, e.RespLen, e.TTFB, e.Latency)
	}
	if e.N != 4 || w.sink.word(e.Values[0]) != "approve" || e.Values[1].Num != 0.5 ||
		w.sink.word(e.Values[2]) != "30-39" || w.sink.word(e.Values[3]) != "web" {
		t.Errorf("signals %+v", e.Values[:4])
	}
	token, err := w.keys.ParseToken(got.header.Get(HeaderID))
	if err != nil {
		t.Fatal(err)
	}
	if token != (release.Token{Model: e.Model, Release: 7, Stratum: 3, Epoch: 2, Arm: e.Arm, Bin: e.Bin, Unit: e.Unit, Time: e.Time, Nonce: e.ID}) {
		t.Errorf("token %+v does not name the exposure %+v", token, e)
	}
	if h := got.header.Get(HeaderVersion); h != "" {
		t.Errorf("the version was shown (%s) without being asked for", h)
	}
}

func TestExposeShowsVersionAndArm(t *testing.T) {
	w := newWorld(t, credit(release.Whole), func(o *Options) { o.Expose = true })
	w.upstream("candidate", echo("v2"))
	got := w.do("GET", "/credit", "", "X-User-Id", "u")
	if got.header.Get(HeaderVersion) != "v2" || got.header.Get(HeaderArm) != "1" {
		t.Errorf("headers %v", got.header)
	}
}

// The share that users meet is the share that was asked for, and each user keeps its arm.
func TestShareIsRealisedAndSticky(t *testing.T) {
	const share, units = 0.2, 2000
	w := newWorld(t, credit(200_000, headerOnly))
	w.upstream("live", echo("v1"))
	w.upstream("candidate", echo("v2"))
	arms := map[string]string{}
	for round := range 2 {
		for u := range units {
			unit := fmt.Sprintf("user-%d", u)
			got := w.do("GET", "/credit", "", "X-User-Id", unit)
			if round == 1 && arms[unit] != got.body {
				t.Fatalf("%s moved from %s to %s", unit, arms[unit], got.body)
			}
			arms[unit] = got.body
		}
	}
	n := 0
	for _, body := range arms {
		if strings.Contains(body, "v2") {
			n++
		}
	}
	if sd := math.Sqrt(share * (1 - share) * units); math.Abs(float64(n)-share*units) > 4*sd {
		t.Errorf("%d of %d units met the candidate, want %.0f +- %.0f", n, units, share*units, 4*sd)
	}
}

func TestUnitIsTheFirstSelectorPresent(t *testing.T) {
	long := strings.Repeat("x", maxUnit+1)
	for _, c := range []struct {
		name, path, body string
		headers          []string
		want             string // "": none
	}{
		{"header first", "/credit?user=q", `{"applicant":{"id":"j"}}`, []string{"X-User-Id", "h", "Cookie", "uid=c"}, "h"},
		{"json second", "/credit?user=q", `{"applicant":{"id":"j"}}`, []string{"Cookie", "uid=c"}, "j"},
		{"cookie third", "/credit?user=q", `{}`, []string{"Cookie", "a=b; uid=c; uid=d"}, "c"},
		{"quoted cookie", "/credit", ``, []string{"Cookie", `uid="c"`}, "c"},
		{"query last", "/credit?x=1&user=q%20r", ``, nil, "q r"},
		{"encoded key", "/credit?us%65r=q", ``, nil, "q"},
		{"json number as spelt", "/credit", `{"applicant":{"id":1e3}}`, nil, "1e3"},
		{"json bool", "/credit", `{"applicant":{"id":true}}`, nil, "true"},
		{"null is absent", "/credit?user=q", `{"applicant":{"id":null}}`, nil, "q"},
		{"object is absent", "/credit?user=q", `{"applicant":{"id":{}}}`, nil, "q"},
		{"empty is absent", "/credit?user=q", `{"applicant":{"id":""}}`, []string{"X-User-Id", ""}, "q"},
		{"space around", "/credit", `{"applicant":{"id":" j "}}`, nil, "j"},
		{"malformed after it", "/credit", `{"applicant":{"id":"j"},]]]`, nil, "j"},
		{"malformed before it", "/credit", `]]]{"applicant"`, nil, ""},
		{"nowhere", "/credit", ``, nil, ""},
		{"longest", "/credit", ``, []string{"X-User-Id", long[1:]}, long[1:]},
		{"too long in a header", "/credit?user=q", ``, []string{"X-User-Id", long}, ""},
		{"too long in json", "/credit?user=q", `{"applicant":{"id":"` + long + `"}}`, nil, ""},
		{"a megabyte", "/credit", `{"applicant":{"id":"` + strings.Repeat("x", 1<<20) + `"}}`, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, credit(release.Whole))
			w.upstream("live", echo("v1"))
			w.upstream("candidate", echo("v2"))
			got := w.do("POST", c.path, c.body, c.headers...)
			if got.status != 200 {
				t.Fatalf("status %d", got.status)
			}
			if c.want == "" {
				if !strings.Contains(got.body, "v1") || got.header.Get(HeaderID) != "" {
					t.Errorf("without a unit %s answered with id %q", got.body, got.header.Get(HeaderID))
				}
				w.do("GET", "/credit", "", "X-User-Id", "next")
				if all := w.sink.wait(t, 1); len(all) != 1 {
					t.Errorf("recorded %+v, want only the next request", all)
				}
				return
			}
			if e := w.sink.wait(t, 1)[0]; e.Unit != w.keys.UnitHash([]byte(c.want)) {
				t.Errorf("the unit is not %q", c.want)
			}
		})
	}
}

func TestMissingUnitPerRequest(t *testing.T) {
	w := newWorld(t, credit(500_000, headerOnly, func(m *assign.RouteSpec) { m.Unit.Missing = release.MissingPerRequest }))
	w.upstream("live", echo("v1"))
	w.upstream("candidate", echo("v2"))
	for range 64 {
		w.do("GET", "/credit", "")
	}
	arms, units := map[uint8]int{}, map[uint64]bool{}
	for _, e := range w.sink.wait(t, 64) {
		arms[e.Arm]++
		units[e.Unit] = true
		if e.Flags != release.FlagPerRequest {
			t.Fatalf("flags %b", e.Flags)
		}
	}
	if len(units) != 64 || arms[0] == 0 || arms[1] == 0 {
		t.Errorf("%d units, arms %v", len(units), arms)
	}
}

// While nothing runs, and in the shadow step, live answers and the exposure says so.
func TestKindsOfRoutes(t *testing.T) {
	for _, c := range []struct {
		name string
		spec *assign.Spec
		kind release.ExposureKind
	}{
		{"outside", credit(0, func(m *assign.RouteSpec) { m.Kind, m.Release, m.Arms = release.ExposureOutside, 0, m.Arms[:1] }), release.ExposureOutside},
		{"would be", credit(0, shadowed(0)), release.ExposureWouldBe},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.spec)
			w.upstream("live", echo("v1"))
			for i := range 32 {
				if got := w.do("GET", "/credit", "", "X-User-Id", fmt.Sprint(i)); !strings.Contains(got.body, "v1") {
					t.Fatal(got)
				}
			}
			arms := map[uint8]int{}
			for _, e := range w.sink.wait(t, 32) {
				arms[e.Arm]++
				if e.Kind != c.kind {
					t.Fatalf("kind %d", e.Kind)
				}
			}
			if both := arms[0] > 0 && arms[1] > 0; both != (c.kind == release.ExposureWouldBe) {
				t.Errorf("arms %v", arms)
			}
		})
	}
}

// An exposure belongs to the stratum of the routes that served it, whatever comes meanwhile.
func TestRoutesChangeUnderWay(t *testing.T) {
	w := newWorld(t, credit(release.Whole))
	in, out := make(chan struct{}), make(chan struct{})
	w.upstream("candidate", func(rw http.ResponseWriter, _ *http.Request) {
		close(in)
		<-out
		_, _ = io.WriteString(rw, "v2")
	})
	done := make(chan reply)
	go func() { done <- w.do("GET", "/credit", "", "X-User-Id", "u") }()
	<-in
	w.serve(credit(0, func(m *assign.RouteSpec) { m.Stratum = 4 }))
	close(out)
	if got := <-done; got.body != "v2" {
		t.Errorf("got %+v", got)
	}
	if e := w.sink.wait(t, 1)[0]; e.Stratum != 3 || e.Arm != 1 {
		t.Errorf("recorded %+v", e)
	}
}

func TestModelNamedByTheBody(t *testing.T) {
	spec := credit(0)
	spec.Models[0].Match = release.Match{Model: "helpdesk"}
	w := newWorld(t, spec)
	w.upstream("live", echo("v1"))
	if got := w.do("POST", "/any", `{"model":"helpdesk"}`); got.status != 200 {
		t.Errorf("status %d", got.status)
	}
	if got := w.do("POST", "/any", `{"model":"other"}`); got.header.Get(HeaderError) != "no_route" {
		t.Errorf("got %+v", got)
	}
	conn := w.dial(t) // by hand: a client that still writes may see the end of the connection before the answer
	go func() {
		_, _ = fmt.Fprintf(conn, "POST /any HTTP/1.1\r\nHost: gateway\r\nContent-Length: %d\r\n\r\n", release.DefaultBodyLimit+1)
	}()
	if got := readUntil(t, conn, "\r\n"); !strings.HasPrefix(got, "HTTP/1.1 413 ") {
		t.Errorf("got %q", got)
	}
}

func TestOwnErrors(t *testing.T) {
	for _, c := range []struct {
		kind    string
		status  int
		method  string
		path    string
		headers []string
	}{
		{"no_route", 404, "GET", "/elsewhere", nil},
		{"not_found", 404, "GET", "/-/sluice/elsewhere", nil},
		{"not_found", 404, "GET", "/-/sluice", nil},
		{"method", 405, "GET", "/-/sluice/feedback", nil},
		{"method", 405, "POST", "/-/sluice/healthz", nil},
		{"bad_path", 400, "GET", "/credit/../secret", nil},
		{"bad_path", 400, "GET", "/credit/%2e%2e/secret", nil},
		{"loop", 508, "GET", "/credit", []string{HeaderHop, "3"}},
		{"loop", 508, "GET", "/credit", []string{HeaderHop, "many"}},
		{"header_too_large", 431, "GET", "/credit", []string{"X-Bomb", strings.Repeat("x", 65<<10)}},
	} {
		t.Run(c.kind+" "+c.path, func(t *testing.T) {
			w := newWorld(t, credit(0))
			got := w.do(c.method, c.path, "", c.headers...)
			if got.status != c.status || got.header.Get(HeaderError) != c.kind ||
				got.header.Get("Content-Type") != "application/problem+json" ||
				!strings.Contains(got.body, fmt.Sprintf(`"kind":%q`, c.kind)) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestNoRoutesYet(t *testing.T) {
	w := newWorld(t, nil)
	got := w.do("GET", "/credit", "")
	if got.status != 503 || got.header.Get("Retry-After") != "1" || got.header.Get(HeaderError) != "not_ready" {
		t.Errorf("got %+v", got)
	}
}

func TestPanicIsOne502(t *testing.T) {
	w := newWorld(t, credit(0), func(o *Options) {
		next := &http.Transport{DialContext: o.Dial, DisableKeepAlives: true}
		o.Upstream = roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("X-Panic") != "" {
				panic("planted")
			}
			return next.RoundTrip(r)
		})
	})
	w.upstream("live", echo("v1"))
	got := w.do("GET", "/credit", "", "X-User-Id", "u", "X-Panic", "1")
	if got.status != 502 || got.header.Get(HeaderError) != "internal" || strings.Contains(got.body, "planted") {
		t.Errorf("got %+v", got)
	}
	if got := w.do("GET", "/credit", "", "X-User-Id", "u"); got.status != 200 {
		t.Errorf("the next request got %+v", got)
	}
	all := w.sink.wait(t, 2)
	if all[0].Fault != release.FaultGateway || all[0].Status != 502 {
		t.Errorf("recorded %+v", all[0])
	}
	if used := w.gateway.planned.Load().models[0].arms[0].version.gate.used.Load(); used != 0 {
		t.Errorf("%d slots were lost", used)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAPIKeys(t *testing.T) {
	w := newWorld(t, credit(0), func(o *Options) { o.APIKeys = append(o.APIKeys, hashOf("other"), hashOf("secret")) })
	var seen http.Header
	w.upstream("live", func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Clone() })
	for _, c := range []struct {
		name, header, value string
		status              int
		auth                string // what the upstream gets
	}{
		{"none", "X-Nothing", "x", 401, ""},
		{"wrong", HeaderKey, "guess", 401, ""},
		{"key", HeaderKey, "secret", 200, ""},
		{"bearer", "Authorization", "Bearer secret", 200, ""},
		{"basic", "Authorization", "Basic secret", 401, ""},
	} {
		if got := w.do("GET", "/credit", "", c.header, c.value); got.status != c.status {
			t.Errorf("%s: status %d, want %d", c.name, got.status, c.status)
		}
		if seen.Get("Authorization") != "" || seen.Get(HeaderKey) != "" {
			t.Errorf("%s: the gateway's key reached the upstream: %v", c.name, seen)
		}
	}
	if got := w.do("POST", "/-/sluice/feedback", "{}"); got.status != 401 {
		t.Errorf("feedback without a key: %d", got.status)
	}
	if got := w.do("GET", "/-/sluice/healthz", ""); got.status != 200 {
		t.Errorf("health without a key: %d", got.status)
	}
}

func TestVersionThatCannotBeCalledFromHere(t *testing.T) {
	w := newWorld(t, credit(release.Whole, func(m *assign.RouteSpec) {
		m.Arms[1].Spec.Headers = map[string]release.Secret{"Authorization": "missing"}
	}))
	w.upstream("candidate", echo("v2"))
	got := w.do("GET", "/credit", "", "X-User-Id", "u")
	if got.status != 502 || got.header.Get(HeaderError) != "upstream_config" {
		t.Errorf("got %+v", got)
	}
	if e := w.sink.wait(t, 1)[0]; !e.Failed() || e.Arm != 1 {
		t.Errorf("recorded %+v", e)
	}
}

func TestConcurrencyPerVersion(t *testing.T) {
	w := newWorld(t, credit(0, func(m *assign.RouteSpec) { m.Arms[0].Spec.MaxConcurrent = 1 }))
	in, out := make(chan struct{}), make(chan struct{})
	w.upstream("live", func(http.ResponseWriter, *http.Request) { in <- struct{}{}; <-out })
	done := make(chan reply)
	go func() { done <- w.do("GET", "/credit", "", "X-User-Id", "u") }()
	<-in
	// A change of the routes must not forget the request that is under way.
	w.serve(credit(0, func(m *assign.RouteSpec) { m.Arms[0].Spec.MaxConcurrent = 1; m.Stratum = 4 }))
	got := w.do("GET", "/credit", "", "X-User-Id", "u")
	if got.status != 429 || got.header.Get("Retry-After") != "1" || got.header.Get(HeaderError) != "overloaded" {
		t.Errorf("got %+v", got)
	}
	if e := w.sink.wait(t, 1)[0]; e.Fault != release.FaultGateway || e.Status != 429 || e.Failed() {
		t.Errorf("recorded %+v", e)
	}
	close(out)
	if got := <-done; got.status != 200 {
		t.Errorf("the first got %+v", got)
	}
	w.sink.wait(t, 2) // its slot is given back before it is recorded, which may be after its answer
	go func() { <-in }()
	if got := w.do("GET", "/credit", "", "X-User-Id", "u"); got.status != 200 {
		t.Errorf("the slot was not given back: %+v", got)
	}
}

func TestClockSetBack(t *testing.T) {
	now := time.Now().Round(0) // without the monotonic part
	w := newWorld(t, credit(0), func(o *Options) { o.Now = func() time.Time { now = now.Add(-time.Hour); return now } })
	w.upstream("live", echo("v1"))
	if got := w.do("GET", "/credit", "", "X-User-Id", "u"); got.status != 200 {
		t.Fatal(got)
	}
	if e := w.sink.wait(t, 1)[0]; e.Latency != 0 || e.TTFB != 0 {
		t.Errorf("recorded %+v", e)
	}
}
func hashOf(s string) [sha256.Size]byte { return sha256.Sum256([]byte(s)) }
