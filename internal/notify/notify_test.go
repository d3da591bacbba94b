package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice.dev/sluice/internal/release"
)

var event = Event{
	Model: "credit", Release: 3, Number: 7, Step: "canary", What: "rollback", From: "20%", To: "0%", Phase: "RolledBack",
	By: "sluice", Reason: "errors: candidate 2.1 % against 0.9 %", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
}

var secret = []byte("correct horse")

// message is what a receiver got.
type message struct {
	header http.Header
	body   []byte
}

// hook is a receiver that answers with the given statuses in turn, and with the last one from then on.
type hook struct {
	*httptest.Server
	mu       sync.Mutex
	statuses []int
	got      []message
}

func newHook(t *testing.T, statuses ...int) *hook {
	h := &hook{statuses: statuses}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost {
			t.Errorf("%s: %v", r.Method, err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got = append(h.got, message{r.Header, body})
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(h.statuses[0])
		if len(h.statuses) > 1 {
			h.statuses = h.statuses[1:]
		}
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) messages() []message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.got
}

func (h *hook) receiver() Receiver {
	return Receiver{Name: "hook", URL: h.URL + "/in?secret-in-url", Secret: secret, Format: release.NotifyJSON, On: []string{"rollback"}}
}

func newSender(t *testing.T, receivers ...Receiver) *Sender {
	t.Helper()
	now := event.Time.Add(time.Minute)
	s, err := New(Options{Receivers: receivers, Now: func() time.Time { return now }, FirstWait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMessage(t *testing.T) {
	h := newHook(t, 204)
	s := newSender(t, h.receiver())
	if err := s.Notify(t.Context(), "credit/3/9", event); err != nil {
		t.Fatal(err)
	}
	got := h.messages()
	if len(got) != 1 {
		t.Fatalf("%d messages", len(got))
	}
	m := got[0]
	for name, want := range map[string]string{"X-Sluice-Key": "credit/3/9", "Content-Type": "application/json", "X-Sluice-Timestamp": "1767323105"} {
		if have := m.header.Get(name); have != want {
			t.Errorf("%s: %q, want %q", name, have, want)
		}
	}
	const want = `{"model":"credit","release":3,"number":7,"step":"canary","what":"rollback","from":"20%","to":"0%","phase":"RolledBack","by":"sluice","reason":"errors: candidate 2.1 % against 0.9 %","time":"2026-01-02T03:04:05Z"}`
	if string(m.body) != want {
		t.Errorf("body\n%s\nwant\n%s", m.body, want)
	}
	now := event.Time.Add(time.Minute)
	if err := Verify(secret, m.header, m.body, now, time.Minute); err != nil {
		t.Error(err)
	}
	if strings.Contains(fmt.Sprint(m), string(secret)) {
		t.Error("the secret travels")
	}
	if err := s.Notify(t.Context(), "credit/3/9", event); err != nil || len(h.messages()) != 1 {
		t.Errorf("a repeated key sends %d messages (%v), want 1", len(h.messages()), err)
	}
}

// The signature was computed apart from this program: printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 'key'
func TestSignature(t *testing.T) {
	const want = "v1=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03"
	if got := sign([]byte("key"), 1_700_000_000, []byte(`{"a":1}`)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestVerifyRefuses(t *testing.T) {
	now, body := time.Unix(1_700_000_000, 0), []byte(`{"a":1}`)
	good := func() http.Header {
		h := http.Header{}
		h.Set(HeaderTimestamp, "1700000000")
		h.Set(HeaderSignature, sign(secret, 1_700_000_000, body))
		return h
	}
	for name, tt := range map[string]struct {
		change func(http.Header)
		secret string
		body   string
		now    time.Time
		want   string
	}{
		"good":          {want: ""},
		"other body":    {body: `{"a":2}`, want: "not that of this message"},
		"other secret":  {secret: "x", want: "not that of this message"},
		"moved in time": {change: func(h http.Header) { h.Set(HeaderTimestamp, "1700000001") }, want: "not that of this message"},
		"no time":       {change: func(h http.Header) { h.Del(HeaderTimestamp) }, want: "no timestamp"},
		"no signature":  {change: func(h http.Header) { h.Del(HeaderSignature) }, want: "not signed"},
		"old":           {now: now.Add(6 * time.Minute), want: "too old"},
		"from ahead":    {now: now.Add(-6 * time.Minute), want: "too old"},
	} {
		h, b, key, at := good(), body, secret, now
		if tt.change != nil {
			tt.change(h)
		}
		if tt.body != "" {
			b = []byte(tt.body)
		}
		if tt.secret != "" {
			key = []byte(tt.secret)
		}
		if !tt.now.IsZero() {
			at = tt.now
		}
		err := Verify(key, h, b, at, 5*time.Minute)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestSlack(t *testing.T) {
	h := newHook(t, 200)
	r := h.receiver()
	r.Format, r.Secret = release.NotifySlack, nil
	e := event
	e.Reason = "<!channel> & " + strings.Repeat("é", 3000)
	if err := newSender(t, r).Notify(t.Context(), "k", e); err != nil {
		t.Fatal(err)
	}
	m := h.messages()[0]
	var body map[string]string
	if err := json.Unmarshal(m.body, &body); err != nil || len(body) != 1 {
		t.Fatalf("%v: %s", err, m.body)
	}
	if want := "*credit* release 3: *rollback* (RolledBack, candidate 20% → 0%, by sluice)\n&lt;!channel&gt; &amp; é"; !strings.HasPrefix(body["text"], want) {
		t.Errorf("text %.200q", body["text"])
	}
	if n := len(body["text"]); n > 2200 || !strings.HasSuffix(body["text"], "é…") {
		t.Errorf("the text has %d bytes and ends with %q", n, body["text"][n-8:])
	}
	if m.header.Get(HeaderSignature) != "" {
		t.Error("signed without a secret")
	}
}

func TestOnlyWhatWasAskedFor(t *testing.T) {
	h := newHook(t, 200)
	e := event
	e.What = "advance"
	if err := newSender(t, h.receiver()).Notify(t.Context(), "k", e); err != nil || len(h.messages()) != 0 {
		t.Errorf("%d messages, %v", len(h.messages()), err)
	}
}

func TestWhichAnswersAreTriedAgain(t *testing.T) {
	for status, attempts := range map[int]int{200: 1, 299: 1, 301: 1, 307: 1, 400: 1, 401: 1, 404: 1, 410: 1, 408: 2, 425: 2, 429: 2, 500: 2, 503: 2} {
		h := newHook(t, status, 200)
		if err := newSender(t, h.receiver()).Notify(t.Context(), "k", event); err != nil {
			t.Errorf("%d: %v", status, err)
		}
		if n := len(h.messages()); n != attempts {
			t.Errorf("%d: %d attempts, want %d", status, n, attempts)
		}
	}
}

// trip is a transport in memory: virtual time passes.
type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, after string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {after}}, Body: http.NoBody}
}

// A receiver that is owed an event does not make the others get it twice.
func TestOneReceiverAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var taken atomic.Int32
		receiver := func(host string) Receiver {
			return Receiver{Name: host, URL: "http://" + host + "/in?secret-in-url", Secret: secret, On: []string{"rollback"}}
		}
		s, err := New(Options{
			Receivers: []Receiver{receiver("well.example"), receiver("ill.example")},
			Transport: trip(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host == "ill.example" {
					return nil, errors.New("refused")
				}
				taken.Add(1)
				return answer(200, ""), nil
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Notify(t.Context(), "k", event)
		if release.KindOf(err) != release.KindUnavailable {
			t.Fatalf("got %v", err)
		}
		if strings.Contains(err.Error(), "secret-in-url") || strings.Contains(err.Error(), "correct horse") {
			t.Errorf("the error shows a secret: %v", err)
		}
		if err := s.Notify(t.Context(), "k", event); err == nil || taken.Load() != 1 {
			t.Errorf("%d messages, %v", taken.Load(), err)
		}
	})
}

func TestPatience(t *testing.T) {
	for name, tt := range map[string]struct {
		transport trip
		age       time.Duration
		attempts  int
		owed      bool
	}{
		"away":               {func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }, 0, 8, true},
		"away, an old event": {func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }, 25 * time.Hour, 8, false},
		"asks to be let be":  {func(*http.Request) (*http.Response, error) { return answer(429, "25"), nil }, 0, 3, true},
		"asks for an hour":   {func(*http.Request) (*http.Response, error) { return answer(503, "3600"), nil }, 0, 1, true},
		"does not answer":    {func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() }, 0, 5, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			attempts := 0
			e := event
			e.Time = time.Now().Add(-tt.age)
			s, err := New(Options{
				Receivers: []Receiver{{Name: "r", URL: "http://r.example", On: []string{"rollback"}}},
				Transport: trip(func(r *http.Request) (*http.Response, error) { attempts++; return tt.transport(r) }),
			})
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			err = s.Notify(t.Context(), "k", e)
			if (err != nil) != tt.owed || attempts != tt.attempts {
				t.Errorf("%s: %d attempts, %v; want %d, owed %v", name, attempts, err, tt.attempts, tt.owed)
			}
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("%s: it took %s", name, took)
			}
		})
	}
}

func TestStopEndsAtOnce(t *testing.T) {
	h := newHook(t, 503)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newSender(t, h.receiver()).Notify(ctx, "k", event); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "-1": 0, "soon": 0, "99999999999999": 0,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "Fri, 02 Jan 2026 03:00:05 GMT": 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestNewRefusesAddresses(t *testing.T) {
	for _, url := range []string{"", "nowhere", "ftp://a/b", "https://u:hunter2@a"} {
		_, err := New(Options{Receivers: []Receiver{{Name: "spec.notify[0]", URL: url}}})
		if release.KindOf(err) != release.KindInvalid || !strings.Contains(err.Error(), "spec.notify[0]") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestMemoryOfThePastIsBounded(t *testing.T) {
	s := newSender(t)
	for i := range remembered + 10 {
		s.setDone(fmt.Sprint(i))
		s.setDone(fmt.Sprint(i))
	}
	if len(s.done) != remembered || len(s.old) != remembered || s.isDone("9") || !s.isDone("10") {
		t.Errorf("%d and %d are remembered", len(s.done), len(s.old))
	}
}
