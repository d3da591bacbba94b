package release

import "time"

// APIVersion is the only version of the files that this build reads.
const APIVersion = "sluice.dev/v1alpha1"

// Kinds of files.
const (
	KindModel  = "Model"
	KindConfig = "Config"
	KindSuite  = "Suite"
)

// Model is the file that describes a model, its versions, what is measured and the way of a release.
type Model struct {
	APIVersion string   `json:"apiVersion"` // sluice.dev/v1alpha1
	Kind       string   `json:"kind"`       // Model
	Metadata   Metadata `json:"metadata"`   // its name
	Spec       Spec     `json:"spec"`       // everything else
}

// Metadata names an object. Labels are free and never interpreted.
type Metadata struct {
	Name   string            `json:"name"`             // lower-case letters, digits and inner "-", at most 63
	Labels map[string]string `json:"labels,omitempty"` // for people and their tools
}

// Spec is what a Model file says about its model.
type Spec struct {
	Match    Match               `json:"match"`              // which requests belong to it
	Dialect  Dialect             `json:"dialect"`            // what clients and versions talk
	Unit     UnitSpec            `json:"unit,omitzero"`      // who is assigned to a version: normally a user
	Traffic  Traffic             `json:"traffic,omitzero"`   // expected; what lint and simulate plan with
	Segments map[string]Selector `json:"segments,omitempty"` // parts of the traffic that are shown apart: name and where the request says it
	Versions map[string]Version  `json:"versions"`           // what can answer, by name
	Live     string              `json:"live"`               // the first live version; afterwards status.live is Sluice's
	Limits   Limits              `json:"limits,omitzero"`    // of what a client may send
	Feedback FeedbackSpec        `json:"feedback,omitzero"`  // how late outcomes are accepted
	Capture  *Capture            `json:"capture,omitempty"`  // a sample of bodies for people to look at; default: none
	Metrics  []Metric            `json:"metrics"`            // what is measured, and what may be lost
	Plan     Plan                `json:"plan"`               // the way of a release
}

// Match says which requests belong to the model. Most specific first: model, host, longest path, headers.
type Match struct {
	Path    string            `json:"path,omitempty"`    // exact, or a prefix when it ends in "/"
	Host    string            `json:"host,omitempty"`    // without port
	Headers map[string]string `json:"headers,omitempty"` // each with exactly this value
	Model   string            `json:"model,omitempty"`   // the body's model, for LLM dialects
}

// Dialect is the language in which clients talk to the model.
type Dialect string

// The dialects. Anything that is not understood is relayed as it is.
const (
	DialectJSON      Dialect = "json"
	DialectRaw       Dialect = "raw"
	DialectOpenAI    Dialect = "openai"
	DialectAnthropic Dialect = "anthropic"
	DialectGemini    Dialect = "gemini"
	DialectOIP       Dialect = "oip"
)

// UnitSpec says who is assigned: the first selector that is present names the unit.
type UnitSpec struct {
	From    []Selector  `json:"from,omitempty"`    // where the request names its unit; the first that is present. Dialects of language models have a default
	Missing UnitMissing `json:"missing,omitempty"` // a request without one: live (default) serves it unanalysed, perRequest makes it a unit
}

// UnitMissing says what happens to a request that names no unit.
type UnitMissing string

// Live serves it by the live version and leaves it out of the analysis; perRequest makes each such
// request a unit of its own.
const (
	MissingLive       UnitMissing = "live"
	MissingPerRequest UnitMissing = "perRequest"
)

// Traffic is what lint and simulate plan with.
type Traffic struct {
	Requests Rate `json:"requests,omitzero"` // like 40/s
	Users    Rate `json:"users,omitzero"`    // different ones, like 20000/day
}

// Version is one upstream that can answer.
type Version struct {
	URL           string            `json:"url"`                    // http or https, with the path that requests' paths are added to
	Timeout       Duration          `json:"timeout,omitzero"`       // of the whole answer; default 30 s
	MaxConcurrent int               `json:"maxConcurrent,omitzero"` // default 512; beyond: 429 with Retry-After
	Protocol      Protocol          `json:"protocol,omitempty"`     // auto (default): HTTP/1.1, and HTTP/2 for gRPC; or h1, h2 (over TLS), h2c (HTTP/2 without TLS)
	Timeouts      Timeouts          `json:"timeouts,omitzero"`      // of the parts of an answer; the whole is timeout's
	Queue         Queue             `json:"queue,omitzero"`         // for requests beyond maxConcurrent; default: none
	Health        HealthCheck       `json:"health,omitzero"`        // asks the version how it is; default: only its answers tell
	Hedge         Hedge             `json:"hedge,omitzero"`         // a second request when the first is slow; default: none
	Headers       map[string]Secret `json:"headers,omitempty"`      // added to each request
	Model         string            `json:"model,omitempty"`        // the name under which the upstream knows it, put into each request; default: the client's
	Price         Price             `json:"price,omitzero"`         // of its tokens, for the metric cost
	Failover      bool              `json:"failover,omitempty"`     // a candidate that fails before its first byte is retried on live
}

