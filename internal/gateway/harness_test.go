package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/front"
	"sluice.dev/sluice/internal/release"
)

// network is a set of listeners by host name: in memory, so that tests run in a synctest bubble, or sockets.
type network struct {
	mu      sync.Mutex
	hosts   map[string]*listener
	sockets map[string]string // addresses; nil: all is in memory
}

type listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *listener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80} }

// addressed gives a pipe the addresses that a real connection would have.
type addressed struct{ net.Conn }

func (addressed) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(198, 51, 100, 7), Port: 4711}
}

func (n *network) listen(t testing.TB, host string) net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sockets != nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		n.sockets[host] = l.Addr().String()
		return l
	}
	l := &listener{conns: make(chan net.Conn), closed: make(chan struct{})}
	n.hosts[host] = l
	return l
}

func (n *network) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	host, _, _ := strings.Cut(addr, ":")
	n.mu.Lock()
	l, at := n.hosts[host], n.sockets[host]
	n.mu.Unlock()
	if at != "" {
		return new(net.Dialer).DialContext(ctx, "tcp", at)
	}
	if l == nil {
		return nil, errors.New("connection refused")
	}
	a, b := net.Pipe()
	select {
	case l.conns <- addressed{b}:
		return a, nil
	case <-l.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *network) transport() *http.Transport {
	return &http.Transport{DialContext: n.dial, DisableCompression: true, MaxIdleConnsPerHost: 64}
}

// serve runs a server for host until the test ends.
func (n *network) serve(t testing.TB, host string, h http.Handler) {
	t.Helper()
	l := n.listen(t, host)
	s := front.New(NewServer(h, slog.New(slog.DiscardHandler)))
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
}

// memory is a sink that keeps everything.
type memory struct {
	mu    sync.Mutex
	all   []release.Exposure
	words []string
	more  chan struct{}
}

func (m *memory) Record(e *release.Exposure) {
	m.mu.Lock()
	m.all = append(m.all, *e)
	m.mu.Unlock()
	select {
	case m.more <- struct{}{}:
	default:
	}
}

func (m *memory) Category(_ release.ModelKey, _ int, text []byte) uint32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, w := range m.words {
		if w == string(text) {
			return uint32(i + 1)
		}
	}
	m.words = append(m.words, string(text))
	return uint32(len(m.words))
}

func (m *memory) word(v release.Value) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v.Kind != release.ValueCategory {
		return ""
	}
	return m.words[v.Cat-1]
}

// wait returns the first n exposures once they are there; records come after the answer does.
func (m *memory) wait(t testing.TB, n int) []release.Exposure {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		m.mu.Lock()
		got := append([]release.Exposure(nil), m.all...)
		m.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-m.more:
		case <-limit:
			t.Fatalf("%d exposures were recorded, want %d", len(got), n)
		}
	}
}

// stored is a feedback sink.
type stored struct {
	mu    sync.Mutex
	items []FeedbackItem
	err   error
	hang  bool
}

func (s *stored) Accept(ctx context.Context, items []FeedbackItem) error {
	if s.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.items = append(s.items, items...)
	return nil
}

// world is a gateway between a client and model servers, all in memory.
type world struct {
	t        testing.TB
	net      *network
	gateway  *Gateway
	routes   atomic.Pointer[assign.Routes]
	sink     *memory
	feedback *stored
	keys     *release.Keyring
	registry *prometheus.Registry
	client   *http.Client
	trips    []Trip
	tripMu   sync.Mutex
	log      *bytes.Buffer
	logMu    sync.Mutex
}

func (w *world) Write(b []byte) (int, error) {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return w.log.Write(b)
}

