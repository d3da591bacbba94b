package suite

import "sluice.dev/sluice/internal/release"

// File is a Suite file.
type File struct {
	APIVersion string           `json:"apiVersion"`
	Kind       string           `json:"kind"`
	Metadata   release.Metadata `json:"metadata"`
	Spec       Spec             `json:"spec"`
}

// Spec is what a Suite file says: where requests go, and the three families of cases.
type Spec struct {
	Seed        int64            `json:"seed,omitempty"`     // of samples; default 1
	Parallel    int              `json:"parallel,omitempty"` // functional requests at once; default 4, at most 64
	Deadline    release.Duration `json:"deadline,omitzero"`  // of the whole suite; default 5 min, at most 1 h
	Target      Target           `json:"target,omitzero"`
	Sample      *Request         `json:"sample,omitempty"` // a sound request: what performance sends and the battery is made from
	Judge       *Judge           `json:"judge,omitempty"`  // for gates that a language model judges
	Functional  []Functional     `json:"functional,omitempty"`
	Performance []Performance    `json:"performance,omitempty"`
	Exceptions  []Exception      `json:"exceptions,omitempty"`
}

// Target is what all requests have in common.
type Target struct {
	Method    string                    `json:"method,omitempty"` // default POST with a body, GET without
	Path      string                    `json:"path,omitempty"`   // default "/"
	Headers   map[string]release.Secret `json:"headers,omitempty"`
	Timeout   release.Duration          `json:"timeout,omitzero"`   // of one answer; default 5 s, at most 5 min
	MaxAnswer release.Bytes             `json:"maxAnswer,omitzero"` // default 1 MiB, at most 64 MiB; more fails the case
	Dialect   release.Dialect           `json:"dialect,omitempty"`  // default json: answers of 2xx must be JSON in the battery

	// Generation is what requests with a prompt ask for. With the dialects openai and anthropic only.
	Generation Generation `json:"generation,omitzero"`
}

// Generation is what a language model is asked for beside the text. What is not set is left out of the request,
// but for anthropic's max_tokens, which must be there and is 256 then.
type Generation struct {
	Model       string   `json:"model,omitempty"`
	MaxTokens   int      `json:"maxTokens,omitempty"`
	Temperature *float64 `json:"temperature,omitempty"`
	Stream      bool     `json:"stream,omitempty"`   // server-sent events
	Logprobs    bool     `json:"logprobs,omitempty"` // openai: the probability of each token, for perplexity
	Echo        bool     `json:"echo,omitempty"`     // openai, /v1/completions: the prompt's own tokens, none beyond: perplexity of a given text
	More        any      `json:"more,omitempty"`     // an object: further members of the body, as they are
}

// Turn is one message of a conversation.
type Turn struct {
	Role    string `json:"role"`
	Content string `json:"content"` // with data: {{column}} too
}

// Request is one request. At most one of Body, Text, File, Bytes, Prompt and Messages is set; what is left out comes from the target.
// With data, {{column}} stands for a value of the row: alone in a string of Body it keeps the value's type (an
// empty cell is null), inside other text it is inserted as text. {{$row}} is the row's number from 0,
// {{column|string}} and {{column|number}} force a type.
type Request struct {
	Method  string                    `json:"method,omitempty"`
	Path    string                    `json:"path,omitempty"`
	Headers map[string]release.Secret `json:"headers,omitempty"`
	Body    any                       `json:"body,omitempty"`  // JSON
	Text    string                    `json:"text,omitempty"`  // as it is
	File    string                    `json:"file,omitempty"`  // content of a file in the suite's folder; with data: {{column}} may name it
	Bytes   string                    `json:"bytes,omitempty"` // with data: the column with the body, a field of a record or base64

	// With the dialects openai and anthropic, which make the body of it.
	Prompt     string      `json:"prompt,omitempty"`     // what a person says
	System     string      `json:"system,omitempty"`     // beside prompt or messages: what the model is told first
	Messages   []Turn      `json:"messages,omitempty"`   // a conversation instead of one prompt
	Generation *Generation `json:"generation,omitempty"` // replaces the target's
}

// Functional is a request, or one for each row of a data file, and what its answer must be.
type Functional struct {
	Name     string           `json:"name"`
	Optional bool             `json:"optional,omitempty"`
	Tags     []string         `json:"tags,omitempty"`
	Timeout  release.Duration `json:"timeout,omitzero"`
	Retries  int              `json:"retries,omitempty"` // further attempts of a request that fails; default 0, at most 5
	Repeat   int              `json:"repeat,omitempty"`  // send each request so often; the answers must be the same; default 1, at most 20
	Same     []string         `json:"same,omitempty"`    // with repeat: JSON paths that must be the same; default: the body
	Data     *Data            `json:"data,omitempty"`
	Request  *Request         `json:"request,omitempty"` // default: the sample
	Expect   Expect           `json:"expect,omitzero"`
	Gates    []Gate           `json:"gates,omitempty"` // need data
}

