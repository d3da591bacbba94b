package dialect

import (
	"strings"
	"time"
	"unicode/utf8"

	"sluice.dev/sluice/internal/release"
)

// Options say what a Reader is asked for. The less is asked, the less a chunk costs.
type Options struct {
	Text     bool // the answer's text and its length
	Document bool // a stream as the document that it would have been (Reader.Document)
	Limit    int  // bytes of text, or of a document, that are kept at most; 0: none
	Strip    bool // take the usage chunk out of the stream, because the gateway asked for it, not the client
}

// Seen is what a piece of an answer held.
type Seen uint8

// A piece of a stream holds something of the answer itself; or nothing that a client could use, such as
// roles, empty deltas and pings; or, before any content, an error.
const (
	SeenNothing Seen = iota
	SeenContent
	SeenFailed
)

// never is the time of what has not happened.
const never = time.Duration(-1)

// maxHold bounds what is held back of an unfinished event while usage chunks are taken out. They have a
// few hundred bytes: what is larger is none.
const maxHold = 16 << 10

// tailSize is how much of the end of a long document is kept to find its usage.
const tailSize = 8 << 10

// Reader reads one answer along. The zero value is ready for Begin, and used again it allocates nothing for
// most streams. It is not safe for concurrent use.
type Reader struct {
	call Call
	opts Options
	mode mode
	ok   bool // the status says that it is an answer, not an error
	sse  splitter
	arr  chopper

	// Taking out the usage chunk.
	held    []byte // of the unfinished event
	out     []byte
	pass    bool // the unfinished event has been relayed in part
	dropped bool // the latest event was taken out

	tokens   Tokens
	content  time.Duration // first content of any kind
	answer   time.Duration // first content that is no reasoning
	events   int           // with content
	finish   []byte
	fault    release.Fault
	terminal bool
	told     bool   // Anthropic: the last count was told
	isTyped  bool   // OpenAI: events say what they are
	seen     uint64 // choices that have begun, by index
	over     uint64 // and those that are complete
	model    []byte

	words   []byte // the text as far as it is kept
	length  int    // of the whole text, in characters
	cut     bool   // the text is not kept as a whole
	doc     []byte // a document that a stream's last event held
	tools   []tool // that the answer calls
	tail    []byte // of a long document
	scratch []byte
}

// maxIdle is the most memory that a buffer of a reader keeps while it is not used.
const maxIdle = 64 << 10

// Trim lets go of large buffers, so that a reader that is kept for use again does not hold what one large
// answer needed. What was lent is gone.
func (r *Reader) Trim() {
	for _, b := range [...]*[]byte{&r.held, &r.out, &r.words, &r.doc, &r.scratch, &r.sse.rest, &r.sse.data, &r.arr.rest} {
		if cap(*b) > maxIdle {
			*b = nil
		}
	}
	r.sse.lent, r.tools = nil, nil
}

// mode is the form of an answer.
type mode uint8

const (
	modeNone  mode = iota // not looked into
	modeSSE               // server-sent events
	modeArray             // one JSON array, element by element
	modeWhole             // one JSON document
	modeGRPC              // gRPC messages
)

// Begin makes the reader ready for the answer to a call. contentType and encoding are the answer's
// headers; an encoded answer is not looked into.
func (r *Reader) Begin(c Call, status int, contentType, encoding string, o Options) {
	*r = Reader{
		call: c, opts: o, sse: r.sse, arr: r.arr, content: never, answer: never, ok: status >= 200 && status < 300,
		held: r.held[:0], out: r.out[:0], finish: r.finish[:0], model: r.model[:0],
		words: r.words[:0], tools: r.tools[:0], doc: r.doc[:0], tail: r.tail[:0], scratch: r.scratch[:0],
	}
	r.sse.reset()
	r.arr.reset()
	switch {
	case encoding != "" && !strings.EqualFold(encoding, "identity"):
	case isGRPC(contentType):
		r.mode = modeGRPC
	case isType(contentType, "text/event-stream"):
		r.mode = modeSSE
	case !strings.Contains(contentType, "json"):
	case c.Dialect == release.DialectGemini && c.Stream && r.ok:
		r.mode = modeArray
	default:
		r.mode = modeWhole
	}
}

