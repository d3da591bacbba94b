package suite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"sluice.dev/sluice/internal/release"
)

// Bounds of a load.
const (
	maxLoadDuration    = 10 * time.Minute
	maxWarmUp          = time.Minute
	minLoadRate        = 1
	maxLoadRate        = 10_000
	maxLoadRequests    = 1_000_000
	defaultLoadWorkers = 256
	maxLoadWorkers     = 4096
	maxPrepared        = 10_000 // different requests of one load
)

// loadRun is what a load showed.
type loadRun struct {
	latencies []time.Duration // sorted
	good      int
	errors    map[string]int // by what went wrong
	span      time.Duration  // from the first start to the last end
	planned   int
	peak      int // requests under way at once
	late      bool
}

// load runs a performance case; the live version, if it is compared with, has the same load at the same time.
func (r *runner) load(ctx context.Context, c *performanceCase) []Result {
	messages, err := r.prepare(c)
	if err != nil {
		return []Result{c.result(Failed, err.Error())}
	}
	r.progress(Progress{Family: c.family, Case: c.name, Detail: fmt.Sprintf("%s for %s", c.spec.Rate, release.Duration(c.warmUp+c.duration))})
	compare := c.spec.AgainstLive != nil && r.live != nil
	liveDone := make(chan loadRun, 1)
	if compare {
		go func() { liveDone <- attack(ctx, r.live, c, messages) }()
	}
	mine := attack(ctx, r.target, c, messages)
	results := []Result{c.judge(&mine)}
	switch {
	case compare:
		theirs := <-liveDone
		results = append(results, c.compare(&mine, &theirs))
	case c.spec.AgainstLive != nil:
		skipped := c.result(Skipped, "no live version was given to compare with")
		skipped.Name += ": against live"
		results = append(results, skipped)
	}
	return results
}

// prepare renders the requests of a load, in an order that the seed gives.
func (r *runner) prepare(c *performanceCase) ([]message, error) {
	if c.table == nil {
		m, err := c.request.render(nil, r.secrets)
		return []message{m}, err
	}
	seed := orSeed(c.seed, r.seed)
	rows := slices.Clone(c.table.sample(maxPrepared, seed))
	const stream = 0x6c6f6164 // any constant: the second half of the generator's state
	rand.New(rand.NewPCG(seed, stream)).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	out := make([]message, len(rows))
	for i := range rows {
		var err error
		if out[i], err = c.request.render(&rows[i], r.secrets); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// attack sends the load and waits for its end; requests begun in the warm-up are not counted.
func attack(ctx context.Context, to *client, c *performanceCase, messages []message) loadRun {
	h := *to.http
	h.Timeout = c.timeout
	if t, ok := h.Transport.(*http.Transport); ok {
		t = t.Clone()
		t.MaxIdleConns, t.MaxIdleConnsPerHost = c.workers, c.workers
		h.Transport = t
		defer t.CloseIdleConnections()
	}
	h.Transport = unmarked{h.Transport}
	// Nothing of an answer's body is kept.
	a := vegeta.NewAttacker(vegeta.Client(&h), vegeta.MaxBody(0), vegeta.MaxWorkers(uint64(c.workers)))
	stop := context.AfterFunc(ctx, func() { a.Stop() })
	defer stop()
	var next atomic.Uint64
	targeter := func(t *vegeta.Target) error {
		m := messages[(next.Add(1)-1)%uint64(len(messages))]
		t.Method, t.URL, t.Body = m.method, to.url(m.path), m.body
		t.Header = m.header.Clone()
		for name, v := range to.header {
			t.Header[name] = v
		}
		if t.Header.Get("User-Agent") == "" {
			t.Header.Set("User-Agent", "sluice-suite")
		}
		return nil
	}
	pace, warm := c.pace()
	run := loadRun{errors: map[string]int{}, planned: int(pace.total - warm)}
	var events []event
	first, last := time.Time{}, time.Time{}
	for res := range a.Attack(targeter, pace, 0, "") {
		if res.Seq < warm {
			continue
		}
		run.latencies = append(run.latencies, res.Latency)
		events = append(events, event{res.Timestamp, 1}, event{res.End(), -1})
		if first.IsZero() || res.Timestamp.Before(first) {
			first = res.Timestamp
		}
		if res.End().After(last) {
			last = res.End()
		}
		if fault := loadFault(res, c.timeout); fault != "" {
			run.errors[fault]++
		} else {
			run.good++
		}
	}
	slices.Sort(run.latencies)
	run.span, run.peak = last.Sub(first), peak(events)
	run.late = ctx.Err() != nil
	return run
}

// pacer starts a request at each tick of a constant rate until all are started. One that is late, because the
// machine was busy, is made up for; what is not started by the limit is given up.
type pacer struct {
	vegeta.ConstantPacer
	total uint64
	limit time.Duration
}

// Pace implements vegeta.Pacer.
func (p pacer) Pace(elapsed time.Duration, hits uint64) (wait time.Duration, stop bool) {
	if hits >= p.total || elapsed > p.limit {
		return 0, true
	}
	return p.ConstantPacer.Pace(elapsed, hits)
}

// pace is the pace of the load, and how many of its requests are the warm-up.
func (c *performanceCase) pace() (p pacer, warm uint64) {
	const exact = 1000 // the pacer takes whole requests per span; over 1,000 s a rate is exact to 0.001/s
	rate := c.spec.Rate.PerSecond()
	warm = uint64(rate * c.warmUp.Seconds())
	span := c.warmUp + c.duration
	return pacer{
		ConstantPacer: vegeta.ConstantPacer{Freq: int(math.Round(rate * exact)), Per: exact * time.Second},
		total:         warm + max(1, uint64(math.Round(rate*c.duration.Seconds()))),
		limit:         span + max(span/2, 2*time.Second),
	}, warm
}

// unmarked takes out the header by which the load generator numbers its requests: a version under test
// should see what clients send and nothing else.
type unmarked struct{ http.RoundTripper }

func (u unmarked) RoundTrip(r *http.Request) (*http.Response, error) {
	plain := *r
	plain.Header = r.Header.Clone()
	plain.Header.Del("X-Vegeta-Seq")
	return u.RoundTripper.RoundTrip(&plain)
}

// loadFault says what is wrong with an answer of a load, "" if nothing. Only 2xx is right.
func loadFault(res *vegeta.Result, timeout time.Duration) string {
	switch {
	case res.Code == 0 && res.Latency >= timeout:
		return "no answer within " + round(timeout)
	case res.Code == 0:
		return clean(inWords(errors.New(lastPart(res.Error)), timeout).Error(), 120)
	case res.Code < 200 || res.Code > 299:
		return "status " + strconv.Itoa(int(res.Code))
	case res.Error != "":
		return "the answer was cut short"
	}
	return ""
}

// lastPart drops the address from an error's text: Post "http://...": dial tcp: connection refused.
func lastPart(s string) string {
	if _, after, ok := strings.Cut(s, `": `); ok {
		return after
	}
	return s
}

// event is a request that begins (1) or ends (-1).
type event struct {
	at    time.Time
	delta int
}

// peak is the most requests under way at once.
func peak(events []event) int {
	slices.SortFunc(events, func(a, b event) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.delta, b.delta)) })
	now, most := 0, 0
	for _, e := range events {
		now += e.delta
		most = max(most, now)
	}
	return most
}

