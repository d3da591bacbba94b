package release

// Sizes that are fixed everywhere and for ever: they are part of what is stored.
const (
	Bins       = 1024 // bins of units: how variance is estimated (statistics: rule R2)
	Partitions = 16   // logs of telemetry; a unit's partition is Bin / (Bins/Partitions)
	MaxSignals = 16   // signals (extracted values) per exposure
	MaxArms    = 8    // live and at most seven candidates
)

// ModelKey is the compact name of a model inside events and exposure ids: the low 32 bits of
// XXH3-64 of its name. Package records refuses a model whose key collides with another's.
type ModelKey uint32

// ExposureKind says what an exposure is evidence of.
type ExposureKind uint8

// The kinds, stored: new ones go to the end.
const (
	ExposureServe   ExposureKind = iota // the unit's arm answered the user
	ExposureWouldBe                     // live answered; Arm is the arm the unit would have (A/A)
	ExposureCopy                        // the candidate's discarded answer to a mirrored request
	ExposureOutside                     // no release was running; Arm is 0
)

// Fault says whose fault a failed exposure is.
type Fault uint8

// The faults, stored: new ones go to the end. Upstream and timeout count as the metric "error".
const (
	FaultNone     Fault = iota
	FaultClient         // 4xx, client gone
	FaultUpstream       // 5xx, connection refused or broken, malformed answer
	FaultTimeout        // the version's deadline passed
	FaultGateway        // ours: overload, limits
)

// Flags of an exposure, stored: new ones go to the end.
const (
	FlagPerRequest uint16 = 1 << iota // the request named no unit; it is one by itself
	FlagMirrored                      // a copy was sent to the candidate: the pair is complete when the copy's exposure arrives
	FlagFellBack                      // the candidate failed and live answered: counted as the candidate's failure
	FlagCancelled                     // the client went away before the answer was complete
	FlagTruncated                     // the upstream ended early
	FlagBreaker                       // live answered because the gateway's breaker was open
	FlagLease                         // live answered because the lease of the gateway's routes was over
	FlagEvaluated                     // only the assignment was asked for: nobody saw the answer
	FlagEstimated                     // tokens of the answer were counted from a stream's events, because its usage was not told
)

// ValueKind is the type of a Value.
type ValueKind uint8

// The kinds of values, stored.
const (
	ValueNone     ValueKind = iota // absent
	ValueNumber                    // Num
	ValueCategory                  // Cat: an index into the dictionary that travels with the event
)

// Value is one signal of an exposure, or the value of a feedback.
type Value struct {
	Num  float64 // finite
	Cat  uint32
	Kind ValueKind
}

// Exposure is one request of one unit served by one arm, or mirrored to it. Fixed size and free of
// pointers, so that recording one allocates nothing.
type Exposure struct {
	ID      uint64 // nonce: joins feedback and the two answers of a pair
	Unit    uint64 // keyed hash of the unit
	Time    int64  // Unix milliseconds, when the request had been read
	Model   ModelKey
	Release uint32 // number within the model; 0 outside
	Latency uint32 // microseconds from the request read to the last byte of the answer, without the wait for a connection
	TTFB    uint32 // microseconds to the first byte of the answer
	ReqLen  uint32
	RespLen uint32
	Stratum uint16
	Status  uint16
	Bin     uint16
	Flags   uint16
	Epoch   uint8
	Arm     uint8 // as assigned (intention to treat)
	Kind    ExposureKind
	Fault   Fault
	N       uint8 // signals in Values
	Values  [MaxSignals]Value
}

// Failed says whether the exposure counts for the metric "error".
func (e *Exposure) Failed() bool { return e.Fault == FaultUpstream || e.Fault == FaultTimeout }

// Partition returns the number of the log in which events of this bin belong.
func Partition(bin uint16) int { return int(bin) / (Bins / Partitions) }

// Feedback is an outcome told later.
type Feedback struct {
	Exposure uint64 // the exposure's nonce; told by unit: a hash of the outcome's key, which makes a resend known, 0 without one
	Unit     uint64
	Exposed  int64 // Unix milliseconds of the exposure; equal to Time when told by unit
	Time     int64 // Unix milliseconds, when it was accepted
	Model    ModelKey
	Release  uint32
	Stratum  uint16
	Bin      uint16
	Epoch    uint8
	Arm      uint8
	Kind     ExposureKind
	Name     uint32 // index of the feedback's name in the dictionary
	Value    Value
}

// Mark is a fact that the controller writes into every partition's log at a definite position.
type Mark struct {
	Model    ModelKey
	Release  uint32
	Baseline *Baseline // the only kind of mark so far
}

// ArmCount is a gateway's cumulative account of one arm since its incarnation began: duplicates and
// lost batches do no harm, gaps are visible.
type ArmCount struct {
	Model   ModelKey
	Release uint32
	Stratum uint16
	Arm     uint8
	Seen    uint64 // exposures that happened
	Dropped uint64 // of those, never recorded
}

// Batch is one entry of a partition's log: what one producer had to tell since its last batch.
type Batch struct {
	Producer    string // gateway or controller
	Incarnation uint64 // changes with each start of the producer
	Seq         uint64 // from 1 per producer, incarnation and partition, without gaps
	Counts      []ArmCount
	Dict        []string // strings that Cat and Name point to
	Exposures   []Exposure
	Feedback    []Feedback
	Marks       []Mark
}

// Baseline is what is frozen from live before comparing. It is made once per release, by a decision.
type Baseline struct {
	Made    int64                     `json:"made"` // Unix milliseconds
	Metrics map[string]MetricBaseline `json:"metrics"`
}

// MetricClass is the engine that judges a metric, frozen with the baseline.
type MetricClass string

// The classes (statistics: R3 and the defaults of §1.2).
const (
	ClassEvent        MetricClass = "event"        // rarer outcome below 5 %: E1 and R3, per unit
	ClassFrequent     MetricClass = "frequent"     // E2 over bins
	ClassBoth         MetricClass = "both"         // between: both, alpha halved
	ClassDistribution MetricClass = "distribution" // latency, category
)

// MetricBaseline holds the frozen facts of one metric.
type MetricBaseline struct {
	Class    MetricClass `json:"class"`
	Invert   bool        `json:"invert,omitempty"`   // proportion judged as event: the event is the outcome 0
	N        uint64      `json:"n"`                  // observations it was made from
	Mean     float64     `json:"mean"`               // live's mean or rate
	Variance float64     `json:"variance,omitempty"` // live's per-observation variance, v0
	Cap      float64     `json:"cap,omitempty"`      // means: winsorised at live's p99
	// Latency: frozen thresholds, microseconds, snapped to the histogram's edges.
	Thresholds []Threshold `json:"thresholds,omitempty"`
	// Category: the dictionary; any other answer is "other".
	Categories []string `json:"categories,omitempty"`
}

// Threshold is one point x of live's latency distribution and what is asked of the candidate there.
type Threshold struct {
	Quantile float64 `json:"quantile"`
	X        uint32  `json:"x"`        // live: exceeds x
	Tolerate uint32  `json:"tolerate"` // candidate: exceeds tolerate * x
	Margin   uint32  `json:"margin"`   // candidate: exceeds margin * x
}
