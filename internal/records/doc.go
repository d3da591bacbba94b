// Package records is the one place that answers "what is in the database". It keeps the vocabulary
// of releases in a store: which key holds what, in which version of which private structure, and
// how one change is made without ever being made twice or by half.
//
// Layout of the control keys (store.Store: Get, List, History, Commit):
//
//	model/NAME        modelRecord: the file last applied, the live version, the running release
//	state/NAME/N      stateRecord: rollout.State of release N, without what a clock moves
//	clock/NAME/N      clockRecord: the step's clock and judge's memory, at most every few seconds
//	log/NAME          history: one commit's decisions per entry, hash-chained over all releases of NAME
//	file/NAME         history: every Model file that was applied, by whom
//	token/ID          tokenRecord: a hashed bearer token and its role
//	session/SLOT      sessionRecord: a browser's session, hashed; at most 1024 slots, used again and again
//	acts              history: what people did that is no decision: files applied, tokens made, hash-chained
//	once/BUCKET       onceRecord: answers to calls that carried an idempotency key; 256 buckets of at most 16
//	routes            bundleRecord: the routing that gateways serve from
//
// and of the blobs:
//
//	report/HASH       a test report
//	file/HASH         a suite that a model refers to
//	tally/P           the folder's snapshot of partition P (package ingest)
//	final/NAME/N/P    the tally of an ended release
//	watch/NAME/N      the standing watch over a hold-back that stayed, written once per window
//	looks/NAME/N      what the looks at a release said over time, its growing end (package looks)
//	looks/NAME/N/L/C  chunk C of its level L
//
// One decision is one commit: {log entry, state, model record} that expects the revisions from which
// it was computed and, when the clock decided and no person, the leader's lease. A conflict means
// that somebody else decided first: load again and recompute (Apply does).
//
// Numbers in keys are zero-padded to nine digits so that keys sort as numbers do.
package records

import (
	"encoding/json"
	"fmt"
	"time"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
)

// layout is the version of all structures below. A reader refuses a later one instead of guessing.
const layout = 1

func modelKey(name string) string           { return "model/" + name }
func stateKey(name string, n uint32) string { return fmt.Sprintf("state/%s/%09d", name, n) }
func clockKey(name string, n uint32) string { return fmt.Sprintf("clock/%s/%09d", name, n) }
func logKey(name string) string             { return "log/" + name }
func fileKey(name string) string            { return "file/" + name }
func tokenKey(id string) string             { return "token/" + id }

func sessionKey(slot int) string { return fmt.Sprintf("session/%04d", slot) }

const (
	routesKey = "routes"
	actsKey   = "acts"
)

// modelRecord is stored under model/NAME.
type modelRecord struct {
	V       int           `json:"v"`
	Spec    release.Model `json:"spec"`
	Hash    string        `json:"hash"`
	Applied time.Time     `json:"applied"`
	By      string        `json:"by"`
	Created time.Time     `json:"created"`
	Live    string        `json:"live"`
	Last    uint32        `json:"last"`    // number of the latest release; 0: none yet
	Running uint32        `json:"running"` // number of the running release; 0: none
	Success uint32        `json:"success"` // number of the latest release that succeeded and was not undone
	Former  string        `json:"former"`  // what was live before Success
	Chain   string        `json:"chain"`   // hash of the latest decision of the latest ended release
	// Generation numbers the model's routings, over all its releases: it grows with each change.
	Generation uint64 `json:"generation"`
}

// stateRecord is stored under state/NAME/N.
type stateRecord struct {
	V     int           `json:"v"`
	State rollout.State `json:"state"`
}

// clockRecord is stored under clock/NAME/N. It belongs to the state whose latest decision is
// Decision; with any other it is stale and ignored, which costs a few seconds of a step's clock.
type clockRecord struct {
	V        int           `json:"v"`
	Decision uint64        `json:"decision"`
	Clock    rollout.Clock `json:"clock"`
	Memory   judge.Memory  `json:"memory"`
}

// logRecord is one entry of log/NAME: the decisions of one commit, nearly always one.
type logRecord struct {
	V         int                `json:"v"`
	Decisions []rollout.Decision `json:"decisions"`
}

// fileRecord is one entry of file/NAME.
type fileRecord struct {
	V    int           `json:"v"`
	Time time.Time     `json:"time"`
	By   string        `json:"by"`
	Hash string        `json:"hash"`
	Spec release.Model `json:"spec"`
}

// tokenRecord is stored under token/ID.
type tokenRecord struct {
	V       int       `json:"v"`
	Name    string    `json:"name"` // the person or machine
	Role    string    `json:"role"`
	Groups  []string  `json:"groups,omitempty"`
	Hash    string    `json:"hash"` // SHA-256 of the secret, hex
	Created time.Time `json:"created"`
	By      string    `json:"by"`
	Expires time.Time `json:"expires,omitzero"`
	Revoked time.Time `json:"revoked,omitzero"`
	Rotates string    `json:"rotates,omitempty"` // id of the token that it took the place of
}

// bundleRecord is stored under routes: what assign.Spec encodes to, checksummed by itself.
type bundleRecord struct {
	V    int    `json:"v"`
	Spec []byte `json:"spec"`
}

// versioned is what all records have in common.
type versioned struct {
	V int `json:"v"`
}

// decode reads a stored record and refuses those of a later layout.
func decode(e store.Entry, into any) error {
	var v versioned
	if err := json.Unmarshal(e.Value, &v); err != nil {
		return &release.Error{
			Kind: release.KindInternal, Op: "read " + e.Key, Msg: "the stored record is damaged",
			Remedy: "restore the data folder from a backup", Cause: err,
		}
	}
	if v.V != layout {
		return &release.Error{
			Kind: release.KindInternal, Op: "read " + e.Key,
			Msg:    fmt.Sprintf("the record has layout %d, this build knows %d", v.V, layout),
			Remedy: "use the version of sluice that wrote it, or a later one",
		}
	}
	if err := json.Unmarshal(e.Value, into); err != nil {
		return &release.Error{Kind: release.KindInternal, Op: "read " + e.Key, Msg: "the stored record is damaged", Cause: err}
	}
	return nil
}

// encode cannot fail for our own structures: they hold no channels, functions or non-finite numbers.
func encode(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, &release.Error{Kind: release.KindInternal, Op: "encode record", Msg: "a number is not finite", Cause: err}
	}
	return b, nil
}
