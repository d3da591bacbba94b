package rollout

import (
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
)

// Phase is what users see of a release.
type Phase string

// The phases; the last four are ends.
const (
	Pending       Phase = "Pending"
	Testing       Phase = "Testing"
	Shadowing     Phase = "Shadowing"
	Experimenting Phase = "Experimenting"
	Ramping       Phase = "Ramping"
	Watching      Phase = "Watching"
	Optimizing    Phase = "Optimizing"
	Paused        Phase = "Paused"
	Succeeded     Phase = "Succeeded"
	RolledBack    Phase = "RolledBack"
	Stopped       Phase = "Stopped"
	Undone        Phase = "Undone"
)

// Ended says whether the phase is final.
func (p Phase) Ended() bool {
	return p == Succeeded || p == RolledBack || p == Stopped || p == Undone
}

// State is all that Sluice remembers of one release. It is a value: Step returns a new one.
type State struct {
	Model     string        `json:"model"`
	Number    uint32        `json:"number"`
	Live      string        `json:"live"`             // the version that served when the release began
	Candidate string        `json:"candidate"`        // the version that shall become live
	Spec      release.Model `json:"spec"`             // frozen and normalised
	SpecHash  string        `json:"specHash"`         // SHA-256 of its canonical JSON, hex
	Undoes    uint32        `json:"undoes,omitempty"` // number of the release that this one takes back
	Salt      string        `json:"salt"`
	Authors   []string      `json:"authors,omitempty"` // who started it, and who changed its plan: no second persons
	Created   time.Time     `json:"created"`
	Ended     time.Time     `json:"ended,omitzero"`

	Phase  Phase    `json:"phase"`
	Reason string   `json:"reason"`         // why it is where it is, in words: what it waits for or why it ended
	Step   int      `json:"step"`           // index into Spec.Spec.Plan.Steps
	Stage  int      `json:"stage"`          // canary: index into its shares
	Held   []string `json:"held,omitempty"` // what keeps it from advancing now, most important first

	Intervals  []assign.Interval `json:"intervals"`  // who is served by which arm; candidate's share is derived
	Strata     []Stratum         `json:"strata"`     // all strata so far; the last one is present
	Generation uint64            `json:"generation"` // of this state's routing: grows with every change that gateways must see

	Served          uint64            `json:"served,omitempty"` // lowest generation that all live gateways serve, of the latest tick
	Clock           Clock             `json:"clock"`
	Barriers        []Barrier         `json:"barriers,omitempty"` // what forbids advancing, oldest first
	Harmed          []string          `json:"harmed,omitempty"`   // metrics whose harm was acted upon: a person who resumes accepts them
	Pause           *Pause            `json:"pause,omitempty"`
	Baseline        *release.Baseline `json:"baseline,omitempty"`
	BaselineWritten bool              `json:"baselineWritten,omitempty"` // the mark is in every partition's log
	Memory          judge.Memory      `json:"memory"`
	Last            *judge.Assessment `json:"last,omitempty"` // the latest assessment, for display; never decides
	Test            *TestOutcome      `json:"test,omitempty"`
	Alarm           *Alarm            `json:"alarm,omitempty"` // of the standing watch over the hold-back, the latest

	Effects    []Effect `json:"effects,omitempty"` // to be run until acknowledged
	NextEffect uint64   `json:"nextEffect"`
	Decisions  uint64   `json:"decisions"` // number of the latest decision
	LastHash   string   `json:"lastHash"`  // hash of the latest decision record
}

// Stratum is a period with one constant set of shares.
type Stratum struct {
	ID      uint16               `json:"id"` // from 1
	Epoch   uint8                `json:"epoch"`
	Kind    release.ExposureKind `json:"kind"`
	Step    int                  `json:"step"`
	Shares  []release.Share      `json:"shares"` // by arm, sum is Whole; would-be shares for Kind WouldBe
	Mirror  release.Share        `json:"mirror,omitempty"`
	Opened  time.Time            `json:"opened"`
	Serving time.Time            `json:"serving,omitzero"` // when all live gateways served it
	Closed  time.Time            `json:"closed,omitzero"`
}

