package suite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/gjson"
)

// outcome is what came of one row, or of the one request of a case without data.
type outcome struct {
	row     *row
	asked   []byte // the request's body, kept for the judge only
	faults  []string
	broken  bool // no whole answer, or not the expected status
	retried int
	latency time.Duration
	body    []byte // kept for gates only, until they took what they need
	live    []byte // the live version's answer, nil if there is none
	liveErr string
}

// ask runs a functional case and its gates.
func (r *runner) ask(ctx context.Context, c *functionalCase) []Result {
	rows := []row{{}}
	var outs []outcome
	if c.table != nil {
		rows = c.table.sample(c.rows, orSeed(c.seed, r.seed))
	}
	outs = r.rows(ctx, c, rows)
	results := []Result{c.summarise(outs)}
	for _, g := range c.gates {
		var opinions []opinion
		if g.consults() && (r.live != nil || g.Metric == Judged) {
			opinions = r.consult(ctx, g, outs)
		}
		results = append(results, g.judge(outs, opinions, r.live != nil)...)
	}
	return results
}

func orSeed(own, run uint64) uint64 {
	if own != 0 {
		return own
	}
	return run
}

// rows sends the requests of all rows, several at once.
func (r *runner) rows(ctx context.Context, c *functionalCase, rows []row) []outcome {
	outs := make([]outcome, len(rows))
	withLive := false
	for _, g := range c.gates {
		withLive = withLive || r.live != nil && g.paired()
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for i := range rows {
		leave, err := r.slot(ctx)
		if err != nil {
			outs[i] = outcome{row: &rows[i], broken: true, faults: []string{"not sent: the deadline of the suite passed"}}
			continue
		}
		wg.Go(func() {
			defer leave()
			outs[i] = r.oneRow(ctx, c, &rows[i], withLive)
			mu.Lock()
			done++
			n := done
			mu.Unlock()
			if len(rows) > 1 && n%max(1, len(rows)/20) == 0 {
				r.progress(Progress{Family: c.family, Case: c.name, Detail: fmt.Sprintf("%d of %d rows", n, len(rows))})
			}
		})
	}
	wg.Wait()
	return outs
}

// oneRow asks the version and, for paired gates, live.
func (r *runner) oneRow(ctx context.Context, c *functionalCase, at *row, withLive bool) outcome {
	given := at
	if c.table == nil {
		given = nil
	}
	m, err := c.request.render(given, r.secrets)
	if err != nil {
		return outcome{row: at, broken: true, faults: []string{err.Error()}}
	}
	var out outcome
	for try := 0; ; try++ {
		out = r.oneTry(ctx, c, r.target.named(m), given)
		out.retried = try
		if len(out.faults) == 0 || try >= c.retries || ctx.Err() != nil {
			break
		}
	}
	out.row = at
	if slices.ContainsFunc(c.gates, func(g *gate) bool { return g.consults() }) {
		out.asked = m.body
	}
	if len(c.gates) == 0 {
		out.body = nil
	}
	if withLive {
		a, err := r.live.send(ctx, r.live.named(m), c.timeout)
		switch {
		case err != nil:
			out.liveErr = err.Error()
		case !c.expect.allows(a.status):
			out.liveErr = fmt.Sprintf("status %d", a.status)
		default:
			out.live = a.body
		}
	}
	return out
}

// oneTry sends the request as often as the case says and judges every answer.
func (r *runner) oneTry(ctx context.Context, c *functionalCase, m message, given *row) outcome {
	var out outcome
	var first *answer
	for range c.repeat {
		a, err := r.target.send(ctx, m, c.timeout)
		if err != nil {
			out.faults, out.broken = []string{sendFault(ctx, err)}, true
			return out
		}
		out.latency = max(out.latency, a.latency)
		if out.faults = c.expect.judge(a, given); len(out.faults) > 0 {
			out.broken = !c.expect.allows(a.status)
			out.body = a.body
			return out
		}
		if first == nil {
			first, out.body = a, a.body
		} else if fault := different(c.same, first, a); fault != "" {
			out.faults = []string{fault}
			return out
		}
	}
	return out
}

// sendFault tells the suite's deadline from a version that hangs.
func sendFault(ctx context.Context, err error) string {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "the deadline of the suite passed while waiting for an answer"
	}
	return err.Error()
}

// different says where two answers to the same request differ, "" if nowhere.
func different(paths []string, a, b *answer) string {
	if a.status != b.status {
		return fmt.Sprintf("the same request was answered %d, then %d", a.status, b.status)
	}
	if len(paths) == 0 && string(a.body) != string(b.body) {
		return "the same request was answered differently: " + clean(string(a.body), 80) + ", then " + clean(string(b.body), 80)
	}
	for _, p := range paths {
		x, y := gjson.GetBytes(a.body, p).Raw, gjson.GetBytes(b.body, p).Raw
		if x != y {
			return fmt.Sprintf("the same request was answered differently: %s is %s, then %s", p, clean(x, 80), clean(y, 80))
		}
	}
	return ""
}

// summarise makes the case's own result of its rows: it fails if one of them did.
func (c *functionalCase) summarise(outs []outcome) Result {
	r := c.result(Passed, "")
	failed, retried := 0, 0
	var slowest time.Duration
	for i := range outs {
		o := &outs[i]
		slowest = max(slowest, o.latency)
		if o.retried > 0 {
			retried++
		}
		if len(o.faults) == 0 {
			continue
		}
		failed++
		text := strings.Join(o.faults, "; ")
		if c.table != nil {
			text = fmt.Sprintf("row %d: %s", o.row.index, text)
		}
		r.note(text)
	}
	r.Numbers["requests"] = float64(len(outs) * c.repeat)
	r.Numbers["failed"] = float64(failed)
	r.Numbers["slowestSeconds"] = seconds(slowest)
	switch {
	case failed > 0 && c.table == nil:
		r.Status, r.Message = Failed, r.Details[0]
	case failed > 0:
		r.Status, r.Message = Failed, fmt.Sprintf("%d of %d rows failed, first %s", failed, len(outs), r.Details[0])
	case c.table == nil:
		r.Message = "answered as expected in " + round(slowest)
	default:
		r.Message = fmt.Sprintf("all %d rows answered as expected, the slowest in %s", len(outs), round(slowest))
	}
	if retried > 0 {
		r.Message += fmt.Sprintf(" (%d needed another attempt)", retried)
	}
	return r
}
