package suite

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/tidwall/gjson"

	"sluice.dev/sluice/internal/release"
)

// reply is what a language model answered, read from JSON or from server-sent events.
type reply struct {
	text     string
	refusal  string    // told by the API
	finish   string    // why it ended, in the API's word
	tokens   int       // that were made, as the version counts them; without a count, the parts that had text
	logprobs []float64 // of tokens, natural logarithm
	parts    int       // of a stream that had text
	whole    bool      // it was not broken off
}

// speaksText says whether the dialect has texts that are read here.
func speaksText(d release.Dialect) bool {
	return d == release.DialectOpenAI || d == release.DialectAnthropic
}

// errBrokenOff is a stream without its end.
var errBrokenOff = errors.New("the stream broke off before its end")

// readReply reads a whole body of 2xx.
func readReply(d release.Dialect, body []byte) (*reply, error) {
	body = bytes.TrimSpace(body)
	if !isStream(body) {
		if !json.Valid(body) {
			return nil, errors.New("the body is neither JSON nor a stream of events")
		}
		return readWhole(d, body)
	}
	var fault error
	r := &reply{}
	s := events{each: func(data []byte) {
		if fault == nil {
			fault = r.add(d, data)
		}
	}}
	s.write(body)
	s.end()
	switch {
	case fault != nil:
		return nil, fault
	case !r.whole:
		return nil, errBrokenOff
	}
	return r, nil
}

// isStream tells events from JSON, which begins with none of these.
func isStream(body []byte) bool {
	for _, word := range []string{"data:", "event:", "id:", "retry:", ":"} {
		if bytes.HasPrefix(body, []byte(word)) {
			return true
		}
	}
	return false
}

// events splits server-sent events as the WHATWG HTML standard says (section 9.2.6). It is written to as bytes arrive and
// gives the data of each event; comments, ids and names are left out, as both dialects name the event in its data.
type events struct {
	each func(data []byte)
	line []byte // that has not ended yet
	data []byte // of the event that has not ended yet
	some bool   // it has data
	cr   bool   // the last byte was CR
}

// maxEvent bounds an event; what is longer is cut and then no JSON.
const maxEvent = 1 << 20

func (s *events) write(p []byte) {
	for _, b := range p {
		switch {
		case b == '\n' && s.cr: // of CR LF
			s.cr = false
		case b == '\n' || b == '\r':
			s.cr = b == '\r'
			s.endLine()
		default:
			s.cr = false
			if len(s.line) < maxEvent {
				s.line = append(s.line, b)
			}
		}
	}
}

func (s *events) endLine() {
	line := s.line
	s.line = s.line[:0]
	if len(line) == 0 {
		s.end()
		return
	}
	data, ok := bytes.CutPrefix(line, []byte("data:"))
	if !ok {
		return
	}
	data = bytes.TrimPrefix(data, []byte(" "))
	if s.some {
		s.data = append(s.data, '\n')
	}
	s.some = true
	if len(s.data) < maxEvent {
		s.data = append(s.data, data...)
	}
}

// end gives the event so far. An event that a body's end cuts short is given as well: some servers leave out
// the last blank line.
func (s *events) end() {
	if len(s.line) > 0 {
		s.endLine()
	}
	if s.some {
		s.each(s.data)
	}
	s.data, s.some = s.data[:0], false
}

// add reads one event of a stream.
func (r *reply) add(d release.Dialect, data []byte) error {
	before := len(r.text)
	var err error
	if d == release.DialectAnthropic {
		err = r.addAnthropic(data)
	} else {
		err = r.addOpenAI(data)
	}
	if len(r.text) > before {
		r.parts++
		if r.tokens < r.parts {
			r.tokens = r.parts
		}
	}
	return err
}

func (r *reply) addOpenAI(data []byte) error {
	if string(bytes.TrimSpace(data)) == "[DONE]" {
		r.whole = true
		return nil
	}
	if !gjson.ValidBytes(data) {
		return fmt.Errorf("an event of the stream is not JSON: %s", clean(string(data), 80))
	}
	v := gjson.ParseBytes(data)
	if e := v.Get("error"); e.IsObject() {
		return fmt.Errorf("the stream tells an error: %s", clean(e.Get("message").String(), 200))
	}
	if n := v.Get("usage.completion_tokens"); n.Exists() {
		r.tokens = int(n.Int())
	}
	v.Get("choices").ForEach(func(_, choice gjson.Result) bool {
		if choice.Get("index").Int() != 0 {
			return true
		}
		r.text += choice.Get("delta.content").String() + choice.Get("text").String()
		r.refusal += choice.Get("delta.refusal").String()
		if f := choice.Get("finish_reason").String(); f != "" {
			r.finish = f
		}
		r.logprobs = append(r.logprobs, logprobs(choice)...)
		return true
	})
	return nil
}

