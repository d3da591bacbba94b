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

// Invalid makes an Error of kind invalid: the same input will fail again.
func Invalid(op, format string, args ...any) *Error { return newError(KindInvalid, op, format, args) }

// NotFound makes an Error of kind notFound.
func NotFound(op, format string, args ...any) *Error { return newError(KindNotFound, op, format, args) }

// Conflict makes an Error of kind conflict: refused in the present state.
func Conflict(op, format string, args ...any) *Error { return newError(KindConflict, op, format, args) }

// Denied makes an Error of kind denied.
func Denied(op, format string, args ...any) *Error { return newError(KindDenied, op, format, args) }

// Unavailable makes an Error of kind unavailable: the same input may succeed later.
func Unavailable(op string, cause error, format string, args ...any) *Error {
	e := newError(KindUnavailable, op, format, args)
	e.Cause = cause
	return e
}

// Internal makes an Error of kind internal: a fault of Sluice itself.
func Internal(op string, cause error, format string, args ...any) *Error {
	e := newError(KindInternal, op, format, args)
	e.Cause = cause
	return e
}

func newError(kind ErrorKind, op, format string, args []any) *Error {
	return &Error{Kind: kind, Op: op, Msg: fmt.Sprintf(format, args...)}
}

// Fix returns a copy of the error that says what to do about it.
func (e *Error) Fix(format string, args ...any) *Error {
	c := *e
	c.Remedy = fmt.Sprintf(format, args...)
	return &c
}

// invalidText is the error of a value that can't be read: what it should be, what it is, an example.
func invalidText(what, got, want string) *Error {
	return &Error{Kind: KindInvalid, Msg: fmt.Sprintf("%q is not a valid %s", clip(got), what), Remedy: "write " + want}
}
