package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice.dev/sluice/internal/release"
)

// run runs a spec against a handler.
func run(t *testing.T, spec string, h http.HandlerFunc, change ...func(*Options)) *Report {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	o := Options{BaseURL: srv.URL}
	for _, c := range change {
		c(&o)
	}
	r, err := Run(context.Background(), load(t, spec), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// result is the result of a name.
func result(t *testing.T, r *Report, name string) Result {
	t.Helper()
	var names []string
	for _, c := range r.Results {
		if c.Name == name {
			return c
		}
		names = append(names, c.Name)
	}
	t.Fatalf("no result %q, there are %q", name, names)
	return Result{}
}

// want checks status and words of a result.
func want(t *testing.T, r *Report, name string, status Status, words string) {
	t.Helper()
	c := result(t, r, name)
	if c.Status != status || !strings.Contains(c.Message+strings.Join(c.Details, "\n"), words) {
		t.Errorf("%s: %s, %s %q; want %s, %q", name, c.Status, c.Message, c.Details, status, words)
	}
}

func okJSON(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"ok":true}`) }

// hanging answers when the client has gone, which the server notices once it has read the body.
func hanging(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

const simple = "  functional:\n    - {name: a, request: {body: {x: 1}}}\n"

func TestRequestIsAsTheFileSays(t *testing.T) {
	t.Setenv("SLUICE_TEST_SECRET", "s3cret")
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("t0ken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got *http.Request
	var body []byte
	r := run(t, `  target: {path: /v1/x, headers: {X-A: "env:SLUICE_TEST_SECRET", X-B: "file:`+token+`", X-C: target}}
  functional:
    - {name: a, request: {body: {x: "<1>", y: [1.50, null]}, headers: {X-C: own, X-D: own}}}
`, func(w http.ResponseWriter, req *http.Request) {
		got = req.Clone(context.Background())
		body, _ = io.ReadAll(req.Body)
		okJSON(w, req)
	}, func(o *Options) {
		o.BaseURL += "/base/"
		o.Headers = map[string]string{"X-D": "version"}
	})
	want(t, r, "a", Passed, "answered as expected")
	if got.Method != http.MethodPost || got.URL.Path != "/base/v1/x" || string(body) != `{"x":"<1>","y":[1.50,null]}` {
		t.Errorf("%s %s %s", got.Method, got.URL, body)
	}
	for name, v := range map[string]string{"X-A": "s3cret", "X-B": "t0ken", "X-C": "own", "X-D": "version", "Content-Type": "application/json"} {
		if got.Header.Get(name) != v {
			t.Errorf("header %s: %q, want %q", name, got.Header.Get(name), v)
		}
	}
}

func TestRunRefusesWhatCannotRun(t *testing.T) {
	s := load(t, simple)
	for _, c := range []struct {
		name string
		s    *Suite
		o    Options
		want string
	}{
		{"no suite", nil, Options{BaseURL: "http://x"}, "no case"},
		{"no URL", s, Options{}, "no base URL"},
		{"scheme", s, Options{BaseURL: "file:///etc/passwd"}, "no base URL"},
		{"live", s, Options{BaseURL: "http://x", LiveURL: "x"}, "no base URL"},
		{"secret", load(t, "  target: {headers: {X-A: 'env:SLUICE_TEST_NONE'}}\n"+simple), Options{BaseURL: "http://x"}, "the environment has no SLUICE_TEST_NONE"},
	} {
		if r, err := Run(context.Background(), c.s, c.o); r != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r, err := Run(ctx, s, Options{BaseURL: "http://127.0.0.1:1"}); r != nil || release.KindOf(err) != release.KindUnavailable {
		t.Errorf("a run that was stopped: %v %v", r, err)
	}
}

func TestVersionThatIsNotThere(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	s := load(t, simple+"  performance:\n    - {name: b, rate: 5/s, duration: 1m, request: {body: 1}}\n  exceptions: [{battery: all, request: {body: {}}}]\n")
	r, err := Run(context.Background(), s, Options{BaseURL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "battery"} {
		want(t, r, name, Failed, "can't be reached: cannot connect: connection refused")
	}
	if r.Passed() || len(r.FailedRequired()) != 3 {
		t.Errorf("%v %v", r.Passed(), r.FailedRequired())
	}
}

func TestBadAnswersFailInWords(t *testing.T) {
	for _, c := range []struct {
		name string
		h    http.HandlerFunc
		want string
	}{
		{"500", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "boom", http.StatusInternalServerError) }, "status 500, want 2xx: boom"},
		{"hangs", hanging, "hangs: no answer within 100ms"},
		{"crashes", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "the connection was closed without an answer"},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		}, "the answer has more than 1024 bytes"},
		{"stops in the middle", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		}, "status 200, then the connection was closed"},
		{"redirects", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, "status 302, want 2xx"},
	} {
		timeout := "30s" // not met by a busy machine
		if c.name == "hangs" {
			timeout = "100ms"
		}
		r := run(t, fmt.Sprintf("  target: {timeout: %s, maxAnswer: 1KiB}\n", timeout)+simple, c.h)
		want(t, r, "a", Failed, c.want)
		if r.Passed() {
			t.Errorf("%s passed", c.name)
		}
	}
}

func TestDeadlineOfTheSuite(t *testing.T) {
	r := run(t, "  deadline: 2s\n  parallel: 1\n  functional:\n    - {name: a, request: {body: 1}}\n    - {name: b, request: {body: 1}}\n  exceptions: [{name: c, request: {body: 1}}]\n", hanging)
	failed := r.FailedRequired()
	if len(failed) != 3 {
		t.Fatalf("%+v", r.Results)
	}
	want(t, r, "c", Failed, "not run: the suite's deadline of 2s passed before")
	want(t, r, "a", Failed, "deadline of the suite")
}

func TestRetries(t *testing.T) {
	var calls atomic.Int32
	everyThird := func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1)%3 != 0 {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		okJSON(w, r)
	}
	r := run(t, "  functional:\n    - {name: a, request: {body: 1}, retries: 2}\n", everyThird)
	want(t, r, "a", Passed, "needed another attempt")
	calls.Store(0)
	r = run(t, simple, everyThird)
	want(t, r, "a", Failed, "status 503")
	if calls.Load() != 1 {
		t.Errorf("%d calls without retries", calls.Load())
	}
}

func TestRepeatFindsChangingAnswers(t *testing.T) {
	var calls atomic.Int32
	counting := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"fixed":1,"n":%d}`, calls.Add(1)) }
	const spec = "  functional:\n    - {name: a, request: {body: 1}, repeat: 3}\n    - {name: b, request: {body: 1}, repeat: 3, same: [fixed]}\n    - {name: c, request: {body: 1}, repeat: 3, same: [n]}\n"
	r := run(t, spec, counting)
	want(t, r, "a", Failed, "answered differently")
	want(t, r, "b", Passed, "")
	want(t, r, "c", Failed, "answered differently: n is")
}