func testKeys(t testing.TB, seed byte) *release.Keyring {
	t.Helper()
	k, err := release.NewKeyring(bytes.Repeat([]byte{seed}, release.NewKeyringLen))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// newWorld starts a gateway that serves spec. change may alter its options.
func newWorld(t testing.TB, spec *assign.Spec, change ...func(*Options)) *world {
	t.Helper()
	return newWorldOn(t, &network{hosts: map[string]*listener{}}, spec, change...)
}

func newWorldOn(t testing.TB, n *network, spec *assign.Spec, change ...func(*Options)) *world {
	t.Helper()
	w := &world{
		t: t, net: n, sink: &memory{more: make(chan struct{}, 1)},
		feedback: &stored{}, keys: testKeys(t, 1), registry: prometheus.NewRegistry(), log: new(bytes.Buffer),
	}
	o := Options{
		Routes: w.routes.Load, Sink: w.sink, Feedback: w.feedback, Keyring: func() *release.Keyring { return w.keys },
		Metrics: w.registry, Logger: slog.New(slog.NewTextHandler(w, nil)),
		Trips: func(tr Trip) { w.tripMu.Lock(); w.trips = append(w.trips, tr); w.tripMu.Unlock() },
	}
	o.Dial = w.net.dial
	for _, f := range change {
		f(&o)
	}
	var err error
	if w.gateway, err = New(o); err != nil {
		t.Fatal(err)
	}
	if spec != nil {
		w.serve(spec)
	}
	w.net.serve(t, "gateway", w.gateway)
	w.client = &http.Client{Transport: w.net.transport(), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		w.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := w.gateway.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return w
}

// serve makes the gateway serve spec from now on.
func (w *world) serve(spec *assign.Spec) {
	w.t.Helper()
	routes, err := assign.Compile(spec, func(s release.Secret) (string, error) {
		if s == "missing" {
			return "", errors.New("no such secret")
		}
		return string(s), nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.routes.Store(routes)
}

func (w *world) upstream(host string, h http.HandlerFunc) { w.net.serve(w.t, host, h) }

// echo answers with its name.
func echo(name string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		rw.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(rw, `{"by":"`+name+`","decision":"approve","score":0.5}`)
	}
}

type reply struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

func (w *world) do(method, path, body string, headers ...string) reply {
	w.t.Helper()
	r := w.request(method, path, body, headers...)
	got, err := w.send(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func (w *world) request(method, path, body string, headers ...string) *http.Request {
	w.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r, err := http.NewRequest(method, "http://gateway"+path, in)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func (w *world) send(r *http.Request) (reply, error) {
	resp, err := w.client.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(body), err}, nil
}

// ends covers the whole circle by the first part below last for arm 1 and the rest for live.
func split(share release.Share) []assign.Interval {
	switch share {
	case 0:
		return []assign.Interval{{Last: 1<<64 - 1}}
	case release.Whole:
		return []assign.Interval{{Last: 1<<64 - 1, Arm: 1}}
	}
	return []assign.Interval{{Last: assign.Measure(share) - 1, Arm: 1}, {Last: 1<<64 - 1}}
}

// credit is a spec of one model with a release under way: v2 serves share of the units.
func credit(share release.Share, change ...func(*assign.RouteSpec)) *assign.Spec {
	m := assign.RouteSpec{
		Model: "credit", Match: release.Match{Path: "/credit"}, Dialect: release.DialectJSON,
		Unit:    release.UnitSpec{From: []release.Selector{"header:X-User-Id", "json:applicant.id", "cookie:uid", "query:user"}},
		Release: 7, Stratum: 3, Epoch: 2, Salt: "salt", Kind: release.ExposureServe,
		Arms: []assign.ArmSpec{
			{Version: "v1", Spec: release.Version{URL: "http://live"}},
			{Version: "v2", Spec: release.Version{URL: "http://candidate"}},
		},
		Serve: split(share),
	}
	for _, f := range change {
		f(&m)
	}
	return &assign.Spec{Generation: 5, Models: []assign.RouteSpec{m}}
}

// shadowed makes it a shadow step: live serves all, copies go to the candidate.
func shadowed(mirror release.Share) func(*assign.RouteSpec) {
	return func(m *assign.RouteSpec) {
		m.Kind, m.Serve, m.WouldBe, m.Mirror = release.ExposureWouldBe, split(0), split(500_000), mirror
	}
}

func headerOnly(m *assign.RouteSpec) { m.Unit.From = []release.Selector{"header:X-User-Id"} }
