package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/dialect"
	"sluice.dev/sluice/internal/release"
)

// tongue is how one version is asked in the model's dialect.
type tongue struct {
	model string // the name under which its server knows it; "": as the client wrote
	price release.Price
	// mute is set when the server has refused to be asked for a stream's usage. It outlives the
	// plan, like all that a version has taught.
	mute *atomic.Bool
}

// learn returns the tongue of arm i, with what an earlier plan's arm of the same version and address
// was taught.
func learn(route *assign.Route, i int, before *model) tongue {
	spec := &route.Arms[i].Spec
	t := tongue{model: spec.Model, price: spec.Price, mute: new(atomic.Bool)}
	if before == nil {
		return t
	}
	for j, o := range before.arms {
		if o.version.name == route.Upstreams[i].Version && before.Arms[j].Spec.URL == spec.URL {
			t.mute = o.version.tongue.mute
		}
	}
	return t
}

// speaks says whether the model's requests must be in memory because they may have to be changed.
func (m *model) speaks() bool {
	switch m.Dialect {
	case release.DialectOpenAI, release.DialectAnthropic, release.DialectOIP:
	default:
		return false // Gemini's path names the model
	}
	for i := range m.Arms {
		if m.Arms[i].Spec.Model != "" {
			return true
		}
	}
	return m.Dialect == release.DialectOpenAI && m.signals.tokens
}

// reading is the observer of requests and answers whose dialect is known.
type reading struct {
	x      *exchange
	v      *version
	call   dialect.Call
	reader *dialect.Reader
	header http.Header // of the answer; nil before there is one
	asked  bool        // the gateway asked for the usage, not the client
	whole  bool        // the answer ended as it should
	twin   *twin       // nil: this is no half of a pair whose texts are compared
}

var readers = sync.Pool{New: func() any { return new(dialect.Reader) }}

// observer returns who reads along a try at v; nil: nobody.
func (x *exchange) observer(v *version) observer {
	if !dialect.Knows(x.m.Dialect) {
		return nil
	}
	if x.reading == nil {
		x.reading = &reading{reader: readers.Get().(*dialect.Reader)}
	}
	*x.reading = reading{x: x, v: v, reader: x.reading.reader, twin: x.reading.twin}
	return x.reading
}

// twin is where the user's answer leaves its text for the mirrored copy's, which is compared with it.
type twin struct {
	there chan struct{} // closed when text is
	text  []byte        // nil: there is none to compare with
}

// pair lets the texts of an exchange and of its copy be compared, if a metric does so.
func (x *exchange) pair(c *exchange) {
	if !x.m.signals.similar || !x.m.Dialect.Language() {
		return
	}
	x.observer(nil)
	c.observer(nil)
	x.reading.twin = &twin{there: make(chan struct{})}
	c.reading.twin = x.reading.twin
}

// similarity is how alike the texts of a pair are. The copy waits for the user's answer, which does not wait for
// the copy; it holds its place among the copies meanwhile.
func (x *exchange) similarity() (none release.Peeked) {
	t := x.reading.twin
	switch {
	case t == nil:
		return none
	case x.e.Kind != release.ExposureCopy:
		return number(1)
	}
	text := x.reading.reader.Text()
	select {
	case <-t.there:
	case <-x.g.copies.alive.Done():
		return none
	}
	if text == nil || t.text == nil {
		return none
	}
	return number(dialect.Similarity(t.text, text))
}

// leave leaves the text of the user's answer to the copy's.
func (x *exchange) leave() {
	t := x.reading.twin
	if t == nil || x.e.Kind == release.ExposureCopy {
		return
	}
	if x.reading.reader.Text() != nil && x.good() {
		t.text = append([]byte{}, x.reading.reader.Text()...)
	}
	close(t.there)
}

// forget gives the reader back; what it lent is gone.
func (x *exchange) forget() {
	if x.reading != nil {
		x.leave()
		x.reading.reader.Trim()
		readers.Put(x.reading.reader)
		x.reading = nil
	}
}

