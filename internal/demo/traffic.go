package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// traffic sends requests through the gateway (open loop: a slow answer does not slow the next request
// down, as users would not) and tells the outcome of each a little later. The rate grows to what was
// asked for, or to what the machine can do beside its other work: a demo of overload shows nothing else.
type traffic struct {
	scenario *Scenario
	gateway  string
	rate     int // requests per second that are asked for
	client   *http.Client
	source   source     // owned by the pacing goroutine
	rng      *rand.Rand // delays of feedback; owned by the pacing goroutine
	outcomes chan outcome
	latency  atomic.Int64 // nanoseconds, moving average
	sent     atomic.Int64
	failed   atomic.Int64
	shed     atomic.Int64 // requests that were due while all senders were busy
	told     atomic.Int64
}

// outcome is what is known of a request after a while.
type outcome struct {
	due    time.Time
	ID     string `json:"id"`
	Metric string `json:"metric"`
	Value  any    `json:"value"`
}

// senders bounds the requests under way: 2,000 a second at 20 ms each are 40.
const senders = 256

// maxAnswer bounds what is read of an answer; those of the examples have some hundred bytes.
const maxAnswer = 64 << 10

// feedbackDelay is the mean time until an outcome is known; the metric's window is several of it.
const feedbackDelay = 400 * time.Millisecond

func newTraffic(s *Scenario, gateway string, rate int, seed uint64) (*traffic, error) {
	source, err := s.source(seed)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{MaxIdleConns: senders, MaxIdleConnsPerHost: senders, DisableCompression: true}
	return &traffic{
		scenario: s, gateway: gateway, rate: rate, source: source,
		client:   &http.Client{Transport: transport, Timeout: 15 * time.Second},
		rng:      rand.New(rand.NewPCG(seed, 1)),
		outcomes: make(chan outcome, 1<<16),
	}, nil
}

// run sends until ctx ends.
func (t *traffic) run(ctx context.Context) {
	jobs := make(chan job)
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for j := range jobs {
				t.send(ctx, j)
			}
		})
	}
	wg.Go(func() { t.tell(ctx) })
	t.pace(ctx, jobs)
	close(jobs)
	wg.Wait()
	t.client.CloseIdleConnections()
}

// pace hands out requests on time, in small bursts every few milliseconds.
func (t *traffic) pace(ctx context.Context, jobs chan<- job) {
	const tick = 5 * time.Millisecond
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	rate := min(float64(t.rate), firstRate)
	var due float64
	last, adapted, shed := time.Now(), time.Now(), t.shed.Load()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now()
		// A machine that was suspended has no users who catch up.
		due += rate * min(now.Sub(last), 20*tick).Seconds()
		last = now
		for ; due >= 1; due-- {
			select {
			case jobs <- t.next():
			default:
				t.shed.Add(1)
			}
		}
		if now.Sub(adapted) >= time.Second {
			busy := t.shed.Load() > shed || time.Duration(t.latency.Load()) > tooSlow
			rate = adapt(rate, float64(t.rate), t.scenario.least, busy)
			adapted, shed = now, t.shed.Load()
		}
	}
}

// Bounds of the rate: it begins at firstRate and shrinks while answers take longer than tooSlow, which
// is several times what the model servers need.
const (
	firstRate = 500
	tooSlow   = 15 * serviceDelay
)

// adapt returns the rate of the next second.
func adapt(rate, asked, least float64, busy bool) float64 {
	if busy {
		return max(0.7*rate, min(least, asked))
	}
	return min(1.25*rate, asked)
}

func (t *traffic) next() job {
	j := t.source.next()
	j.delay = time.Duration(t.rng.ExpFloat64() * float64(feedbackDelay))
	return j
}

func (t *traffic) send(ctx context.Context, j job) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.gateway+t.scenario.path, bytes.NewReader(j.body))
	if err != nil {
		t.failed.Add(1)
		return
	}
	req.Header.Set("Content-Type", t.scenario.media)
	req.Header.Set("X-User-Id", j.user)
	began := time.Now()
	resp, err := t.client.Do(req)
	if err != nil {
		if ctx.Err() == nil {
			t.failed.Add(1)
		}
		return
	}
	answer, broken := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	resp.Body.Close()
	old := t.latency.Load()
	t.latency.Store(old + (int64(time.Since(began))-old)/50)
	t.sent.Add(1)
	if resp.StatusCode != http.StatusOK || broken != nil {
		t.failed.Add(1)
		return
	}
	id := resp.Header.Get("X-Sluice-Id")
	if id == "" {
		return
	}
	for _, f := range j.learn(answer) {
		select {
		case t.outcomes <- outcome{due: time.Now().Add(j.delay), ID: id, Metric: f.metric, Value: f.value}:
		default: // the application that tells outcomes is as lossy as a real one
		}
	}
}

// tell sends outcomes that are due, many at once.
func (t *traffic) tell(ctx context.Context) {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	var waiting []outcome
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-t.outcomes:
			waiting = append(waiting, o)
		case now := <-ticker.C:
			var due []outcome
			rest := waiting[:0]
			for _, o := range waiting {
				if now.After(o.due) {
					due = append(due, o)
				} else {
					rest = append(rest, o)
				}
			}
			waiting = rest
			t.post(ctx, due)
		}
	}
}

// maxLines is how many outcomes go into one call.
const maxLines = 500

func (t *traffic) post(ctx context.Context, due []outcome) {
	for len(due) > 0 {
		n := min(len(due), maxLines)
		var body bytes.Buffer
		enc := json.NewEncoder(&body)
		for _, o := range due[:n] {
			if err := enc.Encode(o); err != nil {
				return
			}
		}
		if t.postLines(ctx, &body) {
			t.told.Add(int64(n))
		}
		due = due[n:]
	}
}

// postLines says whether the feedback is safe. What is refused for good is not sent again.
func (t *traffic) postLines(ctx context.Context, body *bytes.Buffer) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.gateway+"/-/sluice/feedback", body)
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := t.client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode < 300
}