func (r *reply) addAnthropic(data []byte) error {
	if !gjson.ValidBytes(data) {
		return fmt.Errorf("an event of the stream is not JSON: %s", clean(string(data), 80))
	}
	v := gjson.ParseBytes(data)
	switch v.Get("type").String() {
	case "content_block_start":
		r.text += v.Get("content_block.text").String()
	case "content_block_delta":
		r.text += v.Get("delta.text").String()
	case "message_delta":
		if f := v.Get("delta.stop_reason").String(); f != "" {
			r.finish = f
		}
		if n := v.Get("usage.output_tokens"); n.Exists() {
			r.tokens = int(n.Int())
		}
	case "message_stop":
		r.whole = true
	case "error":
		return fmt.Errorf("the stream tells an error: %s", clean(v.Get("error.message").String(), 200))
	}
	return nil
}

// readWhole reads an answer that is one JSON document.
func readWhole(d release.Dialect, body []byte) (*reply, error) {
	v := gjson.ParseBytes(body)
	r := &reply{whole: true}
	if d == release.DialectAnthropic {
		if !v.Get("content").IsArray() {
			return nil, errors.New("the answer has no content")
		}
		for _, part := range v.Get("content").Array() {
			if part.Get("type").String() == "text" {
				r.text += part.Get("text").String()
			}
		}
		r.finish, r.tokens = v.Get("stop_reason").String(), int(v.Get("usage.output_tokens").Int())
		return r, nil
	}
	choice := v.Get("choices.0")
	if !choice.IsObject() {
		return nil, errors.New("the answer has no choices")
	}
	content := choice.Get("message.content")
	switch {
	case content.IsArray():
		for _, part := range content.Array() {
			r.text += part.Get("text").String()
		}
	case choice.Get("message").Exists():
		r.text = content.String()
	case choice.Get("text").Exists():
		r.text = choice.Get("text").String()
	default:
		return nil, errors.New("the answer's first choice has neither message nor text")
	}
	r.refusal, r.finish = choice.Get("message.refusal").String(), choice.Get("finish_reason").String()
	r.tokens, r.logprobs = int(v.Get("usage.completion_tokens").Int()), logprobs(choice)
	return r, nil
}

// logprobs reads both forms of a choice's probabilities: that of chats, a list of objects, and that of completions, a
// list of numbers, of which the first is null when the prompt is echoed.
func logprobs(choice gjson.Result) (out []float64) {
	for _, v := range choice.Get("logprobs.content.#.logprob").Array() {
		out = append(out, v.Num)
	}
	for _, v := range choice.Get("logprobs.token_logprobs").Array() {
		if v.Type == gjson.Number {
			out = append(out, v.Num)
		}
	}
	return out
}

// refusing are the beginnings of refusals of models that have no field to tell one. Only the first characters are
// looked at, so that a text about refusals is none.
var refusing = regexp.MustCompile(`(?i)^\W*(i['’]?m (very |really |truly )?sorry|i am sorry|sorry|i apologi[sz]e|unfortunately|as an ai)?[\s,.;:!—-]*(but )?(i|we)\s?(['’]m not able to|['’]m unable to| am unable to| am not able to| can(['’]t|not| not)| could ?n(['’]t|ot)| won['’]t| will not| must decline| have to decline| refuse to|['’]d rather not)\b` +
	`|^\W*(as an ai[^.]{0,80}\b(can(['’]t|not)|unable)\b)` +
	`|^\W*(非常|很)?(抱歉|对不起|不好意思)[^。]{0,30}(不能|无法|没有办法)|^\W*我(不能|无法)(提供|协助|帮助|回答|满足|完成)`)

// refused says whether the model refused: by the API's own word, or by how the text begins.
func (r *reply) refused() bool {
	return r.refusal != "" || r.finish == "refusal" || r.finish == "content_filter" || refusing.MatchString(firstChars(r.text, 200))
}

// firstChars is the beginning of a text.
func firstChars(s string, n int) string {
	s = strings.TrimSpace(s)
	for at := range s {
		if n == 0 {
			return s[:at]
		}
		n--
	}
	return s
}
