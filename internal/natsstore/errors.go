package natsstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice.dev/sluice/internal/store"
)

// Codes of the server's errors (nats-server, server/errors.json) on which something depends.
const (
	codeAccountFull      = 10002 // resource limits exceeded for account
	codeNotAvailable     = 10008 // JetStream system temporarily unavailable
	codeNotLeader        = 10009
	codeInsufficient     = 10023 // insufficient resources: the server is above its limit
	codeMemoryFull       = 10028
	codeNotFound         = 10037 // no message found
	codeNotForAccount    = 10039
	codeStorageFull      = 10047
	codeStreamNotFound   = 10059
	codeWrongLast        = 10071 // wrong last sequence: N
	codeNotEnabled       = 10076
	codeStoreFailed      = 10077 // the text says why
	codeStreamOffline    = 10118
	codeDuplicateRunning = 10158 // an entry of this id is being stored
	codeNotReady         = 10163 // expected last sequence per subject temporarily unavailable
	codeWrongLastConst   = 10164 // as 10071, where a proposal on the subject is under way
	codeBatchIncomplete  = 10176
	codeBatchesInflight  = 10210 // too many batches under way
)

var codes = map[jetstream.ErrorCode]error{
	codeAccountFull:      store.ErrFull,
	codeNotAvailable:     store.ErrUnavailable,
	codeNotLeader:        store.ErrUnavailable,
	codeInsufficient:     store.ErrFull,
	codeMemoryFull:       store.ErrFull,
	codeNotFound:         store.ErrNotFound,
	codeNotForAccount:    store.ErrUnavailable,
	codeStorageFull:      store.ErrFull,
	codeStreamNotFound:   store.ErrUnavailable,
	codeWrongLast:        store.ErrConflict,
	codeNotEnabled:       store.ErrUnavailable,
	codeStreamOffline:    store.ErrUnavailable,
	codeDuplicateRunning: store.ErrUnknown,
	codeNotReady:         store.ErrUnavailable,
	codeWrongLastConst:   store.ErrConflict,
	codeBatchIncomplete:  store.ErrUnavailable,
	codeBatchesInflight:  store.ErrUnavailable,
}

// translate wraps an error of the client or the server in the contract's. lost is what a request
// without an answer means: ErrUnknown for a write, ErrUnavailable for a read.
func translate(err, lost error) error {
	if err == nil {
		return nil
	}
	if class := classify(err, lost); class != nil {
		return fmt.Errorf("%w: %w", class, err)
	}
	return err
}

func classify(err, lost error) error {
	var api *jetstream.APIError
	var js jetstream.JetStreamError
	switch {
	case errors.As(err, &js) && js.APIError() != nil:
		api = js.APIError()
	case errors.As(err, &api):
	}
	if api != nil {
		if api.ErrorCode == codeStoreFailed && full(api.Description) {
			return store.ErrFull
		}
		return codes[api.ErrorCode]
	}
	for _, c := range contract {
		if errors.Is(err, c) {
			return nil // has its class already
		}
	}
	switch {
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse),
		errors.Is(err, nats.ErrReconnectBufExceeded):
		return store.ErrUnavailable // it reached nobody
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, nats.ErrBadSubject):
		return store.ErrInvalid
	case errors.Is(err, nats.ErrTimeout), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return lost
	default:
		return lost // above all a connection that ended while the request was under way
	}
}

var contract = []error{
	store.ErrNotFound, store.ErrConflict, store.ErrFenced, store.ErrHeld, store.ErrUnknown, store.ErrFull,
	store.ErrGap, store.ErrUnavailable, store.ErrLocked, store.ErrInvalid,
}

// full says whether the text of code 10077 is about room.
func full(description string) bool {
	for _, s := range []string{"maximum bytes exceeded", "maximum messages exceeded", "no space left"} {
		if strings.Contains(description, s) {
			return true
		}
	}
	return false
}
