package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"sluice.dev/sluice/internal/release"
)

// Trouble is a part of the battery.
type Trouble string

// The parts. Those that must be refused by 4xx are marked *; the others may be taken (2xx) too.
const (
	TroubleEmpty      Trouble = "empty"              // * no body
	TroubleTruncated  Trouble = "truncated"          // * the body cut at several places
	TroubleNotJSON    Trouble = "notJson"            // * other text, and JSON of another shape
	TroubleMistyped   Trouble = "mistyped"           // * one value at a time of a wrong type
	TroubleMissing    Trouble = "missing"            // one member at a time left out or null
	TroubleUnknown    Trouble = "unknownFields"      // members that nobody asked for
	TroubleOversized  Trouble = "oversized"          // a huge text; closing the connection early is a refusal
	TroubleNested     Trouble = "nested"             // 100,000 brackets
	TroubleMedia      Trouble = "wrongContentType"   // the sound body under another media type
	TroubleEncoding   Trouble = "wrongEncoding"      // UTF-16, broken UTF-8, a false Content-Encoding
	TroubleNumbers    Trouble = "boundaryNumbers"    // one number at a time at and beyond its bounds
	TroubleInjection  Trouble = "injection"          // texts that attack databases, shells, templates, pages
	TroubleMethods    Trouble = "methods"            // other methods
	TroubleHeaders    Trouble = "headers"            // large and odd headers
	TroubleQuery      Trouble = "query"              // odd values of the query's parameters
	TroubleSchema     Trouble = "schema"             // * what the schema forbids, one rule at a time
	TroubleCorrupted  Trouble = "corrupted"          // a body that is not JSON, damaged
	TroubleParameters Trouble = "parameters"         // * openai and anthropic: parameters of a wrong type or out of bounds
	TroubleMessages   Trouble = "messages"           // openai and anthropic: empty, odd and very many messages; * those that are none
	TroubleTensors    Trouble = "tensors"            // * oip: shapes, types and data that do not fit each other
	TroubleStreamGone Trouble = "streamGone"         // openai and anthropic: clients that leave in the middle of a stream
	TroubleSlow       Trouble = "slowClient"         // a body that arrives in drops, while others are served
	TroubleGone       Trouble = "clientGone"         // clients that hang up
	TroubleBurst      Trouble = "burst"              // many connections at once; 429, and 503 with Retry-After, are in order
	TroubleDuplicates Trouble = "concurrentRequests" // the same request many times at once
)

// troubles lists the parts in the order in which they run.
func troubles() []Trouble {
	return []Trouble{
		TroubleEmpty, TroubleTruncated, TroubleNotJSON, TroubleMistyped, TroubleMissing, TroubleUnknown, TroubleOversized, TroubleNested,
		TroubleMedia, TroubleEncoding, TroubleNumbers, TroubleInjection, TroubleMethods, TroubleHeaders,
		TroubleQuery, TroubleSchema, TroubleCorrupted, TroubleParameters, TroubleMessages, TroubleTensors, TroubleStreamGone, TroubleSlow, TroubleGone, TroubleBurst, TroubleDuplicates,
	}
}

// Values implements release.Enum.
func (Trouble) Values() []string {
	list := troubles()
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = string(t)
	}
	return out
}

// attempt is one request of a part and what may come of it.
type attempt struct {
	what   string // in words
	m      message
	refuse bool // only 4xx is right; else 2xx too
	cut    bool // closing the connection is a refusal too
	mute   bool // its clients leave: there is no answer to judge, only the version's health afterwards
	marks  []string
	send   func(ctx context.Context, c *client) (*answer, error) // default: m as it is
}

// exception runs a battery or a case of one's own.
func (r *runner) exception(ctx context.Context, c *exceptionCase) []Result {
	m, err := c.request.render(nil, r.secrets)
	if err != nil {
		return []Result{c.result(Failed, err.Error())}
	}
	b := &battery{runner: r, c: c, sample: r.target.named(m), to: r.target.fresh(), dialect: r.suite.Spec.Target.Dialect}
	b.isJSON = b.dialect != release.DialectRaw && !c.foreign
	defer b.to.close()
	if len(c.parts) == 0 {
		return []Result{b.own(ctx)}
	}
	return b.all(ctx)
}