// sending puts the version's own model name in place and asks for the usage of a stream.
func (r *reading) sending(out *outgoing) {
	m := r.x.m
	r.call = dialect.Read(m.Dialect, r.x.r.URL.Path, r.x.r.Header.Get("Content-Type"), out.body)
	if m.Dialect.Language() && r.call.Op.Generates() {
		out.header.set("Accept-Encoding", identityValue) // it is read along
	}
	r.asked = m.signals.tokens && r.call.Asks() && !r.v.tongue.mute.Load()
	edits, ok := r.call.Edits(out.body, r.v.tongue.model, r.asked)
	if !ok && r.x.g.noisy.allow(r.x.g.now()) {
		r.x.g.opts.Logger.Warn("a request could not be made to ask for its version's model and was sent as it is", "model", m.Model, "version", r.v.name)
	}
	for _, e := range edits {
		out.edits = append(out.edits, edit{e.At, e.N, bytesOf(e.With)})
	}
	if r.v.tongue.model == "" {
		return
	}
	if path, ok := dialect.Path(m.Dialect, out.url.EscapedPath(), r.v.tongue.model); ok {
		if plain, err := url.PathUnescape(path); err == nil { // it was escaped a moment ago
			out.url.Path, out.url.RawPath = plain, path
		}
	}
}

// maxRefusal bounds what is read of an answer to find out what it refuses.
const maxRefusal = 64 << 10

// answered begins to read the answer. A server that refuses to be asked for a stream's usage is asked once
// more without, and never again.
func (r *reading) answered(resp *http.Response) (again bool) {
	if r.asked && (resp.StatusCode == http.StatusBadRequest || resp.StatusCode == http.StatusUnprocessableEntity) {
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
		if bytes.Contains(body, []byte("stream_options")) || bytes.Contains(body, []byte("include_usage")) {
			r.v.tongue.mute.Store(true)
			return true
		}
		resp.Body = &putBack{body: resp.Body, read: body, err: err}
	}
	s := &r.x.m.signals
	r.header = resp.Header
	r.reader.Begin(r.call, resp.StatusCode, resp.Header.Get("Content-Type"), resp.Header.Get("Content-Encoding"), dialect.Options{
		Text: s.text || s.document || r.x.drawn, Document: s.document, Limit: r.x.g.opts.Limits.Keep,
		Strip: r.asked && resp.StatusCode == http.StatusOK,
	})
	return false
}

// putBack is a body of which a part has been read already.
type putBack struct {
	body io.ReadCloser
	read []byte
	err  error // of reading it
}

// Read implements io.Reader.
func (p *putBack) Read(b []byte) (int, error) {
	if len(p.read) > 0 {
		n := copy(b, p.read)
		p.read = p.read[n:]
		return n, nil
	}
	if p.err != nil {
		return 0, p.err
	}
	return p.body.Read(b)
}

// Close implements io.Closer.
func (p *putBack) Close() error { return p.body.Close() }

// ReadBy implements readBy.
func (p *putBack) ReadBy(t time.Time) {
	if b, ok := p.body.(readBy); ok {
		b.ReadBy(t)
	}
}

func (r *reading) streaming() bool { return r.reader.Streams() }

func (r *reading) chunk(b []byte, now time.Time) (relay []byte, s seen) {
	relay, got := r.reader.Chunk(b, now.Sub(r.x.start))
	switch {
	case got == dialect.SeenContent || !r.reader.Streams():
		return relay, seenContent
	case got == dialect.SeenFailed:
		return relay, seenFailed
	}
	return relay, seenNothing
}

// problemCut is what a stream is told that ended without its own end.
var problemCut = problem{"upstream_truncated", http.StatusBadGateway, "the model server's answer ended before it was complete", 0}

// ended notes an error that the answer told of itself, and ends a stream that is not whole by an error of
// the dialect, if it can still be put between two events.
func (r *reading) ended(err error, _ http.Header) (tail []byte, truncated bool) {
	rest, truncated := r.reader.End(err == nil)
	r.whole = err == nil && !truncated
	if r.whole {
		if r.x.m.signals.answerJSON {
			r.reader.Whole(r.x.document())
		}
		if fault := r.reader.Measures().Fault; fault != release.FaultNone && r.x.e.Fault == release.FaultNone {
			r.x.e.Fault = fault
			if fault == release.FaultUpstream {
				r.x.class = classBroken
			}
		}
		return rest, false
	}
	p := problemCut
	switch {
	case errors.Is(err, errClientGone):
		return nil, truncated
	case errors.Is(err, os.ErrDeadlineExceeded):
		p = problemTimeout
	}
	if r.reader.Between() {
		tail, _ = p.told().Event(r.call)
	}
	return tail, truncated
}

// told is the problem as dialects tell it.
func (p problem) told() dialect.Problem {
	return dialect.Problem{Kind: p.kind, Status: p.status, Title: p.title}
}

// measure fills the signals that are known only when the exchange is over.
func (x *exchange) measure() {
	for i := range x.m.signals.list {
		if sig := &x.m.signals.list[i]; sig.From == release.FromAnswer {
			if v, ok := x.measured(sig); ok {
				x.e.Values[i] = valueOf(v, x.e.Model, i, x.g.opts.Sink)
			}
		}
	}
	if r := x.reading; r != nil && r.header != nil && x.divert != divertedFailover && r.reader.Measures().Tokens.Estimated {
		x.e.Flags |= release.FlagEstimated
	}
}

