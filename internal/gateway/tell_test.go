package gateway

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
)

// watcher is a Tracer and a Captures that remembers.
type watcher struct {
	mu       sync.Mutex
	told     []Told
	captured []Captured
	seen     chan struct{} // one per capture
}

func (w *watcher) Begin(in http.Header, _ time.Time) Span {
	return &watchedSpan{w, "child of " + in.Get("Traceparent")}
}

type watchedSpan struct {
	w  *watcher
	id string
}

func (s *watchedSpan) Inject(out http.Header) { out["Traceparent"] = []string{s.id} }

func (s *watchedSpan) End(t *Told) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.told = append(s.w.told, *t)
}

func (w *watcher) Capture(c *Captured) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.captured = append(w.captured, *c)
	w.seen <- struct{}{}
}

func watching() (*watcher, func(*Options)) {
	w := &watcher{seen: make(chan struct{}, 16)}
	return w, func(o *Options) { o.Tracer, o.Captures = w, w }
}

func sampled(share release.Share) func(*assign.RouteSpec) {
	return func(m *assign.RouteSpec) {
		m.Capture = &release.Capture{Share: share, MaxBody: 1024, Keep: release.Duration(time.Hour)}
	}
}

// A request and its copy are each followed: what upstreams get names its own span, and each ends once.
func TestTracerFollowsBothLegs(t *testing.T) {
	seen, options := watching()
	w := newWorld(t, credit(0, shadowed(release.Whole)), options)
	parents := make(chan string, 2)
	for _, host := range []string{"live", "candidate"} {
		w.upstream(host, func(rw http.ResponseWriter, r *http.Request) {
			parents <- r.Header.Get("Traceparent")
			echo(host)(rw, r)
		})
	}
	got := w.do("POST", "/credit", `{"a":1}`, "X-User-Id", "u", "Traceparent", "mine")
	id := got.header.Get(HeaderID)
	w.sink.wait(t, 2)
	for range 2 {
		if p := <-parents; p != "child of mine" {
			t.Errorf("an upstream got the parent %q", p)
		}
	}
	told := seen.wait(t, 2)
	for _, s := range told {
		wantVersion, wantArm := "v1", "live"
		if s.Mirrored {
			wantVersion, wantArm = "v2", "candidate"
		}
		if s.Model != "credit" || s.Version != wantVersion || s.Arm != wantArm || s.Status != 200 || s.Class != "2xx" || s.Method != http.MethodPost || s.Release != 7 {
			t.Errorf("told %+v", s)
		}
		if s.Exposure == "" || !strings.HasPrefix(id, s.Exposure) || len(s.Exposure) >= len(id) { // the copy's too
			t.Errorf("the exposure is %q of %q (mirrored: %v)", s.Exposure, id, s.Mirrored)
		}
	}
	if told[0].Mirrored == told[1].Mirrored {
		t.Error("the request and its copy were not told apart")
	}
}

// wait returns the first n exchanges that were told. They are told after they are recorded.
func (w *watcher) wait(t *testing.T, n int) []Told {
	t.Helper()
	for limit := time.Now().Add(30 * time.Second); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		w.mu.Lock()
		told := append([]Told(nil), w.told...)
		w.mu.Unlock()
		if len(told) >= n {
			return told
		}
	}
	t.Fatalf("fewer than %d exchanges were told", n)
	return nil
}

func TestFailuresAreTold(t *testing.T) {
	seen, options := watching()
	w := newWorld(t, credit(release.Whole, func(m *assign.RouteSpec) { m.Arms[1].Spec.Failover = true }), options)
	w.upstream("live", echo("v1"))
	w.upstream("candidate", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusServiceUnavailable) })
	w.do("POST", "/credit", `{}`, "X-User-Id", "u")
	if s := seen.wait(t, 1)[0]; s.Version != "v1" || !s.Diverted || s.Status != 503 {
		t.Errorf("told %+v: live answered for a candidate that failed", s)
	}
	w.do("POST", "/credit", `{}`) // nobody's: served by live, no part of the analysis
	if s := seen.wait(t, 2)[1]; s.Exposure != "" || s.Version != "v1" || s.Status != 200 {
		t.Errorf("told %+v", s)
	}
}