// Clock is a step's clock: it counts only while the step is really served and watched.
type Clock struct {
	Tick  time.Time     `json:"tick,omitzero"` // time of the latest tick
	Step  time.Duration `json:"step"`          // counted in this step
	Stage time.Duration `json:"stage"`         // counted at this share
	// Silent is for how long no telemetry arrived although it should; Noted, that this step's log says so.
	Silent time.Duration `json:"silent,omitzero"`
	Noted  bool          `json:"noted,omitempty"`
}

// Barrier is a reason not to advance that isn't a verdict. It ends when its cause was away for a
// while, and takes nothing back: the share stays, harm is still acted upon.
type Barrier struct {
	Kind   string        `json:"kind"` // gap, loss, ratio, outcomes, chain, breaker:GATEWAY
	Reason string        `json:"reason"`
	Since  time.Time     `json:"since"`
	Left   time.Duration `json:"left"` // until it ends if its cause stays away
}

// Pause is why a release waits and how it goes on.
type Pause struct {
	Since  time.Time `json:"since"`
	By     string    `json:"by"` // a person, or "sluice"
	Cause  Cause     `json:"cause"`
	Reason string    `json:"reason"`
	Phase  Phase     `json:"phase"` // the phase to which resume returns
}

// Cause says what kind of event paused a release, because what a person may do next depends on it.
type Cause string

// The causes.
const (
	ByPerson    Cause = "person"    // resume goes on
	ByUndecided Cause = "undecided" // a deadline passed: resume gives a new one, retry starts the step afresh
	ByHarm      Cause = "harm"      // harm with onHarm: pause; resume accepts it on record
	ByTest      Cause = "test"      // the suite ran without a required case
	ByEffect    Cause = "effect"    // something outside can't be done; retry asks for it again
	ByPlan      Cause = "planEnd"   // every step passed, but the plan ends without a production step
)

// TestOutcome is what the test step's suite reported.
type TestOutcome struct {
	Passed   bool      `json:"passed"`
	Summary  string    `json:"summary"`
	Required int       `json:"required"`
	Failed   []string  `json:"failed,omitempty"` // required cases that failed
	Finished time.Time `json:"finished"`
	Report   string    `json:"report,omitempty"` // hash of the stored report
}

// What a decision does.
type What string

// The decisions.
const (
	Start    What = "start"
	Advance  What = "advance"
	Hold     What = "hold"
	PauseIt  What = "pause"
	Resume   What = "resume"
	RollBack What = "rollback"
	Finish   What = "finish"
	Stop     What = "stop"
	Undo     What = "undo"
	Retry    What = "retry"
	Adjust   What = "adjust"
	Freeze   What = "baseline"
	Note     What = "note" // something on record that moves nothing: breaker trip, recovered gap
)

// Decision is one link of the audit chain: what was done, from where to where, by whom and why.
type Decision struct {
	Model     string           `json:"model"`
	Release   uint32           `json:"release"`
	Number    uint64           `json:"number"` // from 1 within the release
	Time      time.Time        `json:"time"`
	Step      release.StepKind `json:"step"`
	What      What             `json:"what"`
	From      release.Share    `json:"from"`  // candidate's share before
	To        release.Share    `json:"to"`    // and after
	Phase     Phase            `json:"phase"` // after
	By        string           `json:"by"`    // "sluice" or a person
	Role      string           `json:"role,omitempty"`
	Address   string           `json:"address,omitempty"`
	Reason    string           `json:"reason"`
	Exposures []uint64         `json:"exposures,omitempty"` // by arm, of the step
	Verdicts  []judge.Verdict  `json:"verdicts,omitempty"`
	Tally     string           `json:"tally,omitempty"` // SHA-256 of the tally that was judged
	Look      *Look            `json:"look,omitempty"`  // what else was judged with it, so that the judgement can be repeated
	Prev      string           `json:"prev"`            // hash of the previous record of the release; of the model's previous release for the first
	Hash      string           `json:"hash"`            // SHA-256 of the canonical JSON of all fields above
}