// quantile is the p-quantile by nearest rank.
func quantile(sorted []time.Duration, p float64) time.Duration {
	at := int(math.Ceil(p*float64(len(sorted)))) - 1
	return sorted[max(0, min(at, len(sorted)-1))]
}

// quantileBounds are order statistics between which the p-quantile lies, each side with confidence 1 - alpha:
// the ranks of the normal approximation of the binomial, one wider.
func quantileBounds(sorted []time.Duration, p, alpha float64) (lo, hi time.Duration) {
	n := float64(len(sorted))
	half := z(alpha) * math.Sqrt(n*p*(1-p))
	low, high := int(math.Floor(n*p-half))-1, int(math.Ceil(n*p+half))
	lo, hi = 0, time.Duration(math.MaxInt64)
	if low >= 0 {
		lo = sorted[low]
	}
	if high < len(sorted) {
		hi = sorted[high]
	}
	return lo, hi
}

// write puts the load's numbers into a result.
func (l *loadRun) write(numbers map[string]float64) {
	numbers["requests"] = float64(len(l.latencies))
	numbers["good"] = float64(l.good)
	numbers["peakConcurrent"] = float64(l.peak)
	if len(l.latencies) == 0 {
		return
	}
	numbers["p50Seconds"] = seconds(quantile(l.latencies, 0.5))
	numbers["p95Seconds"] = seconds(quantile(l.latencies, 0.95))
	numbers["p99Seconds"] = seconds(quantile(l.latencies, 0.99))
	numbers["maxSeconds"] = seconds(l.latencies[len(l.latencies)-1])
	numbers["throughput"] = l.throughput()
	numbers["errorShare"] = l.errorShare()
}

func (l *loadRun) throughput() float64 {
	return math.Round(float64(l.good)/max(l.span, time.Millisecond).Seconds()*100) / 100
}

func (l *loadRun) errorShare() float64 { return 1 - float64(l.good)/float64(len(l.latencies)) }