// isType says whether a content type is the one wanted, whatever its parameters.
func isType(contentType, want string) bool {
	n := len(want)
	return len(contentType) >= n && strings.EqualFold(contentType[:n], want) &&
		(len(contentType) == n || contentType[n] == ';' || contentType[n] == ' ')
}

// Streams says whether the answer comes in events.
func (r *Reader) Streams() bool { return r.mode == modeSSE || r.mode == modeArray }

// Chunk reads the next piece of the answer, at a time since the request was read. It returns what the
// client gets: b itself, or what remains of it and of pieces before, which stands until the next
// call.
func (r *Reader) Chunk(b []byte, at time.Duration) (relay []byte, s Seen) {
	switch r.mode {
	case modeSSE:
		return r.chunkSSE(b, at)
	case modeArray:
		for rest := b; len(rest) > 0; {
			n, element := r.arr.feed(rest)
			rest = rest[n:]
			if element != nil {
				s = max(s, r.event(element, at, nil))
			}
		}
	case modeWhole:
		r.keepTail(b)
	case modeNone, modeGRPC:
	}
	return b, s
}

func (r *Reader) chunkSSE(b []byte, at time.Duration) (relay []byte, s Seen) {
	read := 0
	if r.sse.cr && r.sse.between() && len(b) > 0 && b[0] == '\n' { // the second half of the line end of the event before
		r.sse.cr = false
		if r.dropped {
			b = b[1:]
		} else {
			read = 1
		}
	}
	c := comb{b: b, from: read}
	r.out = r.out[:0]
	for read < len(b) {
		n, _, data, has := r.sse.feed(b[read:])
		if n < 0 {
			break
		}
		read += n
		extra := false
		if has {
			s = max(s, r.event(data, at, &extra))
		}
		if r.opts.Strip {
			c.event(r, read, extra)
		}
	}
	if !r.opts.Strip {
		return b, s
	}
	return c.end(r), s
}

// comb takes events out of one piece of a stream. As long as nothing is taken out or held back the piece
// itself is what is left.
type comb struct {
	b     []byte
	from  int  // of the event that has not ended
	built bool // what is left is in Reader.out
}

// event ends the event at to; extra: it is to be taken out.
func (c *comb) event(r *Reader, to int, extra bool) {
	r.dropped = extra && !r.pass
	switch {
	case r.dropped:
		c.build(r)
	case len(r.held) > 0:
		c.build(r)
		r.out = append(append(r.out, r.held...), c.b[c.from:to]...)
	case c.built:
		r.out = append(r.out, c.b[c.from:to]...)
	}
	r.held, r.pass = r.held[:0], false
	c.from = to
}

// build begins to copy what is left.
func (c *comb) build(r *Reader) {
	if !c.built {
		r.out, c.built = append(r.out, c.b[:c.from]...), true
	}
}

// end holds back an unfinished event, unless it is too large to be one that is taken out.
func (c *comb) end(r *Reader) []byte {
	rest := c.b[c.from:]
	switch {
	case len(rest) == 0:
	case r.pass || len(r.held)+len(rest) > maxHold:
		if len(r.held) > 0 {
			c.build(r)
			r.out = append(r.out, r.held...)
			r.held = r.held[:0]
		}
		if c.built {
			r.out = append(r.out, rest...)
		}
		r.pass = true
	default:
		c.build(r)
		r.held = append(r.held, rest...)
	}
	if c.built {
		return r.out
	}
	return c.b
}

// event takes one event in. extra, if not nil, is set if it holds nothing but usage.
func (r *Reader) event(data []byte, at time.Duration, extra *bool) Seen {
	var s sign
	switch r.call.Dialect {
	case release.DialectOpenAI:
		s = r.openAI(data)
	case release.DialectAnthropic:
		s = r.anthropic(data)
	case release.DialectGemini:
		s = r.gemini(data)
	default:
		return SeenContent // unknown: every event may be content
	}
	r.terminal = r.terminal || s&signTerminal != 0
	if extra != nil {
		*extra = s&signUsageOnly != 0
	}
	switch {
	case s&signContent != 0:
		r.events++
		if r.content == never {
			r.content = at
		}
		if r.answer == never && s&signReasoning == 0 {
			r.answer = at
		}
		return SeenContent
	case s&signFailed != 0 && r.content == never:
		return SeenFailed
	}
	return SeenNothing
}