// EffectKind says what an effect does.
type EffectKind string

// The effects.
const (
	RunSuite      EffectKind = "runSuite"
	WriteBaseline EffectKind = "writeBaseline"
	Notify        EffectKind = "notify"
	SetLive       EffectKind = "setLive" // the candidate is status.live from now on
)

// Effect is something to be done outside, kept in the state until it is acknowledged and run
// idempotently by Key.
type Effect struct {
	Key  string     `json:"key"` // model/release/number: unique for ever
	Kind EffectKind `json:"kind"`
	// Exactly what the kind needs.
	Suite    string            `json:"suite,omitempty"`
	Version  string            `json:"version,omitempty"`
	Decision uint64            `json:"decision,omitempty"` // notify: which one
	Baseline *release.Baseline `json:"baseline,omitempty"`
}

// Alarm is what the standing watch found in a release that succeeded and keeps its hold-back. It goes on record and is told
// to whoever listens; it moves nothing.
type Alarm struct {
	Number int       `json:"number"` // from 1 within the release
	Time   time.Time `json:"time"`
	Metric string    `json:"metric"`
	Since  time.Time `json:"since"` // when it probably began
	Reason string    `json:"reason"`
}

// Input is what Step reacts to: exactly one of the pointers is set beside Now.
type Input struct {
	Now     time.Time
	Tick    *Tick
	Test    *TestOutcome
	Done    *Done
	Command *Command
	Breaker *BreakerTrip
	Alarm   *Alarm // its Time is not read: Now is
}

// Tick comes once a second with what is known.
type Tick struct {
	// Served is the lowest routing generation that all live gateways serve; 0: no gateway is alive.
	Served uint64
	// Gaps in the telemetry that make the present stratum unusable until it is over.
	Gap string
	// Assessment of the present tallies and the hash of the tally; nil: nothing new was judged.
	Assessment *judge.Assessment
	TallyHash  string
	Look       *Look
	// Baseline that could be frozen from the present tallies; nil: not yet.
	Baseline *release.Baseline
	// Arriving says whether telemetry of this release arrived since the last tick.
	Arriving bool
	// ChainBroken is set when the audit chain failed its verification.
	ChainBroken string
}

// Look is what a judgement rests on beside the tally, the frozen Model and the strata: with the telemetry's log, it is
// enough to judge again and to arrive at the same verdicts, bit for bit.
type Look struct {
	Positions []uint64         `json:"positions"` // by partition: the last entry of its log that was folded
	Strata    int              `json:"strata"`    // how many strata the release had
	Step      release.StepKind `json:"step"`
	Baseline  bool             `json:"baseline"` // live's figures were frozen before
	Rate      float64          `json:"rate"`     // exposures per second
	UnitRate  float64          `json:"unitRate"` // new units per second
	Memory    judge.Memory     `json:"memory"`   // of the looks before
}

// Done acknowledges an effect.
type Done struct {
	Key string
	Err string // why it can't ever be done; the release pauses with it as the reason
}

// BreakerTrip is a gateway's report that it sent its own traffic to live.
type BreakerTrip struct {
	Gateway string
	Reason  string
	Closed  bool // it closed again
}

// CommandKind is an operator's verb.
type CommandKind string

// The commands.
const (
	CmdPromote CommandKind = "promote"
	CmdPause   CommandKind = "pause"
	CmdResume  CommandKind = "resume"
	CmdAbort   CommandKind = "abort"
	CmdRetry   CommandKind = "retry"
	CmdApprove CommandKind = "approve"
	CmdAdjust  CommandKind = "adjust"
	CmdUndo    CommandKind = "undo" // taken by records, which starts a release that undoes; refused by Step
)

// Command is an operator's wish, with the person and the reason on record.
type Command struct {
	Kind    CommandKind
	By      string
	Role    string
	Roles   []string // all roles and groups the person has, for approvals
	Address string
	Reason  string
	Plan    *release.Plan // adjust
}
