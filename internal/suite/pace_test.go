package suite

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice.dev/sluice/internal/release"
)

// TestPace: requests start when the integral of the rate says so, with and without a ramp.
func TestPace(t *testing.T) {
	for _, c := range []struct {
		rate, ramp, warmUp, duration float64
		total, before                uint64
		due                          map[uint64]float64
	}{
		{10, 0, 0, 2, 20, 0, map[uint64]float64{0: 0, 1: 0.1, 19: 1.9}},
		{10, 0, 1, 2, 30, 10, map[uint64]float64{10: 1}},
		{10, 4, 1, 2, 50, 30, map[uint64]float64{0: 0, 5: 2, 20: 4, 30: 5, 49: 6.9}}, // 20 requests in the ramp, a quarter of them in its first half
	} {
		p := performanceCase{ramp: time.Duration(c.ramp * 1e9), warmUp: time.Duration(c.warmUp * 1e9), duration: time.Duration(c.duration * 1e9)}
		if err := p.spec.Rate.UnmarshalText(fmt.Appendf(nil, "%g/s", c.rate)); err != nil {
			t.Fatal(err)
		}
		got, before := p.pace()
		if got.total != c.total || before != c.before {
			t.Errorf("%+v: %d requests, %d not counted", c, got.total, before)
		}
		for n, want := range c.due {
			if at := got.due(n); math.Abs(at-want) > 1e-9 {
				t.Errorf("%+v: request %d is due at %g, want %g", c, n, at, want)
			}
		}
		last := -1.0
		for n := range got.total {
			if at := got.due(n); at < last {
				t.Fatalf("%+v: request %d is due before the one before it", c, n)
			} else {
				last = at
			}
		}
		if _, stop := got.Pace(0, c.total); !stop {
			t.Error("the load does not end")
		}
		if wait, stop := got.Pace(0, c.total-1); stop || wait <= 0 {
			t.Errorf("the last request waits %s, stop %v", wait, stop)
		}
	}
}

// TestLoadOfStreams: tokens are counted, and a stream that breaks off is an error although it began with 200.
func TestLoadOfStreams(t *testing.T) {
	const spec = "  target: {dialect: openai, generation: {stream: true}}\n  sample: {prompt: one two three}\n  performance:\n    - {name: p, rate: 50/s, duration: 400ms, ramp: 100ms, warmUp: 100ms, limits: {firstToken: 20s%s}}\n"
	var told atomic.Int32
	r := run(t, fmt.Sprintf(spec, ", perToken: 20s, tokens: 1/s"), speaker(echo), func(o *Options) {
		o.Progress = func(p Progress) {
			if strings.Contains(p.Detail, "requests at 50/s") {
				told.Add(1)
			}
		}
	})
	want(t, r, "p", Passed, "tokens/s in all")
	c := result(t, r, "p")
	if c.Numbers["requests"] != 20 || c.Numbers["tokens"] != 140 || c.Numbers["firstTokenP95Seconds"] <= 0 {
		t.Errorf("20 answers of 7 tokens: %v", c.Numbers)
	}
	if c.Numbers["firstTokenP50Seconds"] > c.Numbers["p50Seconds"] {
		t.Errorf("the first token comes after the last: %v", c.Numbers)
	}
	if told.Load() < 10 {
		t.Errorf("progress was told %d times", told.Load())
	}
	r = run(t, fmt.Sprintf(spec, ", tokens: 1000000/s"), speaker(echo))
	want(t, r, "p", Failed, "at least 1000000/s asked")
	r = run(t, fmt.Sprintf(spec, ""), func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n")
	})
	want(t, r, "p", Failed, "20 x the stream broke off before its end")
	want(t, r, "p", Failed, "no answer had a first token")
}

// TestStreamsAgainstLive: the ratio has its bounds, and the live version meets the same load.
func TestStreamsAgainstLive(t *testing.T) {
	live := httptest.NewServer(speaker(echo))
	defer live.Close()
	const spec = "  target: {dialect: openai, generation: {stream: true}}\n  sample: {prompt: one two three}\n  performance:\n    - {name: p, rate: 100/s, duration: 400ms, againstLive: {p50: %s}}\n"
	r := run(t, fmt.Sprintf(spec, "100000x"), speaker(echo), func(o *Options) { o.LiveURL = live.URL })
	want(t, r, "p: against live", Passed, "p50")
	c := result(t, r, "p: against live")
	if lo, hi := c.Numbers["p50RatioLower"], c.Numbers["p50RatioUpper"]; c.Numbers["p50Ratio"] < lo || hi != 0 && c.Numbers["p50Ratio"] > hi {
		t.Errorf("the ratio lies outside of its bounds: %v", c.Numbers)
	}
}

// TestRatioOfQuantiles: what is judged is the ratio's bounds, not its estimate.
func TestRatioOfQuantiles(t *testing.T) {
	list := func(n int, unit time.Duration) (out []time.Duration) {
		for i := range n {
			out = append(out, time.Duration(100+i)*unit)
		}
		return out
	}
	limit := release.Margin{Value: 1.5, Unit: release.Factor}
	for _, c := range []struct {
		mine, theirs []time.Duration
		want         Status
	}{
		{list(200, time.Millisecond), list(200, time.Millisecond), Passed},
		{list(200, 2*time.Millisecond), list(200, time.Millisecond), Failed},
		{list(200, 1500*time.Microsecond), list(200, time.Millisecond), Undecided},
		{list(3, time.Millisecond), list(3, time.Millisecond), Undecided},
		{nil, list(3, time.Millisecond), Undecided},
	} {
		numbers := map[string]float64{}
		if text, got := compareQuantile(numbers, "p95", 0.95, limit, c.mine, c.theirs); got != c.want {
			t.Errorf("%s: %s, want %s", text, got, c.want)
		}
	}
}

