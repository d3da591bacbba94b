package release

import (
	"fmt"
	"strconv"
	"strings"
)

// Selector is where a value is taken from a request or an answer: "header:X-User-Id",
// "json:applicant.id", "cookie:uid", "query:user".
type Selector string

// Source is what a metric is made from, in its canonical spelling:
//
//	error                 the exposure failed by the version's fault
//	timeout               ... because its deadline passed
//	status:429            the answer had this status
//	latency, ttfb         milliseconds
//	ttft, ttft:answer     milliseconds until a stream's first content, and until its first that is no reasoning
//	tpot                  milliseconds per output token after the first
//	tokens:input          tokens of the prompt; also tokens:output, :cached, :reasoning and :total
//	cost                  by the version's prices
//	length                characters of the answer's text
//	similarity            how alike the texts of a mirrored pair are, 0 to 1; to watch, in shadow
//	finish, finish:length why the answer ended, in the provider's words; whether it ended for this reason
//	truncated, cancelled  the upstream ended the answer early; the client did
//	fellBack              the candidate failed and live answered
//	text, text:PATH       the text of a language model's answer; a value of the JSON that this text is
//	json:PATH             a value of the JSON answer
//	header:NAME           a header of the answer
//	feedback:NAME         a value told later under this name
//	agree(json:PATH, feedback:NAME)   1 if the answer's value equals the outcome told later, else 0
type Source string

// Signal is one value that a gateway extracts for each exposure, because a metric or a segment needs
// it. Exposure.Values[i] is the value of the model's i-th signal.
type Signal struct {
	From     SignalFrom `json:"from"`
	Selector Selector   `json:"selector"`
	Number   bool       `json:"number,omitempty"`  // kept as a number if it is one; otherwise as a category
	Segment  string     `json:"segment,omitempty"` // name of the segment that it defines
}

// SignalFrom is the side from which a signal is taken.
type SignalFrom string

// The sides.
const (
	FromRequest SignalFrom = "request"
	FromAnswer  SignalFrom = "answer"
)

// SourceKind is the family of a source.
type SourceKind string

// The families.
const (
	SourceError    SourceKind = "error"
	SourceTimeout  SourceKind = "timeout"
	SourceStatus   SourceKind = "status"
	SourceLatency  SourceKind = "latency"
	SourceTTFB     SourceKind = "ttfb"
	SourceAnswer   SourceKind = "answer"  // json:PATH, header:NAME or text of the answer
	SourceMeasure  SourceKind = "measure" // what a gateway measures of the answer beside its times: tokens, cost
	SourceFeedback SourceKind = "feedback"
	SourceAgree    SourceKind = "agree"
)

// SourceSpec is a source taken apart.
type SourceSpec struct {
	Kind     SourceKind
	Status   uint16       // status
	Selector SelectorSpec // answer, measure and agree: where the answer's value is
	Feedback string       // feedback and agree: under which name the outcome is told
}

// ReadsAnswer says whether the source needs a value of the answer, that is, a signal.
func (s SourceSpec) ReadsAnswer() bool {
	return s.Kind == SourceAnswer || s.Kind == SourceAgree || s.Kind == SourceMeasure
}

// ReadsFeedback says whether the source waits for an outcome told later.
func (s SourceSpec) ReadsFeedback() bool { return s.Kind == SourceFeedback || s.Kind == SourceAgree }

// String is the canonical spelling of the source.
func (s SourceSpec) String() string {
	switch s.Kind {
	case SourceStatus:
		return "status:" + strconv.Itoa(int(s.Status))
	case SourceAnswer:
		return s.Selector.String()
	case SourceMeasure:
		return s.Selector.Name
	case SourceFeedback:
		return "feedback:" + s.Feedback
	case SourceAgree:
		return "agree(" + s.Selector.String() + ", feedback:" + s.Feedback + ")"
	default:
		return string(s.Kind)
	}
}

