package release

// Selector is where a value is taken from a request or an answer: "header:X-User-Id",
// "json:applicant.id", "cookie:uid", "query:user".
type Selector string

// Source is what a metric is made from, in its canonical spelling:
//
//	error                 the exposure failed by the version's fault
//	timeout               ... because its deadline passed
//	status:429            the answer had this status
//	latency, ttfb         milliseconds
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