// Price is what a version's answers cost, in any one currency. What is left out costs nothing, but for the cache.
type Price struct {
	Input      float64  `json:"input,omitzero"`       // per million tokens of the prompt
	Output     float64  `json:"output,omitzero"`      // per million tokens of the answer, reasoning included
	CacheRead  *float64 `json:"cacheRead,omitempty"`  // per million tokens of the prompt that came from the provider's cache; default: as input
	CacheWrite *float64 `json:"cacheWrite,omitempty"` // per million tokens of the prompt that were written into it; default: as input
	Request    float64  `json:"request,omitzero"`     // per request
}

// Protocol is how a version's server is asked.
type Protocol string

// The protocols. Auto is HTTP/1.1 over as many connections as there are requests, but HTTP/2 for gRPC, which needs it.
const (
	ProtocolAuto Protocol = "auto"
	ProtocolH1   Protocol = "h1"
	ProtocolH2   Protocol = "h2"
	ProtocolH2C  Protocol = "h2c"
)

// Timeouts bound the parts of an answer, from when the request is sent; each that is left out is bounded by timeout alone.
type Timeouts struct {
	Headers    Duration `json:"headers,omitzero"`    // until its head
	FirstToken Duration `json:"firstToken,omitzero"` // until its first content: a stream's first token, else the first byte
	Between    Duration `json:"between,omitzero"`    // from one piece to the next: a stream's events
	// KeepAlive is after which silence before its first event the client of a stream is told, by a comment, that it is alive; default: never. It gives up the failover of an answer that has begun
	KeepAlive Duration `json:"keepAlive,omitzero"`
}

// Queue lets requests wait for a version that serves as many as it may.
type Queue struct {
	Length int      `json:"length,omitzero"` // requests that wait at most; beyond: 429 with Retry-After
	Wait   Duration `json:"wait,omitzero"`   // of each at most; default 1 s
}

// HealthCheck asks a version how it is, beside the requests of clients.
type HealthCheck struct {
	Path      string   `json:"path,omitempty"`      // behind the version's url, like /healthz; 2xx and 3xx are well; required
	Interval  Duration `json:"interval,omitzero"`   // default 5 s
	Timeout   Duration `json:"timeout,omitzero"`    // default 2 s
	Unhealthy int      `json:"unhealthy,omitempty"` // failures in a row, after which live answers a candidate's users; default 3
	Healthy   int      `json:"healthy,omitempty"`   // successes in a row, after which it is served again; default 2
}

// Hedge sends a request once more to the same version when no answer has begun; the first answer counts and the other is cancelled.
// Requests that are streamed or switch protocols are never sent twice.
type Hedge struct {
	After Duration `json:"after,omitzero"` // how long to wait for the first answer; 0: never
	Any   bool     `json:"any,omitempty"`  // requests of every method, POST too; default: only those that may be repeated (GET, PUT, an Idempotency-Key)
}

// Secret is a literal, env:NAME or file:PATH. It is resolved when the routes are compiled and never stored resolved.
type Secret string

// Limits of what a client may send to this model.
type Limits struct {
	Body Bytes `json:"body,omitzero"` // default 10 MiB
}

// Capture keeps a sample of requests and answers, for people to look at: redacted, encrypted, for a while.
type Capture struct {
	Share   Share    `json:"share"`            // of the exchanges
	Redact  []string `json:"redact,omitempty"` // json:PATH of values to take out whole; # is all elements of a list. E-mail addresses, numbers of telephones, cards, accounts and national ids, and the unit, are taken out anyway
	Keep    Duration `json:"keep,omitzero"`    // default 72 h, at most 30 days
	MaxBody Bytes    `json:"maxBody,omitzero"` // longer bodies are not kept; default 64 KiB, at most 1 MiB
}

// FeedbackSpec bounds how late an outcome may be told.
type FeedbackSpec struct {
	Horizon Duration `json:"horizon,omitzero"` // default 72 h
}