// judge compares a load with its limits.
func (c *performanceCase) judge(l *loadRun) Result {
	r := c.result(Passed, "")
	l.write(r.Numbers)
	if l.late || len(l.latencies) == 0 {
		r.Status, r.Message = Failed, "the deadline of the suite passed during the load"
		return r
	}
	var broken []string
	limits := c.spec.Limits
	for _, q := range []struct {
		name  string
		got   time.Duration
		limit release.Duration
	}{
		{"p50", quantile(l.latencies, 0.5), limits.P50},
		{"p95", quantile(l.latencies, 0.95), limits.P95},
		{"p99", quantile(l.latencies, 0.99), limits.P99},
		{"max", l.latencies[len(l.latencies)-1], limits.Max},
	} {
		if q.limit > 0 && q.got > q.limit.Std() {
			broken = append(broken, fmt.Sprintf("%s %s, at most %s allowed", q.name, round(q.got), q.limit))
		}
	}
	if share := l.errorShare(); share > c.errors+1e-9 {
		broken = append(broken, fmt.Sprintf("%d of %d requests failed (%s), at most %s allowed: %s",
			len(l.latencies)-l.good, len(l.latencies), percent(share), percent(c.errors), errorList(l.errors)))
	}
	if want := limits.Throughput; want > 0 && l.throughput() < want.PerSecond() {
		broken = append(broken, fmt.Sprintf("%.1f good answers per second, at least %s asked", l.throughput(), want))
	}
	sent := len(l.latencies)
	short := float64(sent) < 0.9*float64(l.planned)
	if short && l.peak >= c.workers {
		broken = append(broken, fmt.Sprintf("only %d of %d requests could be sent: %d were waiting for answers all at once", sent, l.planned, c.workers))
	}
	text := fmt.Sprintf("%d requests at %s: p50 %s, p95 %s, p99 %s, max %s, %.1f good answers per second", sent, c.spec.Rate,
		round(quantile(l.latencies, 0.5)), round(quantile(l.latencies, 0.95)), round(quantile(l.latencies, 0.99)),
		round(l.latencies[sent-1]), l.throughput())
	switch {
	case len(broken) > 0:
		r.Status, r.Message = Failed, clean(strings.Join(broken, "; "), 500)
		r.note(text)
	case short:
		r.Status = Undecided
		r.Message = fmt.Sprintf("this machine sent only %d of %d requests in time, which can't tell; run the suite on a less busy one", sent, l.planned)
	default:
		r.Message = text
	}
	return r
}

// errorList names the kinds of errors, most frequent first.
func errorList(errs map[string]int) string {
	names := make([]string, 0, len(errs))
	for name := range errs {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(errs[b], errs[a]), cmp.Compare(a, b)) })
	for i, name := range names {
		names[i] = fmt.Sprintf("%d x %s", errs[name], name)
	}
	if len(names) > 3 {
		names = append(names[:3], "...")
	}
	return strings.Join(names, ", ")
}

// compare judges AgainstLive: slower is shown when the lowest that the candidate's quantile can be is above
// the factor times the highest that live's can be, no slower when its highest is below the factor times
// live's lowest. Either side holds at 97.5 %, so both together at 95 %.
func (c *performanceCase) compare(mine, theirs *loadRun) Result {
	r := c.result(Passed, "")
	r.Name += ": against live"
	if mine.late || theirs.late || len(mine.latencies) == 0 || len(theirs.latencies) == 0 {
		r.Status, r.Message = Undecided, "there are no latencies to compare"
		return r
	}
	if theirs.errorShare() > 0.5 {
		r.Status, r.Message = Undecided, "live failed most of its requests: "+errorList(theirs.errors)
		return r
	}
	var words []string
	for _, q := range []struct {
		name  string
		p     float64
		limit release.Margin
	}{{"p50", 0.5, c.spec.AgainstLive.P50}, {"p95", 0.95, c.spec.AgainstLive.P95}} {
		if q.limit.IsZero() {
			continue
		}
		const alpha = 0.025
		lo, hi := quantileBounds(mine.latencies, q.p, alpha)
		liveLo, liveHi := quantileBounds(theirs.latencies, q.p, alpha)
		a, b := quantile(mine.latencies, q.p), quantile(theirs.latencies, q.p)
		r.Numbers[q.name+"Seconds"], r.Numbers[q.name+"LiveSeconds"] = seconds(a), seconds(b)
		text := fmt.Sprintf("%s %s against live's %s, at most %s allowed", q.name, round(a), round(b), q.limit)
		f := q.limit.Value
		switch {
		case float64(lo) > f*float64(liveHi):
			r.Status = Failed
		case float64(hi) <= f*float64(liveLo):
		default:
			if r.Status == Passed {
				r.Status = Undecided
			}
			text += fmt.Sprintf(": %d requests can't tell", len(mine.latencies))
		}
		words = append(words, text)
	}
	r.Message = strings.Join(words, "; ")
	return r
}
