package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"sluice.dev/sluice/internal/release"
)

// Bounds of feedback.
const (
	maxFeedbackBody  = 1 << 20  // bytes of one request
	maxFeedbackLine  = 16 << 10 // bytes of one item
	maxFeedbackItems = 10_000   // items of one request
	maxFeedbackText  = 128      // bytes of a value that is a string
	maxFeedbackName  = 128      // bytes of a metric's name
	maxRefusals      = 100      // refused items that an answer lists; all are counted
)

// reason is why an item of feedback is refused: a stable word for programs.
type reason string

// The reasons. Each is a label of the metric that counts feedback, so the list is closed.
const (
	reasonSyntax    reason = "syntax"      // not a JSON object of the expected fields
	reasonTooLong   reason = "too_long"    // the line, the name or the text
	reasonNoMetric  reason = "no_metric"   // "metric" is missing
	reasonNoValue   reason = "no_value"    // "value" is missing or null
	reasonNotFinite reason = "not_finite"  // NaN, an infinity, or a number beyond float64
	reasonValue     reason = "value"       // neither number nor bool nor short string
	reasonNoTarget  reason = "no_target"   // neither "id" nor "model" and "unit"
	reasonForged    reason = "forged"      // the id was not made by this fleet
	reasonKey       reason = "unknown_key" // the id's key is not in the keyring (any more)
	reasonExpired   reason = "expired"     // the exposure is older than the feedback horizon
	reasonModel     reason = "unknown_model"
	reasonForeign   reason = "foreign" // the id belongs to another model than the item says
	reasonUnit      reason = "unit"    // the unit is empty or too long
)

var reasons = [...]reason{
	reasonSyntax, reasonTooLong, reasonNoMetric, reasonNoValue, reasonNotFinite, reasonValue, reasonNoTarget,
	reasonForged, reasonKey, reasonExpired, reasonModel, reasonForeign, reasonUnit,
}

// refusal is an item that was not accepted.
type refusal struct {
	Line   int    `json:"line"` // from 1
	Reason reason `json:"reason"`
	Detail string `json:"detail,omitempty"`
}

// report is the answer to a request that brought feedback.
type report struct {
	Accepted int       `json:"accepted"`
	Refused  int       `json:"refused"`
	Refusals []refusal `json:"refusals,omitempty"` // the first of them
}

func (r *report) refuse(line int, why reason, detail string) {
	r.Refused++
	if len(r.Refusals) < maxRefusals {
		r.Refusals = append(r.Refusals, refusal{Line: line, Reason: why, Detail: detail})
	}
}

// told is one item of feedback as a client wrote it, checked for form but not for its target.
type told struct {
	id, model, unit string
	key             string // with unit: the application's own name of the outcome, so that a resend counts once
	metric          string
	number          float64 // of a number or a bool
	text            string  // the value as text, see release.Agree
	isText          bool
}

// itemError is a fault of one item.
type itemError struct {
	reason reason
	detail string
}

func (e *itemError) Error() string { return string(e.reason) + ": " + e.detail }

// itemJSON is the wire form.
type itemJSON struct {
	ID     string          `json:"id"`
	Model  string          `json:"model"`
	Unit   json.RawMessage `json:"unit"`
	Key    string          `json:"key"`
	Metric string          `json:"metric"`
	Value  json.RawMessage `json:"value"`
}

