package natsstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"sluice.dev/sluice/internal/store"
)

// Headers of an atomic batch, which the client library does not know (server, ADR-50).
const (
	batchID       = "Nats-Batch-Id"
	batchSequence = "Nats-Batch-Sequence"
	batchCommit   = "Nats-Batch-Commit"
)

// ack is the server's answer to a publish or to the last message of a batch.
type ack struct {
	Stream    string              `json:"stream"`
	Sequence  uint64              `json:"seq"`
	Duplicate bool                `json:"duplicate"`
	Batch     string              `json:"batch"`
	Count     int                 `json:"count"`
	Error     *jetstream.APIError `json:"error"`
}

func message(subject string, data []byte) *nats.Msg {
	return &nats.Msg{Subject: subject, Header: nats.Header{}, Data: data}
}

// expecting makes the server refuse m unless the last message of its subject has that sequence.
func expecting(m *nats.Msg, seq uint64) *nats.Msg {
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(seq, 10))
	return m
}

// expectingOf is expecting for the last message of another subject of the stream.
func expectingOf(m *nats.Msg, subject string, seq uint64) *nats.Msg {
	m.Header.Set(jetstream.ExpectedLastSubjSeqSubjHeader, subject)
	return expecting(m, seq)
}

// living makes the server remove m after ttl, which is in whole seconds.
func living(m *nats.Msg, ttl time.Duration) *nats.Msg {
	m.Header.Set(jetstream.MsgTTLHeader, ttl.String())
	return m
}

// A request that reached nobody is sent again after these pauses: servers that elect a leader, or
// hear of a new stream, need a moment. So is a batch of which the server says that a part never came,
// as when the leader changed midway: nothing of it is stored. Requests that may have been carried out are never repeated here.
const (
	firstPause = 50 * time.Millisecond // doubled each time
	lastPause  = 1600 * time.Millisecond
)

// publish stores the messages as one batch, or one message as itself, and returns the answer, in
// which Sequence is that of the last message. Errors are the contract's.
func (s *Store) publish(ctx context.Context, msgs ...*nats.Msg) (ack, error) {
	for wait := firstPause; ; wait *= 2 {
		a, err := s.send(ctx, msgs)
		if err == nil {
			return a, nil
		}
		err = translate(err, store.ErrUnknown)
		// In one process there is nobody to wait for: the engine has stopped.
		nobody := errors.Is(err, nats.ErrNoResponders) && s.opts.Dir == ""
		if wait > lastPause || !nobody && !incomplete(err) || !pause(ctx, wait) {
			return ack{}, err
		}
	}
}

func incomplete(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == codeBatchIncomplete
}

func (s *Store) send(ctx context.Context, msgs []*nats.Msg) (ack, error) {
	defer s.opts.Waits()()
	last := len(msgs) - 1
	id := ""
	if last > 0 {
		id = nuid.Next()
		for i, m := range msgs {
			m.Header.Set(batchID, id)
			m.Header.Set(batchSequence, strconv.Itoa(i+1))
		}
		msgs[last].Header.Set(batchCommit, "1")
		// Only the last message asks for an answer: if one before it was not accepted, the batch
		// is incomplete, and the last is refused.
		for _, m := range msgs[:last] {
			if err := s.nc.PublishMsg(m); err != nil {
				// The batch cannot be complete without this message.
				return ack{}, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
			}
		}
	}
	answer, err := s.nc.RequestMsgWithContext(ctx, msgs[last])
	if err != nil {
		return ack{}, err
	}
	return parseAck(answer.Data, id, len(msgs))
}

func parseAck(data []byte, batch string, n int) (ack, error) {
	var a ack
	if err := json.Unmarshal(data, &a); err != nil {
		return ack{}, fmt.Errorf("answer %.80q: %w", data, err)
	}
	switch {
	case a.Error != nil:
		return ack{}, a.Error
	case a.Stream == "" || a.Sequence == 0:
		return ack{}, fmt.Errorf("answer %.80q names no sequence", data)
	case n > 1 && (a.Batch != batch || a.Count != n):
		return ack{}, fmt.Errorf("answer %.80q is not about batch %s of %d", data, batch, n)
	}
	return a, nil
}