// TestRowsSeedAndOrder: the same seed asks for the same rows; results stand in the order of the file although
// cases run side by side.
func TestRowsSeedAndOrder(t *testing.T) {
	var spec strings.Builder
	spec.WriteString("  parallel: 8\n  functional:\n")
	var names []string
	for i := range 12 {
		names = append(names, fmt.Sprintf("case %02d", 11-i))
		fmt.Fprintf(&spec, "    - {name: %s, data: {file: rows.csv, rows: 5}, request: {body: {id: '{{id}}', age: '{{age}}'}}}\n", names[i])
	}
	asked := func(seed uint64) ([]string, *Report) {
		var mu sync.Mutex
		var bodies []string
		r := run(t, spec.String(), func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			mu.Lock()
			bodies = append(bodies, string(b))
			mu.Unlock()
			okJSON(w, r)
		}, func(o *Options) { o.Seed = seed })
		slices.Sort(bodies)
		return bodies, r
	}
	first, r := asked(3)
	again, _ := asked(3)
	other, _ := asked(4)
	if !slices.Equal(first, again) || slices.Equal(first, other) || len(first) != 60 {
		t.Errorf("%d requests; the same seed gives the same: %v, another another: %v", len(first), slices.Equal(first, again), !slices.Equal(first, other))
	}
	for i, c := range r.Results {
		if c.Name != names[i] || c.Numbers["requests"] != 5 {
			t.Errorf("result %d is %s with %v requests", i, c.Name, c.Numbers["requests"])
		}
	}
}