// measured returns the value of a signal; ok is false if it is none that is measured here.
func (x *exchange) measured(sig *signal) (v release.Peeked, ok bool) {
	switch {
	case sig.spec.Kind == release.SelectMeasure:
		return x.ofAnswer(sig.spec.Name, sig.Number), true
	case sig.spec.Kind == release.SelectText:
		if !x.good() {
			return v, true
		}
		text := x.reading.reader.Text()
		if sig.spec.Name == "" {
			return release.PeekText(string(text), sig.Number), true
		}
		return release.PeekJSON(dialect.Inside(text), sig.spec.Name, sig.Number), true
	case sig.spec.Kind == release.SelectJSON && x.good() && x.reading.reader.Streams():
		return release.PeekJSON(x.reading.reader.Document(), sig.spec.Name, sig.Number), true
	case sig.spec.Kind == release.SelectJSON && x.good() && x.reading.call.GRPC:
		return release.PeekJSON(dialect.GRPCDocument(x.kept.bytes()), sig.spec.Name, sig.Number), true
	}
	return v, false
}

// wasRead says whether there is an answer of the assigned arm that was read along.
func (x *exchange) wasRead() bool {
	return x.reading != nil && x.reading.header != nil && x.divert != divertedFailover
}

// good says whether that answer is whole and no error: one that is cut off or refused tells nothing of
// the length, the reason or the speed of answers.
func (x *exchange) good() bool {
	return x.wasRead() && x.reading.whole && x.e.Fault == release.FaultNone && x.e.Status < 400 &&
		x.e.Flags&(release.FlagCancelled|release.FlagTruncated) == 0
}

func number(v float64) release.Peeked { return release.Peeked{Kind: release.ValueNumber, Num: v} }

func yes(b bool) release.Peeked { return number(boolean(b)) }

func millis(d time.Duration) release.Peeked { return number(float64(d) / float64(time.Millisecond)) }

// ofAnswer returns a measure by its name. Tokens and cost of an answer that was cut off are those so far,
// which were used; the exposure's flags say so.
func (x *exchange) ofAnswer(name string, asNumber bool) (none release.Peeked) {
	switch name {
	case release.MeasureTruncated:
		return yes(x.e.Flags&release.FlagTruncated != 0)
	case release.MeasureCancelled:
		return yes(x.e.Flags&release.FlagCancelled != 0)
	case release.MeasureFellBack:
		return yes(x.e.Flags&release.FlagFellBack != 0)
	}
	if !x.wasRead() {
		return none
	}
	m := x.reading.reader.Measures()
	switch name {
	case release.MeasureInput, release.MeasureOutput, release.MeasureCached, release.MeasureReasoning, release.MeasureTotal, release.MeasureCost:
		return tokensOf(name, m.Tokens, x.reading.v.tongue.price)
	}
	if !x.good() {
		return none
	}
	switch name {
	case release.MeasureTTFT:
		if m.Content >= 0 {
			return millis(max(m.Content-x.waited, 0))
		}
	case release.MeasureTTFTAnswer:
		if m.Answer >= 0 {
			return millis(max(m.Answer-x.waited, 0))
		}
	case release.MeasureTPOT:
		if d, ok := m.PerToken(x.done.Sub(x.start)); ok {
			return millis(d)
		}
	case release.MeasureSimilarity:
		return x.similarity()
	case release.MeasureLength:
		if m.Finish != "" || m.Length > 0 {
			return number(float64(m.Length))
		}
	case release.MeasureFinish:
		return release.PeekText(m.Finish, asNumber)
	default:
		if m.Finish != "" {
			return yes(release.MeasureFinishIs+m.Finish == name)
		}
	}
	return none
}

func tokensOf(name string, t dialect.Tokens, p release.Price) (none release.Peeked) {
	switch name {
	case release.MeasureCost:
		if cost, ok := t.Cost(p); ok {
			return number(cost)
		}
	case release.MeasureTotal:
		if n, ok := t.Total(); ok {
			return number(float64(n))
		}
	case release.MeasureInput:
		if t.HasInput {
			return number(float64(t.Input))
		}
	case release.MeasureCached:
		if t.HasInput {
			return number(float64(t.CacheRead))
		}
	case release.MeasureOutput:
		if t.HasOutput {
			return number(float64(t.Output))
		}
	case release.MeasureReasoning:
		if t.HasOutput && !t.Estimated {
			return number(float64(t.Reasoning))
		}
	}
	return none
}