// What is drawn is handed over whole, both legs of a pair together; what is not asked for is not.
func TestCapture(t *testing.T) {
	seen, options := watching()
	var id atomic.Uint64
	id.Store(1 << 63) // the share is drawn by the first bits: an id of chance would be drawn once in a million
	w := newWorld(t, credit(0, shadowed(release.Whole), sampled(release.Whole)), options, func(o *Options) { o.Nonce = func() uint64 { return id.Add(1) } })
	w.upstream("live", echo("v1"))
	w.upstream("candidate", echo("v2"))
	w.do("POST", "/credit", `{"applicant":{"id":"u"}}`, "Content-Type", "application/json", "X-User-Id", "u")
	<-seen.seen
	<-seen.seen
	seen.mu.Lock()
	for _, c := range seen.captured {
		want := map[bool]string{false: "v1", true: "v2"}[c.Mirrored]
		if string(c.Request.Bytes) != `{"applicant":{"id":"u"}}` || c.Request.Type != "application/json" || c.Answer.Type != "application/json" ||
			!strings.Contains(string(c.Answer.Bytes), want) || c.Answer.Size != int64(len(c.Answer.Bytes)) || c.Version != want {
			t.Errorf("captured %+v", c)
		}
	}
	seen.captured = nil
	seen.mu.Unlock()

	// Longer than the limit: the size alone.
	w.do("POST", "/credit", `{"x":"`+strings.Repeat("x", 2000)+`"}`, "X-User-Id", "u")
	<-seen.seen
	<-seen.seen
	seen.mu.Lock()
	for _, c := range seen.captured {
		if c.Request.Bytes != nil || c.Request.Size != 2008 {
			t.Errorf("captured %d bytes of %d", len(c.Request.Bytes), c.Request.Size)
		}
	}
	seen.captured = nil
	seen.mu.Unlock()

	for _, spec := range []*assign.Spec{credit(0), credit(0, sampled(1))} { // not asked for; one in a million
		w.serve(spec)
		for range 50 {
			w.do("POST", "/credit", `{}`, "X-User-Id", "u")
		}
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if len(seen.captured) > 0 {
		t.Errorf("%d exchanges were captured that were not drawn", len(seen.captured))
	}
}

// The share of a sample is what the file says.
func TestCaptureShare(t *testing.T) {
	x := &exchange{g: &Gateway{opts: Options{Captures: &watcher{}}}, m: &model{Route: &assign.Route{}}}
	x.m.Capture = &release.Capture{Share: release.Whole / 4}
	n := 0
	for i := range 1024 {
		x.e.ID = uint64(i) << 54
		if x.draw() {
			n++
		}
	}
	if n != 256 {
		t.Errorf("%d of 1,024 ids were drawn at 25 %%", n)
	}
}

// A stream's text is captured in one piece, whatever its events cut it into, and the series of language models count it.
func TestCaptureOfAStream(t *testing.T) {
	seen, options := watching()
	w := newWorld(t, credit(0, speaking(release.DialectOpenAI), sampled(release.Whole)), options)
	w.upstream("live", stream("text/event-stream", provider(t, "openai-chat.sse")))
	w.do("POST", chatPath, askStream, "X-User-Id", "u")
	<-seen.seen
	seen.mu.Lock()
	c, told := seen.captured[0], seen.told[0]
	seen.mu.Unlock()
	if c.Text == "" || strings.Contains(c.Text, "data:") {
		t.Errorf("captured the text %q", c.Text)
	}
	if told.Op == 0 || !told.Measures.Stream || told.Measures.Content < 0 {
		t.Errorf("told %+v", told)
	}
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			values[f.GetName()] += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	if values[nameFirstToken] != 1 || values[nameTokens] == 0 {
		t.Errorf("series %v", values)
	}
}