// battery is one battery against one version. Each request has a connection of its own, so that a closed one
// can only mean the version.
type battery struct {
	runner  *runner
	c       *exceptionCase
	sample  message
	to      *client
	isJSON  bool // answers of 2xx must be JSON, or a stream where the dialect has some
	dialect release.Dialect
	value   any  // the sample's body as JSON, with shaped
	shaped  bool // the sample's body is JSON
}

// own runs a case of the user's own: its expectation, and the version's health after it.
func (b *battery) own(ctx context.Context) Result {
	r := b.c.result(Passed, "")
	began := time.Now()
	a, err := b.to.send(ctx, b.sample, b.c.timeout)
	switch {
	case err != nil:
		r.Status, r.Message = Failed, sendFault(ctx, err)
	default:
		if faults := b.c.expect.judge(a, nil); len(faults) > 0 {
			r.Status, r.Message = Failed, clean(strings.Join(faults, "; "), 500)
		} else {
			r.Message = fmt.Sprintf("answered %d, as expected", a.status)
		}
	}
	if err := b.alive(ctx); err != nil && r.Status == Failed {
		r.Message = clean(r.Message, 300) + "; and afterwards " + err.Error()
	} else if err != nil {
		r.Status, r.Message = Failed, "afterwards "+err.Error()
	}
	r.Seconds = seconds(time.Since(began))
	return r
}

// all runs the parts one after another; each ends with the question whether the version is still healthy.
func (b *battery) all(ctx context.Context) []Result {
	if v, err := decodeJSON(b.sample.body); err == nil && len(b.sample.body) > 0 {
		b.value, b.shaped = v, true
	}
	var results []Result
	if err := b.sound(ctx); err != nil {
		r := b.c.result(Failed, "the battery shows nothing, as the sound request fails already: "+err.Error())
		return []Result{r}
	}
	for i, part := range b.c.parts {
		b.runner.progress(Progress{Family: b.c.family, Case: b.c.name, Detail: fmt.Sprintf("%s, %d of %d", part, i+1, len(b.c.parts))})
		results = append(results, b.part(ctx, part))
	}
	return results
}

// sound sends the sample, which must be answered by 2xx and as the battery's expectation says.
func (b *battery) sound(ctx context.Context) error {
	a, err := b.to.send(ctx, b.sample, b.c.timeout)
	if err != nil {
		return errors.New(sendFault(ctx, err))
	}
	if fault := b.taken(a); fault != "" {
		return errors.New(fault)
	}
	if !ok2xx.has(a.status) {
		return fmt.Errorf("status %d%s", a.status, a.quote())
	}
	return nil
}

func (s statusRange) has(status int) bool { return status >= s.lo && status <= s.hi }

// alive says whether the version still answers its sample soundly.
func (b *battery) alive(ctx context.Context) error {
	if len(b.c.parts) > 0 {
		if err := b.sound(ctx); err != nil {
			return fmt.Errorf("the version is no longer healthy: %w", err)
		}
		return nil
	}
	// A case of one's own has no sound request; that the version answers at all must do.
	if _, err := b.to.send(ctx, b.sample, b.c.timeout); err != nil && !errors.Is(err, errTooLong) {
		return fmt.Errorf("the version no longer answers: %s", sendFault(ctx, err))
	}
	return nil
}

// part runs one part. Its attempts are sent a few at a time and stop at the first that hangs or finds nobody.
func (b *battery) part(ctx context.Context, part Trouble) (r Result) {
	r = b.c.result(Passed, "")
	r.Name += ": " + string(part)
	began := time.Now()
	defer func() { r.Seconds = seconds(time.Since(began)) }()
	attempts := b.attempts(part)
	if len(attempts) == 0 {
		r.Status, r.Message = Skipped, "the sample has nothing that this could be made from"
		return r
	}
	faults, refused, taken := b.sendAll(ctx, attempts)
	r.Numbers["requests"] = float64(len(attempts))
	r.Numbers["refused"], r.Numbers["taken"], r.Numbers["failed"] = float64(refused), float64(taken), float64(len(faults))
	for _, f := range faults {
		r.note(f)
	}
	health := b.alive(ctx)
	switch {
	case len(faults) > 0:
		r.Status, r.Message = Failed, clean(fmt.Sprintf("%d of %s went wrong, first: %s", len(faults), requestsText(len(attempts)), faults[0]), 500)
		if health != nil {
			r.note("afterwards " + health.Error())
		}
	case health != nil:
		r.Status, r.Message = Failed, clean("afterwards "+health.Error(), 500)
	default:
		if attempts[0].mute {
			r.Message = attempts[0].what + ": no hang, no crash, healthy after"
			break
		}
		r.Message = fmt.Sprintf("%s: %d refused, %d answered; no 5xx, no hang, no crash, healthy after", requestsText(len(attempts)), refused, taken)
	}
	return r
}