func TestTagsAndProgress(t *testing.T) {
	const spec = "  functional:\n    - {name: a, tags: [quick], request: {body: 1}}\n    - {name: b, tags: [slow], request: {body: 1}}\n    - {name: c, request: {body: 1}}\n"
	var seen []string
	last := 0
	r := run(t, spec, okJSON, func(o *Options) {
		o.Tags = []string{"slow", "none"}
		o.Progress = func(p Progress) {
			last = p.Done
			if p.Result != nil {
				seen = append(seen, p.Result.Name)
			}
		}
	})
	if len(r.Results) != 1 || !slices.Equal(seen, []string{"b"}) || last != 1 {
		t.Errorf("%d results, progress %v, done %d", len(r.Results), seen, last)
	}
	r = run(t, spec, okJSON, func(o *Options) { o.Tags = []string{"none"} })
	if r.Passed() || !strings.Contains(r.Summary(), "shows nothing") {
		t.Errorf("a run of no case passed: %s", r.Summary())
	}
}

func TestOptionalCasesStopNothing(t *testing.T) {
	r := run(t, "  functional:\n    - {name: a, optional: true, request: {body: 1}, expect: {status: 404}}\n    - {name: b, request: {body: 1}}\n", okJSON)
	if !r.Passed() || r.RequiredCount() != 1 || !strings.Contains(r.Summary(), "1 optional did not") {
		t.Errorf("%s", r.Summary())
	}
}

func TestSecretsStayOutOfReports(t *testing.T) {
	t.Setenv("SLUICE_TEST_SECRET", "s3cret")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	defer srv.Close()
	s := load(t, "  target: {headers: {X-A: 'env:SLUICE_TEST_SECRET'}}\n"+simple)
	r, err := Run(context.Background(), s, Options{BaseURL: strings.Replace(srv.URL, "http://", "http://user:s3cret@", 1)})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(r)
	if err != nil || strings.Contains(string(data), "s3cret") {
		t.Errorf("%v %s", err, data)
	}
}

// TestSuiteIsShared: several runs of one suite at once.
func TestSuiteIsShared(t *testing.T) {
	s := load(t, "  functional:\n    - {name: a, data: {file: rows.csv}, request: {body: '{{id}}'}}\n")
	srv := httptest.NewServer(http.HandlerFunc(okJSON))
	defer srv.Close()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if r, err := Run(context.Background(), s, Options{BaseURL: srv.URL}); err != nil || !r.Passed() {
				t.Errorf("%v %v", r, err)
			}
		})
	}
	wg.Wait()
}

func TestLoadLimits(t *testing.T) {
	const head = "  target: {timeout: 20s}\n  performance:\n    - {name: a, rate: 100/s, duration: 300ms, request: {body: 1}, "
	slow := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(3 * time.Millisecond)
		okJSON(w, r)
	}
	var marked atomic.Bool
	r := run(t, head+"warmUp: 50ms, limits: {p50: 20s, p95: 20s, p99: 20s, max: 20s, throughput: 1/s}}\n", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Vegeta-Seq") != "" || r.Header.Get("User-Agent") != "sluice-suite" {
			marked.Store(true)
		}
		slow(w, r)
	})
	c := result(t, r, "a")
	if c.Status != Passed || c.Numbers["requests"] != 30 || c.Numbers["p50Seconds"] < 0.003 || c.Numbers["good"] != c.Numbers["requests"] || marked.Load() {
		t.Errorf("%+v, marked %v", c, marked.Load())
	}
	r = run(t, head+"limits: {p50: 1ms, p95: 2ms, p99: 2ms, max: 2ms, throughput: 100000/s}}\n", slow)
	for _, words := range []string{"p50", "p95", "p99", "max", "at most 1ms allowed", "at least 100000/s asked"} {
		want(t, r, "a", Failed, words)
	}
	var n atomic.Int32
	half := func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1)%2 == 0 {
			http.Error(w, "no", http.StatusServiceUnavailable)
			return
		}
		okJSON(w, r)
	}
	want(t, run(t, head+"limits: {}}\n", half), "a", Failed, "x status 503")
	want(t, run(t, head+"limits: {errors: 5%}}\n", half), "a", Failed, "at most 5 % allowed")
	r = run(t, head+"limits: {errors: 60%}}\n", half)
	if c := result(t, r, "a"); c.Status != Passed {
		t.Errorf("%+v", c)
	}
	want(t, run(t, "  performance:\n    - {name: a, rate: 50/s, duration: 200ms, timeout: 50ms, request: {body: 1}, maxConcurrent: 2}\n", hanging), "a", Failed, "no answer within 50ms")
}