// decodeItem reads one JSON object. Fields that it does not know are refused: a misspelt one would
// otherwise be lost in silence.
func decodeItem(line []byte) (told, *itemError) {
	if len(line) > maxFeedbackLine {
		return told{}, &itemError{reasonTooLong, "an item holds at most 16 KiB"}
	}
	var j itemJSON
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return told{}, syntaxError(line, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return told{}, &itemError{reasonSyntax, "more than one object on a line"}
	}
	switch {
	case j.Metric == "":
		return told{}, &itemError{reasonNoMetric, `"metric" is missing`}
	case len(j.Metric) > maxFeedbackName:
		return told{}, &itemError{reasonTooLong, `"metric" is longer than 128 bytes`}
	case j.ID == "" && (j.Model == "" || absent(j.Unit)):
		return told{}, &itemError{reasonNoTarget, `say "id", or "model" and "unit"`}
	}
	switch {
	case j.Key != "" && j.ID != "":
		return told{}, &itemError{reasonSyntax, `"key" goes with "unit"; an "id" already counts once`}
	case len(j.Key) > maxFeedbackName:
		return told{}, &itemError{reasonTooLong, `"key" is longer than 128 bytes`}
	}
	t := told{id: j.ID, model: j.Model, key: j.Key, metric: j.Metric}
	if j.ID == "" {
		unit, ok := unitOf(j.Unit)
		if !ok {
			return told{}, &itemError{reasonUnit, `"unit" must be a string of 1 to 1024 bytes or a number`}
		}
		t.unit = unit
	}
	if fault := t.value(j.Value); fault != nil {
		return told{}, fault
	}
	return t, nil
}

// syntaxError finds words for a line that is not JSON. NaN and Infinity, which some languages write,
// have a reason of their own.
func syntaxError(line []byte, err error) *itemError {
	if i := bytes.LastIndexByte(line, ':'); i >= 0 {
		rest := strings.TrimLeft(string(line[i+1:min(len(line), i+24)]), " \t-+")
		if strings.HasPrefix(rest, "NaN") || strings.HasPrefix(rest, "nan") || strings.HasPrefix(rest, "Inf") {
			return &itemError{reasonNotFinite, "the value is not a finite number"}
		}
	}
	msg := strings.TrimPrefix(err.Error(), "json: ")
	if len(msg) > 200 {
		msg = strings.ToValidUTF8(msg[:200], "")
	}
	return &itemError{reasonSyntax, msg}
}

func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// unitOf reads a unit: a string, or a number in the spelling it came in, as request selectors do.
func unitOf(raw json.RawMessage) (string, bool) {
	s := string(raw)
	if raw[0] == '"' {
		if json.Unmarshal(raw, &s) != nil {
			return "", false
		}
		s = strings.TrimSpace(s)
	} else if raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return "", false
	}
	return s, s != "" && len(s) <= maxUnit
}

// value reads a number, a bool (1 or 0) or a short string.
func (t *told) value(raw json.RawMessage) *itemError {
	if absent(raw) {
		return &itemError{reasonNoValue, `"value" is missing`}
	}
	switch raw[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) != nil || !utf8.ValidString(s) {
			return &itemError{reasonValue, "the value is not a valid string"}
		}
		v := release.PeekText(s, false) // as answers' categories are read, so that both can agree
		if v.Kind != release.ValueCategory || len(s) > maxFeedbackText {
			return &itemError{reasonValue, "a value that is a string holds 1 to 128 bytes"}
		}
		t.text, t.isText = v.Text, true
	case 't', 'f':
		t.text = string(raw)
		if raw[0] == 't' {
			t.number = 1
		}
	case '{', '[':
		return &itemError{reasonValue, "a value is a number, true, false or a short string"}
	default:
		f, err := strconv.ParseFloat(string(raw), 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return &itemError{reasonNotFinite, "the value is not a finite number"}
		}
		t.number, t.text = f, release.FormatOutcome(f)
	}
	return nil
}

// errTooMany is returned by eachItem.
var errTooMany = errors.New("more than 10000 items")

// eachItem calls f for the one object that body holds, or for each non-empty line of JSON Lines,
// with its number from 1.
func eachItem(body []byte, f func(line int, item []byte)) error {
	body = bytes.TrimSpace(body)
	if len(body) <= maxFeedbackLine && bytes.IndexByte(body, '\n') >= 0 && json.Valid(body) {
		f(1, body) // one object over several lines
		return nil
	}
	items := 0
	for n := 1; len(body) > 0; n++ {
		line, rest, _ := bytes.Cut(body, []byte{'\n'})
		body = rest
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if items++; items > maxFeedbackItems {
			return errTooMany
		}
		f(n, line)
	}
	return nil
}