// Field is a field of a binary record.
type Field struct {
	Name  string    `json:"name"`
	Bytes int       `json:"bytes"`
	As    FieldKind `json:"as,omitempty"` // default: number for one byte, else bytes
}

// FieldKind is how a field of a record is read.
type FieldKind string

// The kinds: a number is unsigned, little-endian, of 1 to 8 bytes; a text is UTF-8 up to its first zero byte.
const (
	FieldNumber FieldKind = "number"
	FieldText   FieldKind = "text"
	FieldBytes  FieldKind = "bytes"
)

// Values implements release.Enum.
func (FieldKind) Values() []string {
	return []string{string(FieldNumber), string(FieldText), string(FieldBytes)}
}

// Data names the rows of a case. A name that ends in .gz is unpacked.
type Data struct {
	File   string  `json:"file"`             // CSV with a header, JSON Lines (.jsonl, .ndjson) of objects, texts (.txt, a column line), or with record any file
	Record []Field `json:"record,omitempty"` // the fields of each record of a binary file, one after the other
	Rows   int     `json:"rows,omitempty"`   // a random sample of so many; default: all
	Seed   int64   `json:"seed,omitempty"`   // of the sample; default: the suite's
}

// Expect is what an answer must be. Without a status 2xx is expected.
type Expect struct {
	Status     any                   `json:"status,omitempty"` // 200, "4xx" or a list of them
	Headers    map[string]TextExpect `json:"headers,omitempty"`
	Body       *TextExpect           `json:"body,omitempty"`
	Text       *ReplyExpect          `json:"text,omitempty"` // of the text that a language model answers, streamed or not; with the dialects openai and anthropic
	JSON       []JSONExpect          `json:"json,omitempty"`
	Schema     any                   `json:"schema,omitempty"`     // a JSON Schema
	SchemaFile string                `json:"schemaFile,omitempty"` // the same from a file in the suite's folder
	Latency    release.Duration      `json:"latency,omitzero"`     // of the whole answer, at most
}

// TextExpect is what a text must be; all that is set must hold.
type TextExpect struct {
	Equals   *string  `json:"equals,omitempty"`
	Contains []string `json:"contains,omitempty"`
	Excludes []string `json:"excludes,omitempty"`
	Regex    string   `json:"regex,omitempty"` // RE2, anywhere in the text
	Similar  *Similar `json:"similar,omitempty"`
}

// ReplyExpect is what the text of a language model must be; all that is set must hold. With data, the texts of Equals,
// Contains, Excludes and Similar may have {{column}} in them.
type ReplyExpect struct {
	Equals     *string  `json:"equals,omitempty"`
	Contains   []string `json:"contains,omitempty"`
	Excludes   []string `json:"excludes,omitempty"`
	Regex      string   `json:"regex,omitempty"` // RE2, anywhere in the text
	Similar    *Similar `json:"similar,omitempty"`
	Ignore     []Ignore `json:"ignore,omitempty"` // of equals, contains, excludes and similar
	JSON       bool     `json:"json,omitempty"`   // the whole text is one JSON value, without a fence around it
	Schema     any      `json:"schema,omitempty"` // and the value obeys this JSON Schema
	SchemaFile string   `json:"schemaFile,omitempty"`
	Refusal    *bool    `json:"refusal,omitempty"` // true: the model must refuse; false: it must not. Told by the API, or by how refusals begin
	MinLength  *int     `json:"minLength,omitempty"`
	MaxLength  *int     `json:"maxLength,omitempty"` // characters
	MinWords   *int     `json:"minWords,omitempty"`
	MaxWords   *int     `json:"maxWords,omitempty"`
	MaxTokens  *int     `json:"maxTokens,omitempty"` // as the version counts them
	Language   string   `json:"language,omitempty"`  // ISO 639-1 or -3: en, zh, deu. Needs a sentence; short texts can't be told
	Finish     []string `json:"finish,omitempty"`    // why it ended: stop, length, end_turn, ...
}

// Ignore is what a comparison of texts leaves out.
type Ignore string

// What can be ignored: upper and lower case, runs and ends of blanks, punctuation.
const (
	IgnoreCase        Ignore = "case"
	IgnoreSpace       Ignore = "space"
	IgnorePunctuation Ignore = "punctuation"
)

// Values implements release.Enum.
func (Ignore) Values() []string {
	return []string{string(IgnoreCase), string(IgnoreSpace), string(IgnorePunctuation)}
}