func requestsText(n int) string {
	if n == 1 {
		return "1 request"
	}
	return fmt.Sprintf("%d requests", n)
}

// sendAll sends attempts side by side and returns what went wrong, in their order. Parts that are about many
// requests at once bring all of them in one attempt.
func (b *battery) sendAll(ctx context.Context, attempts []attempt) (faults []string, refused, taken int) {
	found := make([]string, len(attempts))
	sent := make([]int, len(attempts)) // status
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	for i := range attempts {
		leave, err := b.runner.slot(ctx)
		if err != nil {
			break
		}
		wg.Go(func() {
			defer leave()
			fault, status := b.one(ctx, &attempts[i])
			found[i], sent[i] = fault, status
			if status == hung {
				stop(errHang)
			}
		})
	}
	wg.Wait()
	for i, fault := range found {
		switch {
		case fault != "":
			faults = append(faults, fault)
		case sent[i] >= 400:
			refused++
		case sent[i] > 0:
			taken++
		}
	}
	if len(faults) == 0 && ctx.Err() != nil {
		faults = append(faults, "the deadline of the suite passed")
	}
	return faults, refused, taken
}

// Statuses that are none.
const (
	stopped = 0  // not sent to its end, because another attempt hung
	hung    = -1 // no answer in time, or nobody there: further attempts would only take time
	cutOff  = -2 // closed without an answer
)

// one sends an attempt and judges its answer.
func (b *battery) one(ctx context.Context, t *attempt) (fault string, status int) {
	send := t.send
	if send == nil {
		send = func(ctx context.Context, c *client) (*answer, error) { return c.send(ctx, t.m, b.c.timeout) }
	}
	a, err := send(ctx, b.to)
	switch {
	case err == nil && t.mute:
		return "", stopped
	case err == nil:
		if fault = b.judge(t, a); fault != "" {
			fault = t.what + ": " + fault
		}
		return fault, a.status
	case errors.Is(err, errCut) && t.cut:
		return "", 400 // a refusal, if a curt one
	case errors.Is(err, context.Canceled):
		return "", stopped
	case errors.Is(err, errHang), errors.Is(err, errRefused):
		return t.what + ": " + sendFault(ctx, err), hung
	}
	return t.what + ": " + err.Error(), cutOff
}

// judge says what is wrong with an answer to an attempt.
func (b *battery) judge(t *attempt, a *answer) string {
	for _, mark := range t.marks {
		if strings.Contains(string(a.body), mark) {
			return fmt.Sprintf("the answer shows that the text was executed: it has %q in it", mark)
		}
	}
	switch {
	case a.status == 501 && t.m.method != b.sample.method:
		return "" // an unknown method: what HTTP asks for
	case a.status >= 500:
		return fmt.Sprintf("status %d, want a refusal by 4xx%s", a.status, a.quote())
	case refused4xx.has(a.status):
		return ""
	case a.status >= 300 || a.status < 200:
		return fmt.Sprintf("status %d, want 2xx or 4xx", a.status)
	case t.refuse:
		return fmt.Sprintf("status %d, want a refusal by 4xx%s", a.status, a.quote())
	case t.m.method != b.sample.method:
		return ""
	}
	return b.taken(a)
}

// taken says what is wrong with an answer of 2xx: nonsense in, nonsense out is no answer.
func (b *battery) taken(a *answer) string {
	if !ok2xx.has(a.status) {
		return ""
	}
	streams := speaksText(b.dialect) && isStream(a.body)
	if b.isJSON && len(a.body) > 0 && !streams && !json.Valid(a.body) {
		return fmt.Sprintf("status %d with a body that is not JSON%s", a.status, a.quote())
	}
	return strings.Join(b.c.expect.judge(a, nil), "; ")
}