// Metric is one thing that is measured per exposure or feedback, and what may be lost of it.
type Metric struct {
	Name      string     `json:"name"`                // of letters, digits, "-" and "_"
	Source    Source     `json:"source"`              // error, timeout, status:CODE, latency, ttfb, ttft, tpot, tokens:KIND, cost, finish, finish:REASON, length, similarity, text, text:PATH, json:PATH, header:NAME, truncated, cancelled, fellBack, feedback:NAME or agree(json:PATH, feedback:NAME)
	Kind      MetricKind `json:"kind,omitempty"`      // default: from the source
	Direction Direction  `json:"direction,omitempty"` // default: lower for errors, latency, cost; required otherwise, none for categories
	Margin    Margin     `json:"margin,omitzero"`     // what may be lost at most; required unless role is watch; default for latency 1.25x
	Tolerate  Margin     `json:"tolerate,omitzero"`   // the harm that one accepts; default: half the margin, for latency at most 1.1x
	Role      Role       `json:"role"`                // objective (at most one), guardrail, or watch, which never decides
	Weight    float64    `json:"weight,omitempty"`    // share of alpha among guardrails and objective, relative; default 1
	Quantile  float64    `json:"quantile,omitempty"`  // latency: the quantile of the margin; default 0.95
	Window    Duration   `json:"window,omitzero"`     // how long an outcome is waited for; required for feedback; otherwise default 10 min, at most the shortest hold
	Missing   Missing    `json:"missing,omitempty"`   // feedback that never comes: skip (default) or zero
}

// MetricKind is how a metric is judged.
type MetricKind string

// The kinds. Event: did it happen to the unit; proportion and mean: over requests; latency and category: distributions.
const (
	MetricEvent      MetricKind = "event"
	MetricProportion MetricKind = "proportion"
	MetricMean       MetricKind = "mean"
	MetricLatency    MetricKind = "latency"
	MetricCategory   MetricKind = "category"
)

// Direction is which way is good.
type Direction string

// The directions.
const (
	Lower  Direction = "lower"
	Higher Direction = "higher"
)

// Role is what a metric may decide.
type Role string

// An objective must be shown no worse or better, a guardrail must not be shown worse, watch never decides.
const (
	Objective Role = "objective"
	Guardrail Role = "guardrail"
	Watch     Role = "watch"
)

// Missing is how feedback that never came counts.
type Missing string

// Skip leaves the exposure out; zero counts it as 0 once its window is over.
const (
	MissingSkip Missing = "skip"
	MissingZero Missing = "zero"
)

// Plan is the ordered way of a release.
type Plan struct {
	Alpha        float64  `json:"alpha,omitempty"`        // chance of a false alarm in a release, all metrics together; default 0.05
	Steps        []Step   `json:"steps"`                  // in this order: test, shadow, abTest, canary, production, optimize; approvals and pauses between
	OnHarm       OnHarm   `json:"onHarm,omitempty"`       // default: rollback
	NoData       OnNoData `json:"noData,omitempty"`       // default and only value: hold
	KeepHoldback bool     `json:"keepHoldback,omitempty"` // keep the hold-back after success, until another release starts
}

// OnHarm is what follows when harm is shown.
type OnHarm string

// The reactions to harm.
const (
	HarmRollback OnHarm = "rollback"
	HarmPause    OnHarm = "pause"
)

// OnUndecided is what follows when the deadline passes undecided.
type OnUndecided string

// The reactions to a deadline without a decision. Undecided is never success.
const (
	UndecidedPause    OnUndecided = "pause"
	UndecidedRollback OnUndecided = "rollback"
)

// OnNoData is what follows when nothing arrives: holding is the only answer that is never wrong.
type OnNoData string

// NoDataHold waits.
const NoDataHold OnNoData = "hold"

// Goal is what the objective of an A/B test must reach.
type Goal string

// The goals.
const (
	GoalBetter  Goal = "better"
	GoalNoWorse Goal = "noWorse"
)

// Step is one stage of the plan: exactly one field is set.
type Step struct {
	Test       *TestStep       `json:"test,omitempty"`       // run a suite against the candidate
	Shadow     *ShadowStep     `json:"shadow,omitempty"`     // mirror requests to it and compare the answers
	ABTest     *ABTestStep     `json:"abTest,omitempty"`     // serve it to a constant share of the users
	Canary     *CanaryStep     `json:"canary,omitempty"`     // serve it to a growing share
	Approval   *ApprovalStep   `json:"approval,omitempty"`   // wait for a person with a role
	Pause      *PauseStep      `json:"pause,omitempty"`      // wait for a time or a person
	Production *ProductionStep `json:"production,omitempty"` // serve it to all but the hold-back, and watch
	Optimize   *OptimizeStep   `json:"optimize,omitempty"`   // move shares among versions by evidence
}