// branch notes that one of the choices of an answer has begun, and whether it is complete.
func (r *Reader) branch(index int64, complete bool) {
	if index > 63 {
		return
	}
	r.seen |= 1 << index
	if complete {
		r.over |= 1 << index
	}
}

// End ends the answer: whole says that the upstream's body ended as it should, as far as its framing tells. It
// returns what was held back and is still the client's, and whether the answer is truncated although its
// framing is whole.
func (r *Reader) End(whole bool) (rest []byte, truncated bool) {
	truncated = !r.complete()
	if !whole || truncated {
		return nil, truncated
	}
	return r.held, false
}

// complete says whether the answer has its own end. What has none, or is not known to have one, ends where
// it ends.
func (r *Reader) complete() bool {
	switch {
	case !r.ok || !r.Streams() || r.terminal || r.fault != release.FaultNone:
		return true
	case r.mode == modeArray:
		return r.arr.closed || r.arr.alien
	}
	switch r.call.Op {
	case OpChat, OpCompletion, OpGenerate:
		return r.seen != 0 && r.seen == r.over
	case OpResponses, OpMessages:
		return false
	default:
		return true
	}
}

// Between says whether an event can be added to what the client has got so far.
func (r *Reader) Between() bool {
	return r.mode == modeSSE && (r.sse.between() || r.opts.Strip && !r.pass)
}

// Whole reads an answer that was no stream from its document; nil: it was too long to be kept, and no more than
// its end is looked at. JSON is not read twice: call it once, after End.
func (r *Reader) Whole(doc []byte) {
	if r.mode != modeWhole {
		return
	}
	if doc == nil {
		if doc = r.fromTail(); doc == nil {
			return
		}
	}
	switch r.call.Dialect {
	case release.DialectOpenAI:
		r.wholeOpenAI(doc)
	case release.DialectAnthropic:
		r.wholeAnthropic(doc)
	case release.DialectGemini:
		r.gemini(doc)
	}
	r.content, r.answer = never, never // of a stream alone
}

func (r *Reader) keepTail(b []byte) {
	if len(b) >= tailSize {
		r.tail = append(r.tail[:0], b[len(b)-tailSize:]...)
		return
	}
	if extra := len(r.tail) + len(b) - tailSize; extra > 0 {
		r.tail = r.tail[:copy(r.tail, r.tail[extra:])]
	}
	r.tail = append(r.tail, b...)
}

// fromTail makes a document of the last members of a long one, from its usage on: embeddings and images
// put it behind their data. What only looks like it, in a text or in an inner object, is not followed by the
// document's end.
func (r *Reader) fromTail() []byte {
	name := `"usage"`
	if r.call.Dialect == release.DialectGemini {
		name = `"usageMetadata"`
	}
	for text := lend(r.tail); ; {
		i := strings.LastIndex(text, name)
		if i < 0 {
			return nil
		}
		if i == 0 || r.tail[i-1] != '\\' {
			doc := append(append(r.scratch[:0], '{'), r.tail[i:]...)
			r.scratch = doc
			c := cursor{doc: doc}
			c.open('{')
			for _, _, more := c.member(); more; _, _, more = c.member() {
			}
			if c.take('}') && c.peek() == 0 {
				return doc
			}
		}
		text = text[:i]
	}
}

func (r *Reader) finished(reason []byte) {
	if len(reason) > 0 {
		r.finish = append(r.finish[:0], reason[:min(len(reason), release.MaxCategoryLen)]...)
	}
}

func (r *Reader) named(value []byte) {
	if len(r.model) == 0 && len(value) <= 1024 {
		r.model = append(r.model, value...)
	}
}

// document keeps the document that an event holds.
func (r *Reader) document(doc []byte) {
	if r.opts.Document && len(doc) <= r.opts.Limit {
		r.doc = append(r.doc[:0], doc...)
	}
}

// addText adds a part of the answer's text, given as it is spelt in JSON.
func (r *Reader) addText(spelt []byte) {
	if !r.opts.Text || len(spelt) == 0 {
		return
	}
	before := len(r.words)
	if r.cut || before+len(spelt) > r.opts.Limit { // its meaning is no longer than its spelling
		r.cut = true
		r.scratch = appendUnescaped(r.scratch[:0], spelt)
		r.length += utf8.RuneCount(r.scratch)
		return
	}
	r.words = appendUnescaped(r.words, spelt)
	r.length += utf8.RuneCount(r.words[before:])
}
