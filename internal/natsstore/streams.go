package natsstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"sluice.dev/sluice/internal/store"
)

// layoutKey marks our streams with the version of the layout in doc.go.
const (
	layoutKey     = "sluice.layout"
	layoutVersion = "1"
)

func (s *Store) config(name string) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              name,
		Storage:           jetstream.FileStorage,
		Retention:         jetstream.LimitsPolicy,
		Discard:           jetstream.DiscardNew, // a full stream is an error, never a silent loss
		Replicas:          s.replicas,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgsPerSubject: -1,
		MaxConsumers:      -1,
		Duplicates:        store.DedupWindow,
		Metadata:          map[string]string{layoutKey: layoutVersion},
	}
}

func (s *Store) ctrlConfig() jetstream.StreamConfig {
	c := s.config(s.names.ctrl())
	c.Description = "Sluice: releases, their decisions and leases"
	for _, family := range []string{"ctrl", "hist", "lease", "fence"} {
		c.Subjects = append(c.Subjects, s.names.root()+family+".>")
	}
	c.MaxMsgsPerSubject = 1
	c.DenyDelete, c.DenyPurge = true, true
	c.AllowAtomicPublish = true
	c.AllowMsgTTL = true
	return c
}

func (s *Store) blobConfig() jetstream.StreamConfig {
	c := s.config(s.names.blobs())
	c.Description = "Sluice: snapshots"
	c.Subjects = []string{s.names.root() + "blob.>"}
	c.MaxMsgsPerSubject = 1
	return c
}

func (s *Store) logConfig(log string) jetstream.StreamConfig {
	c := s.config(s.names.logStream(log))
	c.Description = fmt.Sprintf("Sluice: telemetry and feedback of partition %q", log)
	c.Subjects = []string{s.names.logSubject(log)}
	c.MaxAge = s.opts.LogAge
	c.MaxBytes = s.opts.LogBytes
	return c
}

// stream returns the stream of a log or of the blobs, which is created when it is first needed.
func (s *Store) stream(ctx context.Context, c jetstream.StreamConfig) (jetstream.Stream, error) {
	if known, ok := s.streams.Load(c.Name); ok {
		return known.(jetstream.Stream), nil
	}
	stream, err := s.ensure(ctx, c) // several at once do no harm
	if err != nil {
		return nil, err
	}
	s.streams.Store(c.Name, stream)
	return stream, nil
}

// ensure makes the stream be as configured and returns it. It never weakens a promise of an
// existing stream in silence: what the server does not take over is an error.
func (s *Store) ensure(ctx context.Context, c jetstream.StreamConfig) (jetstream.Stream, error) {
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := s.checkLayout(ctx, c.Name); err != nil {
		return nil, err
	}
	stream, err := ask(ctx, func(ctx context.Context) (jetstream.Stream, error) { return s.js.CreateStream(ctx, c) })
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		stream, err = ask(ctx, func(ctx context.Context) (jetstream.Stream, error) { return s.js.UpdateStream(ctx, c) })
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", c.Name, translate(err, store.ErrUnavailable))
	}
	if wrong := differs(c, stream.CachedInfo().Config); wrong != "" {
		return nil, fmt.Errorf("stream %s: the server does not keep %s; it must be nats-server 2.12 or later, and nobody else may configure the stream", c.Name, wrong)
	}
	return stream, nil
}

// checkLayout refuses a stream of that name that is not ours or is laid out by a later version,
// before anything about it is changed.
func (s *Store) checkLayout(ctx context.Context, name string) error {
	stream, err := ask(ctx, func(ctx context.Context) (jetstream.Stream, error) { return s.js.Stream(ctx, name) })
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", name, translate(err, store.ErrUnavailable))
	}
	if v := stream.CachedInfo().Config.Metadata[layoutKey]; v != layoutVersion {
		return fmt.Errorf("stream %s has layout %q, this program knows %q: use the program that wrote it, or another namespace", name, v, layoutVersion)
	}
	return nil
}

// differs names the first promise of want that have does not keep; servers ignore fields that they
// don't know.
func differs(want, have jetstream.StreamConfig) string {
	for _, p := range []struct {
		name string
		ok   bool
	}{
		{"atomic batches", want.AllowAtomicPublish == have.AllowAtomicPublish},
		{"message time to live", want.AllowMsgTTL == have.AllowMsgTTL},
		{"no subject delete markers", have.SubjectDeleteMarkerTTL == 0},
		{"deny delete", want.DenyDelete == have.DenyDelete},
		{"deny purge", want.DenyPurge == have.DenyPurge},
		{"no direct gets", !have.AllowDirect},
		{"no roll-ups", !have.AllowRollup},
		{"discard new", have.Discard == jetstream.DiscardNew && !have.DiscardNewPerSubject},
		{"limits retention", have.Retention == jetstream.LimitsPolicy},
		{"synchronous persistence", have.PersistMode == jetstream.DefaultPersistMode},
		{"messages per subject", want.MaxMsgsPerSubject == have.MaxMsgsPerSubject},
		{"max age", want.MaxAge == have.MaxAge},
		{"acknowledgements", !have.NoAck},
	} {
		if !p.ok {
			return p.name
		}
	}
	return ""
}