var sourceForms = []string{
	"error", "timeout", "status", "latency", "ttfb", "ttft", "tpot", "tokens", "cost", "length", "similarity", "finish", "truncated", "cancelled", "fellBack",
	"text", "json", "header", "feedback", "agree",
}

// Parse takes the source apart.
func (s Source) Parse() (SourceSpec, error) {
	text := strings.TrimSpace(string(s))
	if inner, ok := strings.CutPrefix(text, "agree"); ok {
		return parseAgree(text, strings.TrimSpace(inner))
	}
	family, name, hasName := strings.Cut(text, ":")
	family, name = strings.TrimSpace(family), strings.TrimSpace(name)
	switch family {
	case "error", "timeout", "latency", "ttfb":
		if !hasName {
			return SourceSpec{Kind: SourceKind(family)}, nil
		}
		return SourceSpec{}, invalidText("source", text, fmt.Sprintf("%q alone", family))
	case "status":
		n, err := strconv.ParseUint(name, 10, 16)
		if err != nil || n < 100 || n > 599 {
			return SourceSpec{}, invalidText("source", text, `a status from 100 to 599, like "status:429"`)
		}
		return SourceSpec{Kind: SourceStatus, Status: uint16(n)}, nil
	case "text":
		if !hasName {
			return SourceSpec{Kind: SourceAnswer, Selector: SelectorSpec{Kind: SelectText}}, nil
		}
		sel, err := Selector(family + ":" + name).Parse()
		return SourceSpec{Kind: SourceAnswer, Selector: sel}, err
	case "ttft", "tpot", "tokens", "cost", "length", "similarity", "finish", "truncated", "cancelled", "fellBack":
		if hasName {
			family += ":" + name
		}
		m, err := parseMeasure(family)
		return SourceSpec{Kind: SourceMeasure, Selector: SelectorSpec{Kind: SelectMeasure, Name: m}}, err
	case "json", "header":
		sel, err := Selector(family + ":" + name).Parse()
		return SourceSpec{Kind: SourceAnswer, Selector: sel}, err
	case "feedback":
		return SourceSpec{Kind: SourceFeedback, Feedback: name}, checkFeedbackName(name)
	}
	return SourceSpec{}, invalidText("source", text,
		"error, timeout, status:CODE, latency, ttfb, ttft, tpot, tokens:KIND, cost, length, similarity, finish, truncated, cancelled, fellBack, text, json:PATH, header:NAME, "+
			"feedback:NAME or agree(json:PATH, feedback:NAME)"+
			didYouMean(family, sourceForms))
}

// parseAgree reads what follows the word "agree".
func parseAgree(text, inner string) (SourceSpec, error) {
	bad := invalidText("source", text, `"agree(json:PATH, feedback:NAME)" with the answer's value first and the outcome second`)
	if !strings.HasPrefix(inner, "(") || !strings.HasSuffix(inner, ")") {
		return SourceSpec{}, bad
	}
	answer, outcome, ok := strings.Cut(inner[1:len(inner)-1], ",")
	name, isFeedback := strings.CutPrefix(strings.TrimSpace(outcome), "feedback:")
	if !ok || !isFeedback {
		return SourceSpec{}, bad
	}
	sel, err := Selector(strings.TrimSpace(answer)).Parse()
	if err != nil {
		return SourceSpec{}, err
	}
	if sel.Kind != SelectJSON && sel.Kind != SelectHeader && sel.Kind != SelectText {
		return SourceSpec{}, bad
	}
	name = strings.TrimSpace(name)
	return SourceSpec{Kind: SourceAgree, Selector: sel, Feedback: name}, checkFeedbackName(name)
}

// checkFeedbackName says whether an outcome may be told under this name.
func checkFeedbackName(name string) error {
	if isWord(name) {
		return nil
	}
	return invalidText("feedback name", name, `a name of letters, digits, "-" and "_", at most 63, beginning with a letter, like "feedback:outcome"`)
}