// Judge is a language model behind an OpenAI-compatible API that compares or marks answers. It is asked at temperature 0
// unless More says otherwise, twice about each row, the second time with the order swapped.
type Judge struct {
	URL       release.Secret            `json:"url"`            // base URL, like https://api.example.com; env:NAME or file:PATH too
	Path      string                    `json:"path,omitempty"` // default /v1/chat/completions
	Model     string                    `json:"model"`
	Headers   map[string]release.Secret `json:"headers,omitempty"`   // like Authorization: file:/run/secrets/judge
	Timeout   release.Duration          `json:"timeout,omitzero"`    // of one answer; default 1 min, at most 5 min
	MaxTokens int                       `json:"maxTokens,omitempty"` // of one answer; default 512
	More      any                       `json:"more,omitempty"`      // an object: further members of the body
}

// Similar compares texts by edit distance: 1 - distance / the longer length, in characters.
type Similar struct {
	To      string  `json:"to"`
	AtLeast float64 `json:"atLeast"` // 0 to 1
}

// JSONExpect is what the value at a path must be; all that is set must hold. A path that is not there fails,
// unless Exists is false.
type JSONExpect struct {
	Path      string   `json:"path"` // like decision, choices.0.text or items.#.id (GJSON)
	Exists    *bool    `json:"exists,omitempty"`
	Type      JSONType `json:"type,omitempty"`
	Equals    any      `json:"equals,omitempty"` // with data: "{{column}}" too
	Tolerance *float64 `json:"tolerance,omitempty"`
	In        []any    `json:"in,omitempty"`
	Min       *float64 `json:"min,omitempty"`
	Max       *float64 `json:"max,omitempty"`
	MinLength *int     `json:"minLength,omitempty"` // characters, elements or members
	MaxLength *int     `json:"maxLength,omitempty"`
	Contains  string   `json:"contains,omitempty"`
	Regex     string   `json:"regex,omitempty"`
	Similar   *Similar `json:"similar,omitempty"`
}

// JSONType is a type of a JSON value.
type JSONType string

// Values implements release.Enum.
func (JSONType) Values() []string {
	return []string{"string", "number", "integer", "boolean", "object", "array", "null"}
}

// Gate judges all rows of a data file together. Label is the column of the truth; Map turns its values into
// the words of the answers. Prediction is the path of the predicted class, Score that of a number which is
// higher the likelier Positive is; a score at or above Threshold predicts Positive. With the dialects openai and
// anthropic a prediction may also be $text (the default), $refusal (true or false), $language or $finish.
//
// Perplexity needs answers with the probabilities of tokens. Preference asks the judge which of the answers, this
// version's or live's, is the better one by the rubric; judged asks whether an answer meets it.
//
// A gate passes when the whole interval lies on the asked side, fails when it lies on the other, and is
// undecided otherwise.
type Gate struct {
	Name            string            `json:"name,omitempty"` // default: made from the metric
	Metric          Measure           `json:"metric"`
	Prediction      string            `json:"prediction,omitempty"`
	Score           string            `json:"score,omitempty"`
	Threshold       *float64          `json:"threshold,omitempty"`
	Label           string            `json:"label,omitempty"` // not for rate
	Map             map[string]string `json:"map,omitempty"`
	Positive        string            `json:"positive,omitempty"` // after Map
	AtLeast         *float64          `json:"atLeast,omitempty"`
	AtMost          *float64          `json:"atMost,omitempty"`
	Confidence      float64           `json:"confidence,omitempty"` // of each side; default 0.95, at least 0.5
	Slices          []Slice           `json:"slices,omitempty"`     // the limits hold in each slice too
	Parity          release.Margin    `json:"parity,omitzero"`      // most that two slices may differ, in pp
	NoWorseThanLive release.Margin    `json:"noWorseThanLive,omitzero"`
	Ignore          []Ignore          `json:"ignore,omitempty"`       // of exactMatch, accuracy by $text, and similarity
	Rubric          string            `json:"rubric,omitempty"`       // for the judge: what makes an answer good
	MinAgreement    *float64          `json:"minAgreement,omitempty"` // of the judge with itself, its lower bound; default 0.5. Below it the gate is undecided
	Optional        bool              `json:"optional,omitempty"`
}

// Measure is what a gate measures.
type Measure string

// The measures. Rate is the share of answers that predict Positive; it needs no truth.
const (
	Accuracy    Measure = "accuracy"
	ExactMatch  Measure = "exactMatch"
	Sensitivity Measure = "sensitivity"
	Specificity Measure = "specificity"
	Precision   Measure = "precision"
	F1          Measure = "f1"
	AUC         Measure = "auc"
	LogLoss     Measure = "logLoss"
	Rate        Measure = "rate"
	Similarity  Measure = "similarity" // mean of 1 - edit distance / the longer length, answer and label
	Perplexity  Measure = "perplexity" // exp of the mean of -ln probability per token
	Preference  Measure = "preference" // how many more answers than live's the judge prefers
	Judged      Measure = "judged"     // share of answers that meet the rubric
)

