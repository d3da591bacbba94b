package gateway

import (
	"net/http"
	"unsafe"

	"sluice.dev/sluice/internal/release"
)

// signal is one of the model's signals with its selector taken apart.
type signal struct {
	release.Signal
	spec release.SelectorSpec
}

// signals are a model's, by index, and what they need.
type signals struct {
	list        []signal
	requestJSON bool // one reads the request's body
	answerJSON  bool // one reads the answer's body
	answer      bool // one reads the answer
	tokens      bool // one counts tokens
	text        bool // one reads the text of a language model
	document    bool // one reads the answer's JSON: of a stream, that which it would have been
	header      bool // one reads a header of the answer
	similar     bool // one compares the texts of a mirrored pair
}

// compileSignals takes the selectors apart. Signals beyond what an exposure holds are left out.
func compileSignals(list []release.Signal) (signals, error) {
	var s signals
	for _, sig := range list[:min(len(list), release.MaxSignals)] {
		spec, err := sig.Selector.Parse()
		if err != nil {
			return signals{}, err
		}
		if sig.From == release.FromAnswer {
			s.needs(spec)
		} else {
			s.requestJSON = s.requestJSON || spec.ReadsBody()
		}
		s.list = append(s.list, signal{sig, spec})
	}
	return s, nil
}

// needs notes what a signal of the answer has to know of it.
func (s *signals) needs(spec release.SelectorSpec) {
	s.answer = true
	switch spec.Kind {
	case release.SelectHeader:
		s.header = true
	case release.SelectJSON:
		s.answerJSON, s.document = true, true
	case release.SelectText:
		s.answerJSON, s.text = true, true
	case release.SelectMeasure:
		switch spec.Name {
		case release.MeasureTruncated, release.MeasureCancelled, release.MeasureFellBack:
		case release.MeasureTTFT, release.MeasureTTFTAnswer: // streams alone
		case release.MeasureLength:
			s.answerJSON, s.text = true, true
		case release.MeasureSimilarity:
			s.answerJSON, s.text, s.similar = true, true, true
		case release.MeasureFinish:
			s.answerJSON = true
		case release.MeasureTPOT, release.MeasureInput, release.MeasureOutput, release.MeasureCached,
			release.MeasureReasoning, release.MeasureTotal, release.MeasureCost:
			s.answerJSON, s.tokens = true, true
		default:
			s.answerJSON = true
		}
	default: // of its head
	}
}

// fromRequest fills the values that the request holds.
func (s *signals) fromRequest(e *release.Exposure, r *http.Request, body []byte, sink Sink) {
	e.N = uint8(len(s.list))
	for i := range s.list {
		sig := &s.list[i]
		if sig.From == release.FromAnswer {
			continue
		}
		var v release.Peeked
		if sig.spec.Kind == release.SelectJSON {
			v = release.PeekJSON(body, sig.spec.Name, sig.Number)
		} else {
			v = release.PeekText(requestText(sig.spec, r, body), sig.Number)
		}
		e.Values[i] = valueOf(v, e.Model, i, sink)
	}
}

// fromAnswer fills the values that the answer holds. body is nil if the answer was not kept.
func (s *signals) fromAnswer(e *release.Exposure, h http.Header, body []byte, sink Sink) {
	for i := range s.list {
		sig := &s.list[i]
		if sig.From != release.FromAnswer {
			continue
		}
		var v release.Peeked
		switch sig.spec.Kind {
		case release.SelectJSON:
			v = release.PeekJSON(body, sig.spec.Name, sig.Number)
		case release.SelectHeader:
			v = release.PeekText(h.Get(sig.spec.Name), sig.Number)
		case release.SelectText, release.SelectMeasure: // exchange.measure fills them
			continue
		default: // only requests have them
		}
		e.Values[i] = valueOf(v, e.Model, i, sink)
	}
}

// valueOf gives a category its number in the sink's dictionary. The text is lent for the call: it
// may lie in a buffer that is used again.
func valueOf(v release.Peeked, m release.ModelKey, i int, sink Sink) release.Value {
	switch v.Kind {
	case release.ValueNumber:
		return release.Value{Kind: v.Kind, Num: v.Num}
	case release.ValueCategory:
		text := unsafe.Slice(unsafe.StringData(v.Text), len(v.Text))
		return release.Value{Kind: v.Kind, Cat: sink.Category(m, i, text)}
	case release.ValueNone:
	}
	return release.Value{}
}

// keeper keeps the first bytes of an answer for its signals.
type keeper struct {
	buf   []byte
	box   *[]byte // whose memory it is
	limit int
	whole bool // all bytes were kept
}

// keep copies b, as far as the limit allows. A keeper without a limit keeps nothing.
func (k *keeper) keep(b []byte) {
	if !k.whole {
		return
	}
	if len(k.buf)+len(b) > k.limit {
		k.whole = false // a part is worth nothing: a value could be cut in two
		return
	}
	if len(k.buf)+len(b) > cap(k.buf) {
		next := buffer(int64(min(max(2*cap(k.buf), len(k.buf)+len(b)), k.limit)))
		old := k.box
		k.buf, k.box = append(*next, k.buf...), next
		if old != nil {
			recycle(old)
		}
	}
	k.buf = append(k.buf, b...)
}

func (k *keeper) start(limit int) { k.limit, k.whole = limit, limit > 0 }

// bytes returns the whole answer, nil if it was too large or nobody wanted it.
func (k *keeper) bytes() []byte {
	if !k.whole {
		return nil
	}
	return k.buf
}

func (k *keeper) free() {
	if k.box != nil {
		recycle(k.box)
	}
	*k = keeper{}
}
