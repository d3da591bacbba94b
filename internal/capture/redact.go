package capture

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Redactor takes personal data out of bodies. It is immutable; any goroutine may use it.
type Redactor struct {
	paths [][]string
	limit int
}

// NewRedactor makes a Redactor that takes out what the patterns find and all that stands at the JSON paths: names
// joined by dots, \. for a dot in a name, an index or # for all elements of a list, as in messages.#.content.
// Bodies longer than limit bytes are not kept.
func NewRedactor(paths []string, limit int) *Redactor {
	r := &Redactor{limit: limit}
	for _, p := range paths {
		r.paths = append(r.paths, stepsOf(p))
	}
	return r
}

func stepsOf(path string) []string {
	const dot = "\x00" // no name holds it: a selector can't
	steps := strings.Split(strings.ReplaceAll(path, `\.`, dot), ".")
	for i := range steps {
		steps[i] = strings.ReplaceAll(steps[i], dot, ".")
	}
	return steps
}

// Body is what is kept of one body.
type Body struct {
	Type    string `json:"type,omitempty"`    // media type
	Size    int64  `json:"size"`              // bytes, before anything was taken out
	Text    string `json:"text,omitempty"`    // the body without what was taken out
	NotKept string `json:"notKept,omitempty"` // why there is no text
}

// Clean returns what is kept of a body: size is its length on the wire, of which body may be a part.
func (r *Redactor) Clean(contentType string, body []byte, size int64) Body {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		media = ""
	}
	b := Body{Type: media, Size: size}
	switch {
	case size == 0:
	case size > int64(r.limit) || size > int64(len(body)):
		b.NotKept = "longer than the limit"
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		text, err := r.cleanJSON(body)
		if err != nil {
			b.NotKept = "not the JSON that it says it is"
		}
		b.Text = text
	case strings.HasPrefix(media, "text/") && media != "text/event-stream" && utf8.Valid(body):
		b.Text = scrub(string(body))
	case media == "text/event-stream":
		b.NotKept = "a stream" // an address may be cut in two by its events; the text in one piece is kept instead
	default:
		b.NotKept = "neither JSON nor text"
	}
	return b
}

// CleanText returns a text without what the patterns find, cut at the limit.
func (r *Redactor) CleanText(text string) string {
	text = scrub(text)
	if len(text) <= r.limit {
		return text
	}
	cut := text[:r.limit]
	for !utf8.ValidString(cut) && cut != "" {
		cut = cut[:len(cut)-1]
	}
	return cut
}

func (r *Redactor) cleanJSON(body []byte) (string, error) {
	s := &scrubber{in: body, dec: json.NewDecoder(bytes.NewReader(body)), paths: r.paths}
	s.dec.UseNumber()
	if err := s.value(nil); err != nil {
		return "", err
	}
	if _, err := s.dec.Token(); !errors.Is(err, io.EOF) {
		return "", errors.New("more than one value")
	}
	s.copyTo(int64(len(body)))
	return s.out.String(), nil
}

// maxDepth bounds how deeply values may be nested.
const maxDepth = 512

// removed stands where the values at a path stood.
const removed = `"[removed]"`

// A scrubber copies a JSON text token by token, and writes what is left of those that hold personal data. All other
// bytes stay as they are.
type scrubber struct {
	in    []byte
	dec   *json.Decoder
	paths [][]string
	out   strings.Builder
	done  int64 // bytes of in that are in out
}

func (s *scrubber) copyTo(end int64) {
	s.out.Write(s.in[s.done:end])
	s.done = end
}

// value copies the value at a path: names of members, "#" and the index for elements.
func (s *scrubber) value(path []string) error {
	if len(path) > maxDepth {
		return errors.New("nested too deeply")
	}
	if s.wanted(path) {
		return s.remove()
	}
	token, err := s.dec.Token()
	if err != nil {
		return err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		s.scrub(token)
		return nil
	}
	s.copyTo(s.dec.InputOffset())
	for i := 0; s.dec.More(); i++ {
		step := strconv.Itoa(i)
		if delim == '{' {
			name, err := s.dec.Token()
			if err != nil {
				return err
			}
			step, _ = name.(string) // the decoder takes nothing else here
			s.scrub(name)
		}
		if err := s.value(append(path, step)); err != nil {
			return err
		}
	}
	if _, err := s.dec.Token(); err != nil { // its end
		return err
	}
	s.copyTo(s.dec.InputOffset())
	return nil
}

// wanted says whether one of the paths to remove ends here.
func (s *scrubber) wanted(path []string) bool {
	return slices.ContainsFunc(s.paths, func(want []string) bool {
		return slices.EqualFunc(want, path, func(w, p string) bool {
			return w == p || w == "#" && p != "" && strings.Trim(p, "0123456789") == ""
		})
	})
}

// remove skips a value.
func (s *scrubber) remove() error {
	var skipped json.RawMessage
	if err := s.dec.Decode(&skipped); err != nil {
		return err
	}
	end := s.dec.InputOffset()
	s.copyTo(end - int64(len(skipped)))
	s.out.WriteString(removed)
	s.done = end
	return nil
}

// scrub applies the patterns to a text, name or number as it reads when it is decoded.
func (s *scrubber) scrub(token json.Token) {
	end := s.dec.InputOffset()
	var text, first string
	switch t := token.(type) {
	case string:
		text, first = t, `"`
	case json.Number:
		text, first = t.String(), t.String()[:1]
	default:
		s.copyTo(end)
		return
	}
	clean := scrub(text)
	if clean == text {
		s.copyTo(end)
		return
	}
	quoted, err := json.Marshal(clean)
	if err != nil {
		quoted = []byte(removed) // a string always marshals
	}
	separators, _, _ := strings.Cut(string(s.in[s.done:end]), first)
	s.out.WriteString(separators)
	s.out.Write(quoted)
	s.done = end
}