func TestLoadAgainstLive(t *testing.T) {
	live := httptest.NewServer(http.HandlerFunc(okJSON))
	defer live.Close()
	const spec = "  performance:\n    - {name: a, rate: 100/s, duration: 400ms, request: {body: 1}, limits: {}, againstLive: {p50: 1.5x}}\n"
	slow := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(300 * time.Millisecond) // far beyond what a busy machine adds to live's answers
		okJSON(w, r)
	}
	r := run(t, spec, slow, func(o *Options) { o.LiveURL = live.URL })
	if c := result(t, r, "a: against live"); c.Status == Passed || c.Numbers["p50Seconds"] <= 0.3 {
		t.Errorf("slower by far: %+v", c)
	}
	r = run(t, spec, okJSON)
	want(t, r, "a: against live", Skipped, "no live version")
	if !r.Passed() {
		t.Error(r.Summary())
	}
}

// TestPacerMakesUpForLostTime: whatever the machine's stalls, all requests are started, none before its time,
// and what can't be started by the limit is given up.
func TestPacerMakesUpForLostTime(t *testing.T) {
	c := load(t, "  performance:\n    - {name: a, rate: 50/s, duration: 2s, warmUp: 200ms, request: {body: 1}}\n").performance[0]
	p, warm := c.pace()
	if warm != 10 || p.total != 110 {
		t.Errorf("%d of %d requests are the warm-up", warm, p.total)
	}
	now, hits := time.Duration(0), uint64(0)
	for {
		wait, stop := p.Pace(now, hits)
		if stop {
			break
		}
		now += wait
		if due := time.Duration(hits) * 20 * time.Millisecond; now < due {
			t.Fatalf("request %d starts at %s, due at %s", hits, now, due)
		}
		if hits++; hits == 60 {
			now += 900 * time.Millisecond // a stall
		}
	}
	if hits != p.total || now > 2300*time.Millisecond {
		t.Errorf("%d requests in %s", hits, now)
	}
	if _, stop := p.Pace(p.limit+1, 5); !stop {
		t.Error("a load without an end")
	}
}

// TestLoadComparisonIsDecided judges made-up latencies, whose outcome does not depend on the machine.
func TestLoadComparisonIsDecided(t *testing.T) {
	c := load(t, "  performance:\n    - {name: a, rate: 100/s, duration: 4s, request: {body: 1}, againstLive: {p50: 1.5x, p95: 2x}}\n").performance[0]
	spread := func(n int, factor float64) *loadRun {
		l := &loadRun{good: n}
		for i := range n {
			l.latencies = append(l.latencies, time.Duration(factor*float64(10*n+i)*float64(time.Millisecond)/float64(n)))
		}
		return l
	}
	for _, x := range []struct {
		n      int
		factor float64
		want   Status
	}{{400, 1, Passed}, {400, 1.2, Passed}, {400, 2.5, Failed}, {400, 1.5, Undecided}, {8, 1, Undecided}} {
		if got := c.compare(spread(x.n, x.factor), spread(x.n, 1)); got.Status != x.want {
			t.Errorf("%d requests, %gx: %s, want %s: %s", x.n, x.factor, got.Status, x.want, got.Message)
		}
	}
	failing := spread(100, 1)
	failing.good, failing.errors = 0, map[string]int{"status 500": 100}
	if got := c.compare(spread(100, 1), failing); got.Status != Undecided || !strings.Contains(got.Message, "100 x status 500") {
		t.Errorf("%+v", got)
	}
}
