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
	maxRamp            = time.Minute
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

	firstToken []time.Duration // of good answers, sorted
	perToken   []time.Duration // the same, of those with two tokens or more
	tokens     int             // of good answers
}

// load runs a performance case; the live version, if it is compared with, has the same load at the same time.
func (r *runner) load(ctx context.Context, c *performanceCase) []Result {
	messages, err := r.prepare(c)
	if err != nil {
		return []Result{c.result(Failed, err.Error())}
	}
	span := release.Duration(c.ramp + c.warmUp + c.duration)
	tell := func(done, of int, l *loadRun) {
		detail := fmt.Sprintf("%s for %s", c.spec.Rate, span)
		if done > 0 {
			detail = fmt.Sprintf("%d of %d requests at %s, %d failed", done, of, c.spec.Rate, len(l.latencies)-l.good)
		}
		r.progress(Progress{Family: c.family, Case: c.name, Detail: detail})
	}
	tell(0, 0, nil)
	compare := c.spec.AgainstLive != nil && r.live != nil
	liveDone := make(chan loadRun, 1)
	if compare {
		go func() { liveDone <- attack(ctx, r.live, c, messages, r.suite.Spec.Target.Dialect, nil) }()
	}
	mine := attack(ctx, r.target, c, messages, r.suite.Spec.Target.Dialect, tell)
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

// attack sends the load and waits for its end; requests begun in ramp and warm-up are not counted. tell is told now and
// then how far it is.
func attack(ctx context.Context, to *client, c *performanceCase, messages []message, d release.Dialect, tell func(done, of int, l *loadRun)) loadRun {
	h := *to.http
	h.Timeout = c.timeout
	if t, ok := h.Transport.(*http.Transport); ok {
		t = t.Clone()
		t.MaxIdleConns, t.MaxIdleConnsPerHost = c.workers, c.workers
		h.Transport = t
		defer t.CloseIdleConnections()
	}
	seen := &meter{RoundTripper: h.Transport, dialect: d, limit: int(to.maxAnswer), flows: map[string]*flow{}}
	h.Transport = seen
	// Nothing of an answer's body is kept.
	a := vegeta.NewAttacker(vegeta.Client(&h), vegeta.MaxBody(0), vegeta.MaxWorkers(uint64(c.workers)))
	stop := context.AfterFunc(ctx, func() { a.Stop() })
	defer stop()
	own := make([]message, len(messages))
	for i, m := range messages {
		own[i] = to.named(m)
	}
	var next atomic.Uint64
	targeter := func(t *vegeta.Target) error {
		m := own[(next.Add(1)-1)%uint64(len(own))]
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
	done := 0
	for res := range a.Attack(targeter, pace, 0, "") {
		done++
		if step := max(1, int(pace.total)/50); tell != nil && done%step == 0 {
			tell(done, int(pace.total), &run)
		}
		f := seen.of(strconv.FormatUint(res.Seq, 10))
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
		fault := loadFault(res, c.timeout)
		if fault == "" && f != nil {
			fault = f.fault
		}
		if fault != "" {
			run.errors[fault]++
			continue
		}
		run.good++
		run.flow(res, f)
	}
	for _, list := range [][]time.Duration{run.latencies, run.firstToken, run.perToken} {
		slices.Sort(list)
	}
	run.span, run.peak = last.Sub(first), peak(events)
	run.late = ctx.Err() != nil
	return run
}

// flow adds what was seen of a good answer.
func (l *loadRun) flow(res *vegeta.Result, f *flow) {
	if f == nil || f.first.IsZero() {
		return
	}
	l.firstToken = append(l.firstToken, f.first.Sub(res.Timestamp))
	l.tokens += f.tokens
	if d, ok := f.perToken(); ok {
		l.perToken = append(l.perToken, d)
	}
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
	if len(l.firstToken) > 0 {
		numbers["firstTokenP50Seconds"] = seconds(quantile(l.firstToken, 0.5))
		numbers["firstTokenP95Seconds"] = seconds(quantile(l.firstToken, 0.95))
	}
	if len(l.perToken) > 0 {
		numbers["perTokenP50Seconds"] = seconds(quantile(l.perToken, 0.5))
	}
	if l.tokens > 0 {
		numbers["tokens"], numbers["tokensPerSecond"] = float64(l.tokens), l.tokenRate()
	}
}

// tokenRate is the tokens per second of all good answers together.
func (l *loadRun) tokenRate() float64 {
	return math.Round(float64(l.tokens)/max(l.span, time.Millisecond).Seconds()*10) / 10
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
	broken = append(broken, c.flowLimits(l)...)
	sent := len(l.latencies)
	short := float64(sent) < 0.9*float64(l.planned)
	if short && l.peak >= c.workers {
		broken = append(broken, fmt.Sprintf("only %d of %d requests could be sent: %d were waiting for answers all at once", sent, l.planned, c.workers))
	}
	text := fmt.Sprintf("%d requests at %s: p50 %s, p95 %s, p99 %s, max %s, %.1f good answers per second", sent, c.spec.Rate,
		round(quantile(l.latencies, 0.5)), round(quantile(l.latencies, 0.95)), round(quantile(l.latencies, 0.99)),
		round(l.latencies[sent-1]), l.throughput()) + l.flowText()
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

// flowText says in words how answers arrived, if they were streams.
func (l *loadRun) flowText() (text string) {
	if l.tokens == 0 {
		return ""
	}
	if len(l.perToken) > 0 {
		text = fmt.Sprintf("; first token p50 %s, p95 %s", round(quantile(l.firstToken, 0.5)), round(quantile(l.firstToken, 0.95)))
		if d := quantile(l.perToken, 0.5); d > 0 {
			text += fmt.Sprintf("; %.0f tokens/s in an answer (median)", 1/d.Seconds())
		} else {
			text += "; the tokens of most answers came all at once"
		}
	}
	return text + fmt.Sprintf("; %.1f tokens/s in all", l.tokenRate())
}

// flowLimits lists which limits on the arrival of answers were broken. A limit on what was not seen is broken: nothing
// shows that it holds.
func (c *performanceCase) flowLimits(l *loadRun) (broken []string) {
	limits := c.spec.Limits
	if want := limits.FirstToken; want > 0 {
		if len(l.firstToken) == 0 {
			broken = append(broken, "no answer had a first token")
		} else if got := quantile(l.firstToken, 0.95); got > want.Std() {
			broken = append(broken, fmt.Sprintf("first token p95 %s, at most %s allowed", round(got), want))
		}
	}
	if want := limits.PerToken; want > 0 {
		if len(l.perToken) == 0 {
			broken = append(broken, "no answer was a stream of two tokens or more")
		} else if got := quantile(l.perToken, 0.5); got > want.Std() {
			broken = append(broken, fmt.Sprintf("%s per token (median), at most %s allowed", round(got), want))
		}
	}
	if want := limits.Tokens; want > 0 && l.tokenRate() < want.PerSecond() {
		broken = append(broken, fmt.Sprintf("%.1f tokens per second, at least %s asked", l.tokenRate(), want))
	}
	return broken
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

// compare judges AgainstLive: slower is shown when the lowest that the ratio of the quantiles can be is above the
// factor, no slower when its highest is not. The ratio's bounds are the candidate's bound over live's other bound, each
// at 97.5 %, so that either side of the ratio holds at 95 %.
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
	limits := c.spec.AgainstLive
	for _, q := range []struct {
		name         string
		p            float64
		limit        release.Margin
		mine, theirs []time.Duration
	}{
		{"p50", 0.5, limits.P50, mine.latencies, theirs.latencies},
		{"p95", 0.95, limits.P95, mine.latencies, theirs.latencies},
		{"firstTokenP95", 0.95, limits.FirstToken, mine.firstToken, theirs.firstToken},
		{"perTokenP50", 0.5, limits.PerToken, mine.perToken, theirs.perToken},
	} {
		if q.limit.IsZero() {
			continue
		}
		text, status := compareQuantile(r.Numbers, q.name, q.p, q.limit, q.mine, q.theirs)
		if status == Failed || status == Undecided && r.Status == Passed {
			r.Status = status
		}
		words = append(words, text)
	}
	r.Message = strings.Join(words, "; ")
	return r
}

// compareQuantile compares one quantile; it writes what it finds to numbers.
func compareQuantile(numbers map[string]float64, name string, p float64, limit release.Margin, mine, theirs []time.Duration) (string, Status) {
	if len(mine) == 0 || len(theirs) == 0 {
		return name + ": there is nothing to compare", Undecided
	}
	const alpha = 0.025
	lo, hi := quantileBounds(mine, p, alpha)
	liveLo, liveHi := quantileBounds(theirs, p, alpha)
	a, b := quantile(mine, p), quantile(theirs, p)
	numbers[name+"Seconds"], numbers[name+"LiveSeconds"] = seconds(a), seconds(b)
	low, high := float64(lo)/max(float64(liveHi), 1), math.Inf(1)
	if hi < math.MaxInt64 && liveLo > 0 {
		high = float64(hi) / float64(liveLo)
	}
	bound := "without an upper bound"
	numbers[name+"Ratio"], numbers[name+"RatioLower"] = float64(a)/max(float64(b), 1), low
	if !math.IsInf(high, 1) {
		numbers[name+"RatioUpper"] = high
		bound = fmt.Sprintf("%.2f", high)
	}
	text := fmt.Sprintf("%s %s against live's %s, %.2f times (at 95 %% between %.2f and %s), at most %s allowed",
		name, round(a), round(b), float64(a)/max(float64(b), 1), low, bound, limit)
	switch f := limit.Value; {
	case low > f:
		return text, Failed
	case high <= f:
		return text, Passed
	}
	return text + fmt.Sprintf(": %d requests can't tell", len(mine)), Undecided
}
