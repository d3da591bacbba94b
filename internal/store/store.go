// Package store is the contract between Sluice and the engine that remembers for it: four small
// conversations and nothing else. It knows bytes, keys and revisions; what the bytes mean is the
// business of package records.
//
//  1. Control: keys with one present value each (Get, List), and keys with a history (History).
//     Both change only by Commit, an all-or-nothing batch in which every write names the revision
//     that it replaces and which may be fenced by a lease.
//  2. Logs: append-only sequences, one per partition of the telemetry (Append, Read).
//  3. Blobs: large values replaced as a whole under compare-and-swap (PutBlob, GetBlob): snapshots.
//  4. Watch: the present value of one control key, and each later one, as it comes.
//
// Invariants that every implementation keeps and storetest checks:
//
//   - A nil error means durable: the write survives a crash of the process at the next instruction.
//   - Revisions grow strictly over all control keys of one store; a revision is never reused.
//   - A commit whose outcome is unknown answers ErrUnknown, never a guess: the caller reads back.
//   - Bytes handed in are not kept and bytes handed out are the caller's to change.
//
// All methods are safe for concurrent use.
package store

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Errors on which callers branch. Implementations wrap them with the key or log they are about.
var (
	// ErrNotFound says that the key, blob or log entry does not exist.
	ErrNotFound = errors.New("not found")
	// ErrConflict says that a key is not at the expected revision: load again and recompute.
	ErrConflict = errors.New("revision conflict")
	// ErrFenced says that the lease which should cover the commit is held by somebody else or over.
	ErrFenced = errors.New("lease lost")
	// ErrHeld says that the lease is held by another holder.
	ErrHeld = errors.New("lease held")
	// ErrUnknown says that the write may or may not have happened (time-out, connection lost).
	ErrUnknown = errors.New("outcome unknown")
	// ErrFull says that the engine has no room left; nothing was written.
	ErrFull = errors.New("store full")
	// ErrGap says that a reader asked for log entries that retention has already removed.
	ErrGap = errors.New("log entries are gone")
	// ErrUnavailable says that the engine can't be reached now; nothing was written.
	ErrUnavailable = errors.New("store unavailable")
	// ErrLocked says that another process owns the data folder.
	ErrLocked = errors.New("data folder in use")
	// ErrInvalid says that the request itself breaks a rule of limits.go; nothing was written.
	ErrInvalid = errors.New("invalid request")
)

// Revision numbers the writes of a control key. 0 means "the key does not exist".
type Revision uint64

// Seq numbers the entries of one log from 1, without gaps.
type Seq uint64

// Entry is one value of a control key.
type Entry struct {
	Key      string
	Value    []byte
	Revision Revision
	Time     time.Time // when the engine stored it
}

// Write replaces the value of Key (Expect guards it), or, with Append, adds to the key's history:
// then Expect is the revision of the latest entry of that history.
type Write struct {
	Key    string
	Value  []byte
	Expect Revision
	Append bool
}

// Batch is what Commit makes durable at once. At most 100 writes.
type Batch struct {
	Writes []Write
	// Fence, if not nil, must still be held when the batch is stored.
	Fence Lease
}

// Record is one entry of a log.
type Record struct {
	Seq  Seq
	Data []byte
	Time time.Time
}

// Lease is a claim to be the only holder of a name, for at most its ttl after the last renewal.
type Lease interface {
	// Renew prolongs the claim by the ttl. ErrFenced: it is lost, for good.
	Renew(ctx context.Context) error
	// Release gives it up, so that another holder need not wait for the ttl.
	Release(ctx context.Context) error
	// Revision is the lease's present revision; it changes with each renewal.
	Revision() Revision
}

// Store is the contract. See the package comment for its invariants.
type Store interface {
	// Get returns the present value of a control key, or ErrNotFound.
	Get(ctx context.Context, key string) (Entry, error)
	// List returns the present values of all control keys that start with prefix, sorted by key.
	List(ctx context.Context, prefix string) ([]Entry, error)
	// History yields the entries that were appended to key after the given revision, oldest first.
	History(ctx context.Context, key string, after Revision) ([]Entry, error)
	// Commit stores all writes or none and returns their revisions in order.
	// ErrConflict, ErrFenced, ErrFull, ErrUnavailable, ErrInvalid: nothing was written.
	// ErrFenced wins over ErrConflict. ErrUnknown: read back.
	Commit(ctx context.Context, b Batch) ([]Revision, error)
	// Watch yields the present value of key, if any, and then each later one until ctx ends.
	// A slow reader may miss values in between, never the last one.
	Watch(ctx context.Context, key string) iter.Seq2[Entry, error]

	// Acquire claims the lease of that name or answers ErrHeld. The ttl is rounded up to seconds.
	Acquire(ctx context.Context, name string, ttl time.Duration) (Lease, error)

	// Append adds data to a log and returns its sequence. Within a time window of at least a
	// minute a repeated id is stored once and answers the first sequence.
	Append(ctx context.Context, log, id string, data []byte) (Seq, error)
	// Read yields the log's entries after the given sequence: those that exist, then each new one
	// as it comes, until ctx ends or follow is false and the end is reached. ErrGap: some of them
	// are gone (the reader goes on by asking from first-1 of Bounds), or after lies beyond the end
	// of the log, which is then not the log that the reader knew.
	Read(ctx context.Context, log string, after Seq, follow bool) iter.Seq2[Record, error]
	// Bounds returns the first and the last sequence of a log; 0, 0 for one never written. Where
	// retention removed everything, first = last+1.
	Bounds(ctx context.Context, log string) (first, last Seq, err error)

	// PutBlob replaces the blob of that name, whose revision must be expect (0: must not exist).
	PutBlob(ctx context.Context, name string, data []byte, expect Revision) (Revision, error)
	// GetBlob returns the blob and its revision, or ErrNotFound.
	GetBlob(ctx context.Context, name string) ([]byte, Revision, error)

	// Close stops the engine. Calls after it answer ErrUnavailable.
	Close() error
}
