package suite

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"sluice.dev/sluice/internal/release"
)

// Options say against what a suite runs. Only BaseURL is needed.
type Options struct {
	BaseURL     string            // of the version under test; the paths of the suite are added to it
	LiveURL     string            // of the live version, for comparisons; "" skips them
	Headers     map[string]string // added to each request to BaseURL; they replace the suite's own of the same name
	LiveHeaders map[string]string // the same for LiveURL
	Model       string            // if set, put in place of the model that bodies to BaseURL name, as the gateway does
	LiveModel   string            // the same for LiveURL
	HTTPClient  *http.Client      // its transport is used; default http.DefaultTransport
	Seed        uint64            // of samples; 0: the suite's own
	Tags        []string          // if set, only cases that have one of them

	// Secret resolves headers that are env:NAME or file:PATH; default: from this process's environment and
	// files.
	Secret func(release.Secret) (string, error)

	// Progress is told when a case begins, moves on and ends; calls do not overlap and must not block.
	Progress func(Progress)
}

// Progress is where a run stands.
type Progress struct {
	Family Family
	Case   string
	Done   int // cases of the file that are done
	Total  int
	Detail string  // like "40 of 80 rows"
	Result *Result // set when a result is there
}

// Run runs a suite and reports. An error means that nothing can be said: the options or secrets are wrong,
// or ctx ended. A version that can't be reached is no error but fails its cases. The suite may be shared.
func Run(ctx context.Context, s *Suite, o Options) (*Report, error) {
	r, err := newRunner(s, o)
	if err != nil {
		return nil, err
	}
	defer r.close()
	limit := cmp.Or(s.Spec.Deadline.Std(), defaultDeadline)
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	r.report.Started = began.UTC()
	r.all(ctx)
	r.report.Seconds = seconds(time.Since(began))
	if err := caller.Err(); err != nil {
		return nil, release.Unavailable("run suite "+s.Name, err, "it was stopped before its end")
	}
	return r.report, nil
}

// runner is one run.
type runner struct {
	suite    *Suite
	o        Options
	seed     uint64
	secrets  secrets
	target   *client
	live     *client // nil without LiveURL
	judge    *judge  // nil if no gate asks it
	slots    chan struct{}
	down     error // why nothing reaches the target
	total    int
	report   *Report
	mu       sync.Mutex // guards calls of Progress and done
	done     int
	deadline time.Duration
}

func newRunner(s *Suite, o Options) (*runner, error) {
	if s == nil || s.Cases() == 0 {
		return nil, release.Invalid("run suite", "it has no case").Fix("load it by Load or Unbundle")
	}
	r := &runner{
		suite: s, o: o, secrets: secrets{},
		seed:     cmp.Or(o.Seed, uint64(s.Spec.Seed), 1),
		slots:    make(chan struct{}, cmp.Or(s.Spec.Parallel, defaultParallel)),
		deadline: cmp.Or(s.Spec.Deadline.Std(), defaultDeadline),
	}
	limit := int64(cmp.Or(s.Spec.Target.MaxAnswer, defaultMaxAnswer))
	var err error
	if r.target, err = newClient(o.BaseURL, o.Headers, o.HTTPClient, limit); err != nil {
		return nil, err
	}
	r.target.model = o.Model
	r.report = &Report{Suite: s.Name, Target: r.target.base.Redacted(), Seed: r.seed, Results: []Result{}}
	if o.LiveURL != "" {
		if r.live, err = newClient(o.LiveURL, o.LiveHeaders, o.HTTPClient, limit); err != nil {
			return nil, err
		}
		r.live.model = o.LiveModel
		r.report.Live = r.live.base.Redacted()
	}
	return r, r.resolve()
}

func (r *runner) close() {
	r.target.close()
	if r.live != nil {
		r.live.close()
	}
	if r.judge != nil {
		r.judge.client.close()
	}
}

// resolve reads the secrets of all requests once.
func (r *runner) resolve() error {
	get := r.o.Secret
	if get == nil {
		get = resolveSecret
	}
	var plans []*requestPlan
	for _, c := range r.suite.functional {
		plans = append(plans, c.request)
	}
	for _, c := range r.suite.performance {
		plans = append(plans, c.request)
	}
	for _, c := range r.suite.exceptions {
		plans = append(plans, c.request)
	}
	for _, p := range plans {
		for _, h := range p.headers {
			if _, known := r.secrets[h.secret]; known || h.secret == "" {
				continue
			}
			v, err := get(h.secret)
			if err != nil {
				return err
			}
			r.secrets[h.secret] = v
		}
	}
	if r.suite.Spec.Judge == nil {
		return nil
	}
	var err error
	r.judge, err = newJudge(r.suite.Spec.Judge, r.o.HTTPClient, get)
	return err
}