// StepKind names a step's kind as the file does.
type StepKind string

// The kinds of steps.
const (
	StepTest       StepKind = "test"
	StepShadow     StepKind = "shadow"
	StepABTest     StepKind = "abTest"
	StepCanary     StepKind = "canary"
	StepApproval   StepKind = "approval"
	StepPause      StepKind = "pause"
	StepProduction StepKind = "production"
	StepOptimize   StepKind = "optimize"
)

// TestStep runs a suite against the candidate before any user or copy reaches it.
type TestStep struct {
	Suite    string   `json:"suite"`             // path of the Suite file, relative to the Model file
	Deadline Duration `json:"deadline,omitzero"` // default 10 min
}

// ShadowStep mirrors requests to the candidate; its answers are discarded and compared.
type ShadowStep struct {
	Share    Share       `json:"share"`    // of the units, whose requests are mirrored
	Until    ShadowUntil `json:"until"`    // how much must be compared
	Deadline Duration    `json:"deadline"` // of the step
}

// ShadowUntil is how much must be compared.
type ShadowUntil struct {
	Pairs int64 `json:"pairs"` // of answers to the same request
}

// ABTestStep gives the candidate a constant share of the units.
type ABTestStep struct {
	Share       Share       `json:"share"`                 // of the users; all others are the control
	Goal        Goal        `json:"goal,omitempty"`        // what the objective must be shown to be; default: noWorse
	Hold        Duration    `json:"hold,omitzero"`         // at least; default 10 min, or half the deadline if that is shorter
	Deadline    Duration    `json:"deadline"`              // of the step
	OnUndecided OnUndecided `json:"onUndecided,omitempty"` // default: pause
}

// CanaryStep grows the share.
type CanaryStep struct {
	Shares      []Share     `json:"shares"`                // of the users, rising
	Hold        Duration    `json:"hold,omitzero"`         // at each share, at least; default 10 min, or half the deadline if that is shorter
	Deadline    Duration    `json:"deadline"`              // of each share
	OnUndecided OnUndecided `json:"onUndecided,omitempty"` // default: pause
}

// ApprovalStep waits for a person who has one of the roles.
type ApprovalStep struct {
	By           []string `json:"by,omitempty"`           // roles or groups, one of which is enough; default: any operator
	SecondPerson bool     `json:"secondPerson,omitempty"` // it must be somebody else than who started the release or changed its plan
}

// PauseStep waits for a time, or for a person when Duration is zero.
type PauseStep struct {
	Duration Duration `json:"duration,omitzero"` // default: until a person resumes
}

// ProductionStep serves the candidate to all but the hold-back and watches.
type ProductionStep struct {
	Holdback Share    `json:"holdback,omitzero"` // stays with the former version, to compare with
	Watch    Duration `json:"watch"`             // how long harm is looked for before the release has succeeded
}

// OptimizeStep moves shares among versions by evidence.
type OptimizeStep struct {
	Versions []string `json:"versions,omitempty"` // at least two; default: live and candidate
	Floor    Share    `json:"floor,omitzero"`     // least share of each
}

// Kind returns the step's kind, or "" if not exactly one field is set.
func (s Step) Kind() StepKind {
	kinds := [...]struct {
		set  bool
		kind StepKind
	}{
		{s.Test != nil, StepTest},
		{s.Shadow != nil, StepShadow},
		{s.ABTest != nil, StepABTest},
		{s.Canary != nil, StepCanary},
		{s.Approval != nil, StepApproval},
		{s.Pause != nil, StepPause},
		{s.Production != nil, StepProduction},
		{s.Optimize != nil, StepOptimize},
	}
	var found StepKind
	for _, k := range kinds {
		switch {
		case k.set && found != "":
			return ""
		case k.set:
			found = k.kind
		}
	}
	return found
}

// Defaults that the file may leave out.
const (
	DefaultAlpha           = 0.05
	DefaultQuantile        = 0.95
	DefaultWindow          = 10 * time.Minute
	DefaultHold            = 10 * time.Minute
	DefaultHorizon         = 72 * time.Hour
	DefaultVersionTimeout  = 30 * time.Second
	DefaultMaxConcurrent   = 512
	DefaultQueueWait       = time.Second
	DefaultHealthInterval  = 5 * time.Second
	DefaultHealthTimeout   = 2 * time.Second
	DefaultUnhealthy       = 3
	DefaultHealthy         = 2
	DefaultBodyLimit       = 10 << 20
	DefaultTestDeadline    = 10 * time.Minute
	DefaultLatencyMargin   = 1.25 // x
	DefaultLatencyTolerate = 1.1  // x
)
