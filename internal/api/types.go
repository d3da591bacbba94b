package api

import (
	"time"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
)

// ApplyRequest carries a Model file as it was written, and the files that it refers to (suites and
// their data) by the path that it uses.
type ApplyRequest struct {
	Name  string            `json:"name,omitempty"` // of the file, for messages
	File  string            `json:"file"`
	Files map[string]string `json:"files,omitempty"`
	// Why; it goes on record.
	Reason string `json:"reason,omitempty"`
}

// ApplyResponse says what an apply did.
type ApplyResponse struct {
	Model    string   `json:"model"`
	Hash     string   `json:"hash"`
	Changed  bool     `json:"changed"`
	Created  bool     `json:"created"`
	Live     string   `json:"live"`
	Warnings []string `json:"warnings,omitempty"`
}

// Model is a model as the API shows it.
type Model struct {
	Name     string        `json:"name"`
	Live     string        `json:"live"`     // status.live: Sluice's, whatever the file says
	FileLive string        `json:"fileLive"` // what the file says
	Hash     string        `json:"hash"`
	Applied  time.Time     `json:"applied"`
	By       string        `json:"by"`
	Versions []string      `json:"versions"`
	Last     uint32        `json:"last"`
	Running  uint32        `json:"running"`
	Undoable uint32        `json:"undoable,omitempty"` // the release that undo would take back
	Current  *Release      `json:"current,omitempty"`  // the running release, or else the latest
	Traffic  *Traffic      `json:"traffic,omitempty"`  // while it is measured
	Spec     release.Model `json:"spec,omitzero"`      // only when one model is asked for
}

// Traffic is what is measured now.
type Traffic struct {
	RequestsPerSecond float64 `json:"requestsPerSecond"`
}

// Release is a release as the API shows it.
type Release struct {
	Model              string                 `json:"model"`
	Number             uint32                 `json:"number"`
	Candidate          string                 `json:"candidate"`
	Live               string                 `json:"live"`
	Phase              rollout.Phase          `json:"phase"`
	Reason             string                 `json:"reason"` // what it waits for, or why it ended
	Step               int                    `json:"step"`
	Steps              []rollout.StepProgress `json:"steps"`
	Explain            rollout.Explanation    `json:"explain"` // what it waits for, what would advance it and what would roll it back
	Share              release.Share          `json:"share"`   // the candidate's, now
	Created            time.Time              `json:"created"`
	Ended              *time.Time             `json:"ended,omitempty"`
	Duration           float64                `json:"durationSeconds"`
	Exposures          []uint64               `json:"exposures,omitempty"` // by arm, of the present step
	CandidateExposures uint64                 `json:"candidateExposures"`  // requests of users that the candidate answered, over the whole release
	DecisionCount      uint64                 `json:"decisionCount"`
	Verdicts           []judge.Verdict        `json:"verdicts,omitempty"`
	Ratio              *judge.Ratio           `json:"ratio,omitempty"`
	Pairs              uint64                 `json:"pairs,omitempty"`
	Scored             uint64                 `json:"scored,omitempty"`
	Pause              *rollout.Pause         `json:"pause,omitempty"`
	Test               *rollout.TestOutcome   `json:"test,omitempty"`
	Watch              *StandingWatch         `json:"watch,omitempty"`  // what is seen since it succeeded; only of the latest release
	Strata             []rollout.Stratum      `json:"strata,omitempty"` // only when one release is asked for
	Baseline           *release.Baseline      `json:"baseline,omitempty"`
	Decisions          []rollout.Decision     `json:"decisions,omitempty"`
	Spec               *release.Model         `json:"spec,omitempty"` // the file as it was frozen, only when one release is asked for
	SpecHash           string                 `json:"specHash"`
	Generation         uint64                 `json:"generation"`
}

// StandingWatch is what is seen of a live version against the hold-back that its release kept. It never moves a share.
type StandingWatch struct {
	Watching      bool           `json:"watching"` // false: there is no hold-back to compare with, or nothing that can be watched
	Since         *time.Time     `json:"since,omitempty"`
	Closed        *time.Time     `json:"closed,omitempty"` // end of the latest window
	Windows       int            `json:"windows"`
	WindowSeconds float64        `json:"windowSeconds"`
	ARL           float64        `json:"arl"`    // the chance of a false alarm within n windows is at most n/arl
	LnE           float64        `json:"lnE"`    // evidence now
	Bar           float64        `json:"bar"`    // alarm at this evidence: ln ARL
	Within        float64        `json:"within"` // the largest chance of a false alarm since it began
	Reason        string         `json:"reason"`
	Alarm         *rollout.Alarm `json:"alarm,omitempty"` // the latest
}

// StartRequest starts a release.
type StartRequest struct {
	To     string `json:"to"`
	Reason string `json:"reason,omitempty"`
}

// CommandRequest is an operator's command; the verb is in the path.
type CommandRequest struct {
	Reason string        `json:"reason"`
	Plan   *release.Plan `json:"plan,omitempty"` // adjust
}

// TokenRequest asks for a new token.
type TokenRequest struct {
	Name    string           `json:"name"`
	Role    string           `json:"role"`
	Groups  []string         `json:"groups,omitempty"`
	Expires release.Duration `json:"expires,omitzero"` // from now; 0: never
	Reason  string           `json:"reason,omitempty"`
}

// RotateRequest asks for a new token in the place of one.
type RotateRequest struct {
	Grace   release.Duration `json:"grace,omitzero"`   // how long the old one is still valid; 0: it ends at once
	Expires release.Duration `json:"expires,omitzero"` // of the new one, from now; 0: as long as the old one was meant to last
	Reason  string           `json:"reason,omitempty"`
}

// TokenResponse holds the only copy of a token in clear.
type TokenResponse struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Role  string `json:"role"`
	Token string `json:"token"`
	// Expires is when it ends by itself.
	Expires *time.Time `json:"expires,omitempty"`
}

// Page is a piece of a list. Next, if not empty, is the cursor of the following piece.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// ActPage is a piece of the list of acts, newest first, and whether their chain is whole.
type ActPage struct {
	Items []records.Act `json:"items"`
	Next  string        `json:"next,omitempty"`
	OK    bool          `json:"ok"`
	Fault string        `json:"fault,omitempty"` // the first broken link, in words
}

// Problem is an error as RFC 9457 writes it.
type Problem struct {
	Type   string              `json:"type"`
	Title  string              `json:"title"`
	Status int                 `json:"status"`
	Detail string              `json:"detail"`
	Remedy string              `json:"remedy,omitempty"`
	Faults []release.FileFault `json:"faults,omitempty"`

	retry time.Duration // for the header Retry-After
}

// Event is one message of the stream: something about a release has changed.
type Event struct {
	Type    string   `json:"type"` // "release" or "model"
	Model   string   `json:"model"`
	Release *Release `json:"release,omitempty"`
}
