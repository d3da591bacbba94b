package suite

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"sluice.dev/sluice/internal/release"
)

// flow is what was seen of one answer as it arrived.
type flow struct {
	first  time.Time // the first token, or the first byte where no dialect says what a token is
	last   time.Time // the last token
	tokens int
	fault  string // the stream is no whole answer
}

// perToken is the time per token after the first; false if there are none. It is 0 when all came at once.
func (f *flow) perToken() (time.Duration, bool) {
	if f.tokens < 2 || f.last.IsZero() {
		return 0, false
	}
	return f.last.Sub(f.first) / time.Duration(f.tokens-1), true
}

// meter is a transport that watches answers. It takes out the header by which the load generator numbers its requests: a
// version under test should see what clients send and nothing else.
type meter struct {
	http.RoundTripper
	dialect release.Dialect
	limit   int // bytes of an answer that is kept to count its tokens

	mu    sync.Mutex
	flows map[string]*flow // by number; each is written by one goroutine until its answer is closed
}

const numberHeader = "X-Vegeta-Seq"

// RoundTrip implements http.RoundTripper.
func (m *meter) RoundTrip(r *http.Request) (*http.Response, error) {
	plain := *r
	plain.Header = r.Header.Clone()
	number := plain.Header.Get(numberHeader)
	plain.Header.Del(numberHeader)
	resp, err := m.RoundTripper.RoundTrip(&plain)
	if err != nil {
		return nil, err
	}
	w := &watched{ReadCloser: resp.Body, m: m, flow: &flow{}}
	if ok2xx.has(resp.StatusCode) && speaksText(m.dialect) {
		w.reads = true
		if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
			w.reply, w.events = &reply{}, &events{each: w.event}
		}
	}
	m.mu.Lock()
	m.flows[number] = w.flow
	m.mu.Unlock()
	resp.Body = w
	return resp, nil
}

// of is what was seen of the answer to a request; nil without an answer.
func (m *meter) of(number string) *flow {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.flows[number]
	delete(m.flows, number)
	return f
}

// watched is an answer's body that is watched while it is read.
type watched struct {
	io.ReadCloser
	m      *meter
	flow   *flow
	reads  bool // the dialect says what tokens are
	reply  *reply
	events *events // of a stream
	whole  bytes.Buffer
	now    time.Time
	err    error // of an event
	done   bool
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if n > 0 {
		w.now = time.Now()
		switch {
		case w.events != nil:
			w.events.write(p[:n])
		case w.reads && w.whole.Len() < w.m.limit:
			w.whole.Write(p[:n])
		}
		if w.events == nil && w.flow.first.IsZero() {
			w.flow.first = w.now
		}
	}
	if err != nil && !w.done {
		w.done = true
		w.end(err)
	}
	return n, err
}

// event reads an event of a stream.
func (w *watched) event(data []byte) {
	parts := w.reply.parts
	if err := w.reply.add(w.m.dialect, data); err != nil && w.err == nil {
		w.err = err
	}
	if w.reply.parts > parts {
		w.flow.last = w.now
		if w.flow.first.IsZero() {
			w.flow.first = w.now
		}
	}
}

// end closes the books of an answer.
func (w *watched) end(err error) {
	switch {
	case w.events != nil:
		w.events.end()
		w.flow.tokens = w.reply.tokens
		switch {
		case w.err != nil:
			w.flow.fault = clean(w.err.Error(), 120)
		case !w.reply.whole && err == io.EOF: //nolint:errorlint // an io.Reader returns it unwrapped
			w.flow.fault = errBrokenOff.Error()
		}
	case w.reads:
		if r, err := readReply(w.m.dialect, w.whole.Bytes()); err == nil {
			w.flow.tokens = r.tokens
		}
	}
}

// leaveStream sends a message and leaves in the middle of the answer: after the first bytes of the body.
func (c *client) leaveStream(ctx context.Context, m message, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := c.request(ctx, m, bytes.NewReader(m.body), int64(len(m.body)))
	if err != nil {
		return err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return inWords(err, timeout)
	}
	defer resp.Body.Close()                                                     // with the answer unread: the connection is closed
	if _, err = resp.Body.Read(make([]byte, 64)); err != nil && err != io.EOF { //nolint:errorlint // an io.Reader returns it unwrapped
		return inWords(err, timeout)
	}
	return nil
}