// wanted says whether a case has one of the asked tags.
func (r *runner) wanted(h *head) bool {
	return len(r.o.Tags) == 0 || slices.ContainsFunc(h.tags, func(t string) bool { return slices.Contains(r.o.Tags, t) })
}

// all runs the families one after another, so that load disturbs no other case.
func (r *runner) all(ctx context.Context) {
	var functional []*functionalCase
	for _, c := range r.suite.functional {
		if r.wanted(&c.head) {
			functional = append(functional, c)
		}
	}
	r.total = len(functional)
	for _, c := range r.suite.performance {
		if r.wanted(&c.head) {
			r.total++
		}
	}
	for _, c := range r.suite.exceptions {
		if r.wanted(&c.head) {
			r.total++
		}
	}
	r.down = r.reach(ctx)
	r.functional(ctx, functional)
	for _, c := range r.suite.performance {
		if r.wanted(&c.head) {
			r.add(r.oneCase(ctx, &c.head, func(ctx context.Context) []Result { return r.load(ctx, c) }))
		}
	}
	for _, c := range r.suite.exceptions {
		if r.wanted(&c.head) {
			r.add(r.oneCase(ctx, &c.head, func(ctx context.Context) []Result { return r.exception(ctx, c) }))
		}
	}
}

// reach opens a connection once, so that a version that is not there fails all cases at once and in words.
// A transport of the caller's own, or one with a proxy, is not second-guessed.
func (r *runner) reach(ctx context.Context) error {
	t, ok := r.target.http.Transport.(*http.Transport)
	if !ok {
		return nil
	}
	at := r.target.base
	if t.Proxy != nil {
		if proxy, err := t.Proxy(&http.Request{URL: at}); proxy != nil || err != nil {
			return nil // the requests will meet the same error and tell it
		}
	}
	dial := t.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	timeout := cmp.Or(r.suite.Spec.Target.Timeout.Std(), defaultTimeout)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	port := firstOf(at.Port(), map[string]string{"http": "80", "https": "443"}[at.Scheme])
	conn, err := dial(ctx, "tcp", net.JoinHostPort(at.Hostname(), port))
	if err != nil {
		return inWords(err, timeout)
	}
	return conn.Close()
}

// functional runs cases side by side, bounded by the slots that their requests take, and lists their
// results in the order of the file.
func (r *runner) functional(ctx context.Context, cases []*functionalCase) {
	results := make([][]Result, len(cases))
	turns := make(chan struct{}, cap(r.slots))
	var wg sync.WaitGroup
	for i, c := range cases {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			results[i] = r.oneCase(ctx, &c.head, func(ctx context.Context) []Result { return r.ask(ctx, c) })
		})
	}
	wg.Wait()
	for _, list := range results {
		r.add(list)
	}
}

func (r *runner) add(results []Result) { r.report.Results = append(r.report.Results, results...) }

// oneCase runs a case unless that makes no sense any more, and tells its progress.
func (r *runner) oneCase(ctx context.Context, h *head, run func(context.Context) []Result) []Result {
	r.progress(Progress{Family: h.family, Case: h.name})
	began := time.Now()
	var results []Result
	switch {
	case r.down != nil:
		results = []Result{h.result(Failed, "not run: the version can't be reached: "+r.down.Error())}
	case ctx.Err() != nil:
		results = []Result{h.result(Failed, "not run: the suite's deadline of "+release.Duration(r.deadline).String()+" passed before")}
	default:
		results = run(ctx)
	}
	if len(results) > 0 && results[0].Seconds == 0 {
		results[0].Seconds = seconds(time.Since(began))
	}
	r.mu.Lock()
	r.done++
	r.mu.Unlock()
	for i := range results {
		r.progress(Progress{Family: h.family, Case: h.name, Result: &results[i]})
	}
	return results
}

func (r *runner) progress(p Progress) {
	if r.o.Progress == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p.Done, p.Total = r.done, r.total
	r.o.Progress(p)
}

// result begins the result of a case.
func (h *head) result(s Status, message string) Result {
	return Result{
		Family: h.family, Name: h.name, Required: h.required, Tags: h.tags,
		Status: s, Message: clean(message, 500), Numbers: map[string]float64{},
	}
}

// slot waits for a turn to send.
func (r *runner) slot(ctx context.Context) (release func(), err error) {
	select {
	case r.slots <- struct{}{}:
		return func() { <-r.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func seconds(d time.Duration) float64 { return d.Round(time.Microsecond).Seconds() }
