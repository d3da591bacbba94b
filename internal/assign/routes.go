package assign

import (
	"sluice.dev/sluice/internal/release"
)

// Interval is a run of hash values, up to and including Last, that belongs to one arm. A list of
// intervals is sorted and covers [0, 2^64-1]: the first begins at 0, each other after its
// predecessor's Last, and the last one's Last is 2^64-1.
type Interval struct {
	Last uint64 `json:"last,string"`
	Arm  uint8  `json:"arm"`
}

// Spec is the projection of all models' states that gateways serve from, in its published form:
// JSON, persisted with its SHA-256, compiled by Compile.
type Spec struct {
	Generation uint64      `json:"generation"`
	Lease      int64       `json:"lease"` // milliseconds for which a gateway may serve candidates without a renewal
	Models     []RouteSpec `json:"models"`
}

// RouteSpec is one model's part of a Spec. Arms[0] is live.
type RouteSpec struct {
	Model      string               `json:"model"`
	Generation uint64               `json:"generation"` // of the release's state (rollout.State.Generation): what a gateway reports as served
	Match      release.Match        `json:"match"`
	Dialect    release.Dialect      `json:"dialect"`
	Unit       release.UnitSpec     `json:"unit"`
	Signals    []release.Signal     `json:"signals"`
	Limits     release.Limits       `json:"limits"`
	Horizon    release.Duration     `json:"horizon"`
	Release    uint32               `json:"release"` // 0: none runs
	Stratum    uint16               `json:"stratum"`
	Epoch      uint8                `json:"epoch"`
	Kind       release.ExposureKind `json:"kind"` // of exposures recorded under this route
	Salt       string               `json:"salt"`
	Arms       []ArmSpec            `json:"arms"`
	Serve      []Interval           `json:"serve"`   // who is served by which arm
	WouldBe    []Interval           `json:"wouldBe"` // arms recorded while live serves all (Kind WouldBe)
	Mirror     release.Share        `json:"mirror"`  // share of units whose requests are copied to arm 1
	Breaker    BreakerSpec          `json:"breaker,omitzero"`
	Capture    *release.Capture     `json:"capture,omitempty"` // the present file's, whatever a release has frozen: who stops keeping bodies means now
}

// ArmSpec is the version behind one arm.
type ArmSpec struct {
	Version string          `json:"version"`
	Spec    release.Version `json:"spec"`
}

// BreakerSpec bounds what a gateway tolerates of a candidate before it acts alone.
type BreakerSpec struct {
	MaxFailureRate float64 `json:"maxFailureRate,omitempty"` // of the candidate's recent requests, 0 to 1; 0 switches it off
	MinRequests    int     `json:"minRequests,omitempty"`
}
