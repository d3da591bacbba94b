package ofrep

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
)

const flags = Prefix + "/v1/evaluate/flags"

// records keeps exposures.
type records struct{ all []release.Exposure }

func (r *records) Record(e *release.Exposure) { r.all = append(r.all, *e) }

// bench is a handler with everything around it.
type bench struct {
	*Handler
	routes  atomic.Pointer[assign.Routes]
	sink    records
	keys    *release.Keyring
	now     time.Time
	renewed time.Time
}

func newBench(t *testing.T, change func(*Options)) *bench {
	t.Helper()
	random := make([]byte, release.NewKeyringLen)
	for i := range random {
		random[i] = byte(i)
	}
	keys, err := release.NewKeyring(random)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{keys: keys, now: time.UnixMilli(1_700_000_000_000)}
	b.renewed = b.now
	b.serve(t, 7, half(t))
	o := Options{
		Routes: b.routes.Load, Sink: &b.sink, Keyring: func() *release.Keyring { return b.keys },
		Now: func() time.Time { return b.now }, Renewed: func() time.Time { return b.renewed }, Nonce: func() uint64 { return 99 },
	}
	if change != nil {
		change(&o)
	}
	b.Handler = New(o)
	return b
}

func half(t *testing.T) []assign.Interval {
	t.Helper()
	in, err := assign.Reshape(assign.Initial(), []release.Share{release.Whole / 2, release.Whole / 2})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// serve publishes routes of three models: credit in a release, plain and alpha outside of one.
func (b *bench) serve(t *testing.T, generation uint64, credit []assign.Interval) {
	t.Helper()
	arm := func(v string) assign.ArmSpec {
		return assign.ArmSpec{Version: v, Spec: release.Version{URL: "http://127.0.0.1:1"}}
	}
	outside := func(name string) assign.RouteSpec {
		return assign.RouteSpec{
			Model: name, Match: release.Match{Path: "/" + name}, Dialect: release.DialectJSON, Generation: 1,
			Kind: release.ExposureOutside, Arms: []assign.ArmSpec{arm("v9")}, Serve: assign.Initial(),
		}
	}
	routes, err := assign.Compile(&assign.Spec{Generation: generation, Lease: 60_000, Models: []assign.RouteSpec{
		outside("plain"),
		{
			Model: "credit", Match: release.Match{Path: "/credit"}, Dialect: release.DialectJSON, Generation: 4, Release: 3, Stratum: 2, Epoch: 1,
			Kind: release.ExposureServe, Salt: "salt", Arms: []assign.ArmSpec{arm("v1"), arm("v2")}, Serve: credit,
		},
		outside("alpha"),
	}}, func(release.Secret) (string, error) { return "", nil })
	if err != nil {
		t.Fatal(err)
	}
	b.routes.Store(routes)
}

func (b *bench) do(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

// user returns a context whose unit is served by an arm.
func (b *bench) user(t *testing.T, arm uint8) (unit, body string) {
	t.Helper()
	for _, unit := range []string{"u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9"} {
		if b.routes.Load().Model("credit").Arm([]byte(unit)) == arm {
			return unit, `{"context":{"targetingKey":"` + unit + `","plan":{"a":[1]}}}`
		}
	}
	t.Fatal("no unit of that arm")
	return "", ""
}

func TestSingleEvaluation(t *testing.T) {
	for arm, want := range []string{
		`{"key":"credit","reason":"SPLIT","variant":"live","value":{"model":"credit","version":"v1"},"metadata":{"exposureId":"ID","percent":50,"release":3,"stratum":2}}`,
		`{"key":"credit","reason":"SPLIT","variant":"candidate","value":{"model":"credit","version":"v2"},"metadata":{"exposureId":"ID","percent":50,"release":3,"stratum":2}}`,
	} {
		b := newBench(t, nil)
		unit, body := b.user(t, uint8(arm))
		w := b.do("POST", flags+"/credit", body)
		var answer struct{ Metadata struct{ ExposureID string } }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 {
			t.Fatalf("%d: %v", w.Code, err)
		}
		id := answer.Metadata.ExposureID
		if got := strings.Replace(w.Body.String(), id, "ID", 1); got != want {
			t.Errorf("body\n%s\nwant\n%s", got, want)
		}
		token, err := b.keys.ParseToken(id)
		if err != nil {
			t.Fatal(err)
		}
		wantToken := release.Token{
			Model: release.ModelKeyOf("credit"), Release: 3, Stratum: 2, Epoch: 1, Arm: uint8(arm), Kind: release.ExposureServe,
			Bin: assign.Bin([]byte(unit)), Unit: b.keys.UnitHash([]byte(unit)), Time: b.now.UnixMilli(), Nonce: 99,
		}
		if token != wantToken {
			t.Errorf("the id says %+v, want %+v", token, wantToken)
		}
		wantExposure := release.Exposure{
			ID: 99, Unit: token.Unit, Time: token.Time, Model: token.Model, Release: 3, Stratum: 2, Epoch: 1, Arm: uint8(arm),
			Kind: release.ExposureServe, Bin: token.Bin, Flags: release.FlagEvaluated,
		}
		if len(b.sink.all) != 1 || !reflect.DeepEqual(b.sink.all[0], wantExposure) {
			t.Errorf("recorded %+v, want %+v", b.sink.all, wantExposure)
		}
	}
}

func TestOutsideAReleaseNothingIsRecorded(t *testing.T) {
	b := newBench(t, nil)
	_, body := b.user(t, 1)
	w := b.do("POST", flags+"/pl%61in", body)
	if got, want := w.Body.String(), `{"key":"plain","reason":"STATIC","variant":"live","value":{"model":"plain","version":"v9"}}`; w.Code != 200 || got != want {
		t.Errorf("%d %s, want %s", w.Code, got, want)
	}
	if len(b.sink.all) != 0 {
		t.Errorf("recorded %+v", b.sink.all)
	}
}

// A gateway that is cut off serves live to all, and so does this.
func TestLeaseOver(t *testing.T) {
	b := newBench(t, nil)
	_, body := b.user(t, 1)
	b.now = b.renewed.Add(time.Minute)
	w := b.do("POST", flags+"/credit", body)
	if !strings.Contains(w.Body.String(), `"reason":"STATIC","variant":"live","value":{"model":"credit","version":"v1"}`) {
		t.Errorf("%s", w.Body)
	}
	if e := b.sink.all[0]; e.Arm != 1 || e.Flags != release.FlagEvaluated|release.FlagLease {
		t.Errorf("recorded arm %d, flags %b", e.Arm, e.Flags)
	}
}

func TestRequestFaults(t *testing.T) {
	const unreadable, object = "the body is not a JSON object with a context", `\"context\" must be an object`
	for name, tt := range map[string]struct {
		body    string
		status  int
		code    string
		details string
	}{
		"empty":             {"", 400, "PARSE_ERROR", unreadable},
		"no JSON":           {"{", 400, "PARSE_ERROR", unreadable},
		"a list":            {"[]", 400, "PARSE_ERROR", unreadable},
		"two documents":     {`{"context":{"targetingKey":"u"}} {}`, 400, "PARSE_ERROR", unreadable},
		"too deep":          {strings.Repeat("[", 20_000), 400, "PARSE_ERROR", unreadable},
		"no context":        {"{}", 400, "INVALID_CONTEXT", object},
		"null context":      {`{"context":null}`, 400, "INVALID_CONTEXT", object},
		"context is a list": {`{"context":[]}`, 400, "INVALID_CONTEXT", object},
		"no key":            {`{"context":{"a":1}}`, 400, "TARGETING_KEY_MISSING", `\"context.targetingKey\" names the user and is needed`},
		"null key":          {`{"context":{"targetingKey":null}}`, 400, "TARGETING_KEY_MISSING", `\"context.targetingKey\" names the user and is needed`},
		"empty key":         {`{"context":{"targetingKey":" "}}`, 400, "TARGETING_KEY_MISSING", `\"context.targetingKey\" names the user and is needed`},
		"key is a number":   {`{"context":{"targetingKey":7}}`, 400, "INVALID_CONTEXT", `\"context.targetingKey\" must be text`},
		"long key":          {`{"context":{"targetingKey":"` + strings.Repeat("x", 1025) + `"}}`, 400, "INVALID_CONTEXT", `\"context.targetingKey\" has at most 1024 bytes`},
		"too large":         {`{"context":{"x":"` + strings.Repeat("x", 64<<10) + `"}}`, 413, "PARSE_ERROR", "a body has at most 65536 bytes"},
	} {
		b := newBench(t, nil)
		fault := `"errorCode":"` + tt.code + `","errorDetails":"` + tt.details + `"}`
		for path, want := range map[string]string{flags: "{" + fault, flags + "/credit": `{"key":"credit",` + fault} {
			if w := b.do("POST", path, tt.body); w.Code != tt.status || w.Body.String() != want {
				t.Errorf("%s: %d %s, want %d %s", name, w.Code, w.Body, tt.status, want)
			}
		}
		if len(b.sink.all) != 0 {
			t.Errorf("%s: recorded %+v", name, b.sink.all)
		}
	}
}

func TestUnknownFlag(t *testing.T) {
	b := newBench(t, nil)
	_, body := b.user(t, 0)
	for path, key := range map[string]string{"/nobody": "nobody", "/a%2Fb": "a/b", "/a/b": "a/b", "/credit/": "credit/"} {
		w := b.do("POST", flags+path, body)
		if want := `{"key":"` + key + `","errorCode":"FLAG_NOT_FOUND","errorDetails":"no model has this name"}`; w.Code != 404 || w.Body.String() != want {
			t.Errorf("%s: %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
}

func TestBulk(t *testing.T) {
	b := newBench(t, nil)
	_, body := b.user(t, 1)
	w := b.do("POST", flags, body)
	const want = `{"flags":[` +
		`{"key":"alpha","reason":"STATIC","variant":"live","value":{"model":"alpha","version":"v9"}},` +
		`{"key":"credit","reason":"SPLIT","variant":"candidate","value":{"model":"credit","version":"v2"},"metadata":{"percent":50,"release":3,"stratum":2}},` +
		`{"key":"plain","reason":"STATIC","variant":"live","value":{"model":"plain","version":"v9"}}],` +
		`"eventStreams":[{"type":"sse","endpoint":{"requestUri":"/-/sluice/ofrep/v1/events"},"inactivityDelaySec":120}]}`
	if w.Code != 200 || w.Body.String() != want {
		t.Errorf("%d\n%s\nwant\n%s", w.Code, w.Body, want)
	}
	if len(b.sink.all) != 0 {
		t.Errorf("recorded %+v", b.sink.all)
	}
	tag := w.Header().Get("ETag")
	b.now = b.now.Add(time.Second)
	if again := b.do("POST", flags, body); again.Header().Get("ETag") != tag || again.Body.String() != want {
		t.Errorf("a second later: %s, want %s", again.Header().Get("ETag"), tag)
	}
	_, other := b.user(t, 0)
	if w := b.do("POST", flags, other); w.Header().Get("ETag") == tag {
		t.Error("another user's answer has the same tag")
	}
}

func TestIfNoneMatch(t *testing.T) {
	b := newBench(t, nil)
	_, body := b.user(t, 1)
	quoted := b.do("POST", flags, body).Header().Get("ETag")
	plain := strings.Trim(quoted, `"`)
	if len(plain) != 64 || quoted != `"`+plain+`"` {
		t.Fatalf("tag %s", quoted)
	}
	for header, status := range map[string]int{
		quoted: 304, plain: 304, "W/" + quoted: 304, "*": 304, `"a", ` + quoted: 304, `a,W/` + quoted + `,b`: 304,
		`"a"`: 200, "": 200, plain[:63]: 200, `"` + plain[:63]: 200,
	} {
		w := b.do("POST", flags, body, "If-None-Match", header)
		if w.Code != status || status == 304 && (w.Body.Len() != 0 || w.Header().Get("ETag") != quoted) {
			t.Errorf("%s: %d with %d bytes, want %d", header, w.Code, w.Body.Len(), status)
		}
	}
	if w := b.do("POST", flags, body, "If-None-Match", "x", "If-None-Match", quoted); w.Code != 304 {
		t.Errorf("in the second of two headers: %d", w.Code)
	}
	for query, status := range map[string]int{"?flagConfigEtag=g7": 304, "?flagConfigEtag=%22g7%22": 304, "?flagConfigEtag=g8": 200, "?flagConfigEtag=": 304, "?flagConfigLastModified=5": 304} {
		if w := b.do("POST", flags+query, body, "If-None-Match", quoted); w.Code != status {
			t.Errorf("%s: %d, want %d", query, w.Code, status)
		}
	}
	b.serve(t, 8, assign.Initial())
	if w := b.do("POST", flags, body, "If-None-Match", quoted); w.Code != 200 {
		t.Errorf("after a rollback: %d", w.Code)
	}
}

func TestNotReady(t *testing.T) {
	b := newBench(t, nil)
	_, body := b.user(t, 0)
	b.routes.Store(&assign.Routes{})
	for _, path := range []string{flags, flags + "/credit"} {
		if w := b.do("POST", path, body); w.Code != 500 || w.Body.String() != `{"errorDetails":"no routes have been loaded yet"}` {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestPanicIsAnAnswer(t *testing.T) {
	b := newBench(t, func(o *Options) { o.Routes = func() *assign.Routes { panic("broken") } })
	if w := b.do("POST", flags, `{"context":{"targetingKey":"u"}}`); w.Code != 500 || !strings.HasPrefix(w.Body.String(), `{"errorDetails":"`) || strings.Contains(w.Body.String(), "broken") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestMethodsAndPaths(t *testing.T) {
	b := newBench(t, nil)
	for _, tt := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", flags, 405, "POST, OPTIONS"},
		{"PUT", flags + "/credit", 405, "POST, OPTIONS"},
		{"POST", eventsPath, 405, "GET, OPTIONS"},
		{"POST", flags + "/", 404, ""},
		{"GET", Prefix, 404, ""},
		{"GET", Prefix + "/v1/configuration", 404, ""},
		{"OPTIONS", flags, 204, ""},
		{"OPTIONS", flags + "/credit", 204, ""},
	} {
		if w := b.do(tt.method, tt.path, "{}"); w.Code != tt.status || w.Header().Get("Allow") != tt.allow {
			t.Errorf("%s %s: %d %q, want %d %q", tt.method, tt.path, w.Code, w.Header().Get("Allow"), tt.status, tt.allow)
		}
	}
	for path, want := range map[string]bool{Prefix: true, flags: true, Prefix + "x": false, "/credit": false, "/-/sluice/feedback": false} {
		if Owns(path) != want {
			t.Errorf("Owns(%s) is %v", path, !want)
		}
	}
}

func TestCrossOrigin(t *testing.T) {
	b := newBench(t, func(o *Options) { o.APIKeys = [][32]byte{sha256.Sum256([]byte("k"))} })
	w := b.do("OPTIONS", flags, "", "Origin", "https://app.example.org", "Access-Control-Request-Method", "POST")
	if w.Code != 204 {
		t.Errorf("a preflight, which has no key, gets %d", w.Code)
	}
	allowed := w.Header().Get("Access-Control-Allow-Headers")
	for _, name := range []string{"Authorization", "Content-Type", "If-None-Match", "X-API-Key"} {
		if !strings.Contains(allowed, name) {
			t.Errorf("%s is not allowed: %s", name, allowed)
		}
	}
	w = b.do("POST", flags, "{}", "X-API-Key", "k")
	if w.Header().Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(w.Header().Get("Access-Control-Expose-Headers"), "ETag") || w.Header().Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("headers %v", w.Header())
	}
}

func TestAPIKeys(t *testing.T) {
	b := newBench(t, func(o *Options) {
		o.APIKeys = [][32]byte{sha256.Sum256([]byte("one")), sha256.Sum256([]byte("two"))}
	})
	_, body := b.user(t, 0)
	for _, tt := range []struct {
		name, value string
		status      int
	}{
		{"X-API-Key", "one", 200},
		{"X-API-Key", "two", 200},
		{"X-Sluice-Key", "two", 200},
		{"Authorization", "Bearer two", 200},
		{"Authorization", "bearer one", 200},
		{"X-API-Key", "three", 401},
		{"X-API-Key", "", 401},
		{"Authorization", "Basic one", 401},
		{"Authorization", "one", 401},
	} {
		for _, path := range []string{flags, flags + "/credit"} {
			w := b.do("POST", path, body, tt.name, tt.value)
			if w.Code != tt.status || tt.status == 401 && w.Body.Len() != 0 {
				t.Errorf("%s: %s, %s: %d %s, want %d", tt.name, tt.value, path, w.Code, w.Body, tt.status)
			}
		}
	}
}

// tape is the client's end of a stream.
type tape struct {
	mu      sync.Mutex
	header  http.Header
	code    int
	text    strings.Builder
	flushed bool
}

func (t *tape) Header() http.Header { return t.header }

func (t *tape) WriteHeader(code int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.code = code
}

func (t *tape) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flushed = false
	return t.text.Write(b)
}

func (t *tape) Flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flushed = true
}

// take returns what arrived since it was last asked.
func (t *tape) take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.text.String()
	t.text.Reset()
	if !t.flushed {
		out += "(not flushed)"
	}
	return out
}

// listen reads an event stream in a bubble.
func listen(b *bench, path string, headers ...string) (w *tape, done chan bool) {
	w, done = &tape{header: http.Header{}}, make(chan bool)
	r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	go func() {
		b.ServeHTTP(w, r)
		close(done)
	}()
	return w, done
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		w, done := listen(b, eventsPath)
		pass := func(d time.Duration) string {
			time.Sleep(d)
			synctest.Wait()
			return w.take()
		}
		if got := pass(14 * time.Second); got != "retry: 2000\n\n" || w.Header().Get("Content-Type") != "text/event-stream" {
			t.Errorf("at first %q, %v", got, w.Header())
		}
		if got := pass(2 * time.Second); got != ": keep-alive\n\n" {
			t.Errorf("after 15 s %q", got)
		}
		b.serve(t, 8, half(t))
		b.serve(t, 9, assign.Initial())
		if got, want := pass(2*time.Second), "id: 9\ndata: {\"type\":\"refetchEvaluation\",\"etag\":\"g9\"}\n\n"; got != want {
			t.Errorf("after two changes %q, want %q", got, want)
		}
		b.Close()
		b.Close()
		<-done
	})
}

func TestEventsResume(t *testing.T) {
	for last, want := range map[string]bool{"6": true, "7": false, "": false, "nonsense": false, "8": true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, nil)
			w, done := listen(b, eventsPath, "Last-Event-ID", last)
			synctest.Wait()
			if got := strings.Contains(w.take(), "id: 7\n"); got != want {
				t.Errorf("Last-Event-ID %q: told %v, want %v", last, got, want)
			}
			b.Close()
			<-done
		})
	}
}

func TestEventsNeedAKeyOrTheirToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(o *Options) { o.APIKeys = [][32]byte{sha256.Sum256([]byte("k"))} })
		var answer struct {
			EventStreams []struct{ Endpoint struct{ RequestURI string } }
		}
		if err := json.Unmarshal(b.do("POST", flags, `{"context":{"targetingKey":"u"}}`, "X-API-Key", "k").Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		uri := answer.EventStreams[0].Endpoint.RequestURI
		if !strings.HasPrefix(uri, eventsPath+"?token=") {
			t.Fatalf("the stream is at %s", uri)
		}
		for _, path := range []string{eventsPath, eventsPath + "?token=", eventsPath + "?token=x"} {
			if w := b.do("GET", path, ""); w.Code != 401 || w.Body.Len() != 0 {
				t.Errorf("%s: %d", path, w.Code)
			}
		}
		if w := b.do("POST", flags+strings.TrimPrefix(uri, eventsPath), `{"context":{"targetingKey":"u"}}`); w.Code != 401 {
			t.Errorf("the stream's token opens the flags: %d", w.Code)
		}
		first, one := listen(b, uri)
		second, two := listen(b, eventsPath, "X-API-Key", "k")
		synctest.Wait()
		for _, w := range []*tape{first, second} {
			if got := w.take(); got != "retry: 2000\n\n" {
				t.Errorf("with a key or the token: %q, status %d", got, w.code)
			}
		}
		b.Close()
		<-one
		<-two
	})
}

func TestEventStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(o *Options) { o.Streams = 1 })
		_, done := listen(b, eventsPath)
		synctest.Wait()
		if w := b.do("GET", eventsPath, ""); w.Code != 429 || w.Header().Get("Retry-After") != "30" {
			t.Errorf("%d, %v", w.Code, w.Header())
		}
		b.Close()
		<-done
		if w := b.do(http.MethodGet, eventsPath, ""); w.Code != 200 {
			t.Errorf("after the first has ended: %d", w.Code)
		}
	})
}