// Values implements release.Enum.
func (Measure) Values() []string {
	return []string{"accuracy", "exactMatch", "sensitivity", "specificity", "precision", "f1", "auc", "logLoss", "rate", "similarity", "perplexity", "preference", "judged"}
}

// Slice divides rows by the values of a column or, with cuts, by numbers: [30] makes below 30, and 30 and more.
// Rows without a value are in no slice.
type Slice struct {
	Column string    `json:"column"`
	Cuts   []float64 `json:"cuts,omitempty"`
}

// Performance is an open-loop load: requests start at the rate whether or not earlier ones were answered.
type Performance struct {
	Name          string           `json:"name"`
	Optional      bool             `json:"optional,omitempty"`
	Tags          []string         `json:"tags,omitempty"`
	Timeout       release.Duration `json:"timeout,omitzero"`
	Rate          release.Rate     `json:"rate"`
	Duration      release.Duration `json:"duration"`                // at most 10 min
	Ramp          release.Duration `json:"ramp,omitzero"`           // before the warm-up the rate rises from nearly nothing to the full, not counted; at most 1 min
	WarmUp        release.Duration `json:"warmUp,omitzero"`         // at the same rate, not counted; at most 1 min
	MaxConcurrent int              `json:"maxConcurrent,omitempty"` // default 256, at most 4096
	Data          *Data            `json:"data,omitempty"`          // requests from rows, over and over
	Request       *Request         `json:"request,omitempty"`       // default: the sample
	Limits        LoadLimits       `json:"limits,omitzero"`
	AgainstLive   *LiveLimits      `json:"againstLive,omitempty"`
}

// LoadLimits are the most that a load may show, Throughput the least.
type LoadLimits struct {
	P50        release.Duration `json:"p50,omitzero"`
	P95        release.Duration `json:"p95,omitzero"`
	P99        release.Duration `json:"p99,omitzero"`
	Max        release.Duration `json:"max,omitzero"`
	Errors     *release.Share   `json:"errors,omitempty"`    // default 0%
	Throughput release.Rate     `json:"throughput,omitzero"` // good answers per second

	FirstToken release.Duration `json:"firstToken,omitzero"` // p95 of the time to the first token; to the first byte where no dialect says what a token is
	PerToken   release.Duration `json:"perToken,omitzero"`   // median, over answers, of the time per token after the first; openai and anthropic, streamed
	Tokens     release.Rate     `json:"tokens,omitzero"`     // tokens per second of all answers together, at least; openai and anthropic
}

// LiveLimits compare with the live version under the same load at the same time, as factors ("1.25x").
type LiveLimits struct {
	P50        release.Margin `json:"p50,omitzero"`
	P95        release.Margin `json:"p95,omitzero"`
	FirstToken release.Margin `json:"firstToken,omitzero"` // p95
	PerToken   release.Margin `json:"perToken,omitzero"`   // median
}

// Exception is a battery made from the sample, or a case of one's own.
type Exception struct {
	Name     string           `json:"name,omitempty"` // default of a battery: battery
	Optional bool             `json:"optional,omitempty"`
	Tags     []string         `json:"tags,omitempty"`
	Timeout  release.Duration `json:"timeout,omitzero"`
	Battery  Battery          `json:"battery,omitempty"`
	Only     []Trouble        `json:"only,omitempty"`    // parts of the battery
	Except   []Trouble        `json:"except,omitempty"`  // parts that are left out
	Accept   []Trouble        `json:"accept,omitempty"`  // parts that may be answered by 2xx although a refusal is expected
	Oversize release.Bytes    `json:"oversize,omitzero"` // body of the oversized request; default 4 MiB, at most 256 MiB
	Burst    int              `json:"burst,omitempty"`   // connections of the burst; default 64, at most 1000
	Patience release.Duration `json:"patience,omitzero"` // how long the slow client takes; default 500 ms, at most 30 s

	// What the requests look like. With OpenAPI there is a battery per operation, with its own sample.
	Schema    string `json:"schema,omitempty"`    // file with the JSON Schema of the body; without a sample one is made
	OpenAPI   string `json:"openapi,omitempty"`   // file with an OpenAPI 3 document, JSON or YAML
	Operation string `json:"operation,omitempty"` // of the document, like POST /credit; default: all

	Request *Request `json:"request,omitempty"` // default: the sample
	Expect  Expect   `json:"expect,omitzero"`   // own case: default 4xx; battery: of its answers of 2xx
}

// Battery says which battery is used.
type Battery string

// BatteryAll is the whole built-in battery.
const BatteryAll Battery = "all"

// Values implements release.Enum.
func (Battery) Values() []string { return []string{string(BatteryAll)} }