// TestBinaryRows: records of a binary file are rows; their bytes are bodies, their labels the truth of gates.
func TestBinaryRows(t *testing.T) {
	records := make([]byte, 0, 120)
	for i := range 30 {
		records = append(records, byte(i%2), byte(i), 1, byte(200+i))
	}
	s, err := withFiles(t, `  target: {dialect: raw}
  functional:
    - name: a
      data: {file: d.bin, record: [{name: class, bytes: 1}, {name: n, bytes: 2, as: number}, {name: image, bytes: 1, as: bytes}]}
      request: {bytes: image, headers: {X-N: "{{n}}"}}
      gates: [{metric: accuracy, prediction: class, label: class, atLeast: 0.8}]
`, map[string]string{"d.bin": string(records)})
	if err != nil {
		t.Fatal(err)
	}
	var sum atomic.Int64
	r := runSuite(t, s, func(w http.ResponseWriter, r *http.Request) {
		b := body(r)
		if len(b) != 1 || r.Header.Get("X-N") != fmt.Sprint(256+int(b[0])-200) {
			t.Errorf("%q with %s", b, r.Header.Get("X-N"))
		}
		sum.Add(int64(b[0]))
		fmt.Fprintf(w, `{"class":%d}`, (b[0]-200)%2)
	})
	want(t, r, "a: accuracy", Passed, "30 of 30")
	if sum.Load() != 30*200+29*15 {
		t.Errorf("the bodies sum up to %d", sum.Load())
	}
	text, err := s.bundled("s", "s")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Unbundle(text); err != nil {
		t.Errorf("it does not travel: %v", err)
	}
}

// TestBodiesOfRows: bodies in base64, and in files that rows name.
func TestBodiesOfRows(t *testing.T) {
	files := map[string]string{
		"d.csv":   "x,f\n" + base64.StdEncoding.EncodeToString([]byte("\x00\xff")) + ",one.bin\n" + base64.StdEncoding.EncodeToString([]byte("b")) + ",two.bin\n",
		"one.bin": "first", "two.bin": "second",
	}
	s, err := withFiles(t, "  parallel: 1\n  functional:\n    - {name: a, data: {file: d.csv}, request: {bytes: x}}\n    - {name: b, data: {file: d.csv}, request: {file: '{{f}}'}}\n", files)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 4)
	r := runSuite(t, s, func(_ http.ResponseWriter, r *http.Request) { seen <- body(r) })
	if !r.Passed() {
		t.Error(tableOf(t, r))
	}
	close(seen)
	got := map[string]bool{}
	for b := range seen {
		got[b] = true
	}
	if len(got) != 4 || !got["\x00\xff"] || !got["b"] || !got["first"] || !got["second"] {
		t.Errorf("%v", got)
	}
	for spec, words := range map[string]string{
		"{name: a, data: {file: d.csv}, request: {file: '{{x}}'}}":                                      "AP8=: it can't be read",
		"{name: a, data: {file: d.csv, record: [{name: a, bytes: 7}]}, request: {bytes: a}}":            "no whole number of records of 7",
		"{name: a, data: {file: d.csv, record: [{name: a, bytes: 9, as: number}]}, request: {text: a}}": "a number of 9 bytes",
		"{name: a, data: {file: d.csv}, request: {bytes: y}}":                                           "has no column y",
		"{name: a, request: {bytes: x}}":                                                                "there are no data",
		"{name: a, data: {file: one.bin}, request: {text: a}}":                                          "record does not say",
	} {
		if _, err := withFiles(t, "  functional:\n    - "+spec+"\n", files); err == nil || !strings.Contains(fmt.Sprintf("%+v", err), words) {
			t.Errorf("%s: %v, want %q", spec, err, words)
		}
	}
}

// TestBatteryOfDamagedBodies: a version that fails on what is no image is found.
func TestBatteryOfDamagedBodies(t *testing.T) {
	spec := "  target: {dialect: raw}\n  sample: {text: 0123456789abcdef0123}\n  exceptions: [{battery: all, only: [corrupted, truncated]}]\n"
	r := run(t, spec, func(w http.ResponseWriter, r *http.Request) {
		if len(body(r)) < 20 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	want(t, r, "battery: corrupted", Failed, "its head alone: status 500")
	want(t, r, "battery: truncated", Failed, "the first 1 of 20 bytes: status 500")
	r = run(t, spec, func(w http.ResponseWriter, r *http.Request) {
		if len(body(r)) < 20 {
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
	})
	want(t, r, "battery: corrupted", Passed, "refused")
}

// TestBatteryOfQueries: odd values in a query are found out too.
func TestBatteryOfQueries(t *testing.T) {
	spec := "  target: {path: '/x?n=1&q=a'}\n  sample: {}\n  exceptions: [{battery: all, only: [query]}]\n"
	r := run(t, spec, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("n") == "NaN" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		okJSON(w, r)
	})
	want(t, r, "battery: query", Failed, "n = NaN: status 500")
}
