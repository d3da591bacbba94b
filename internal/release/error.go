package release

import (
	"errors"
	"fmt"
)

// ErrorKind is what an edge needs to know of an error. Stored and sent: new kinds go to the end.
type ErrorKind string

// The kinds. Each edge (HTTP, gRPC, exit code) has one table from kind to its own words.
const (
	KindInvalid     ErrorKind = "invalid"     // the input is wrong; the same input will fail again
	KindNotFound    ErrorKind = "notFound"    // no such model, release, version
	KindConflict    ErrorKind = "conflict"    // refused in the present state (a release runs already)
	KindDenied      ErrorKind = "denied"      // the person may not do this
	KindUnavailable ErrorKind = "unavailable" // try again later
	KindInternal    ErrorKind = "internal"    // ours
)

// Error is the one error type of Sluice: what kind, where, why, and what to do about it.
type Error struct {
	Kind   ErrorKind
	Op     string // what was being done, in a few words, with the noun: "read model file", "promote credit"
	Msg    string // what is wrong
	Remedy string // what to do about it; may be empty
	Cause  error
}

// Error implements error.
func (e *Error) Error() string {
	s := e.Msg
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Cause != nil {
		s = fmt.Sprintf("%s: %v", s, e.Cause)
	}
	if e.Remedy != "" {
		s += " (" + e.Remedy + ")"
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// KindOf returns the kind of the first Error in err's chain, KindInternal if there is none.
func KindOf(err error) ErrorKind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}
