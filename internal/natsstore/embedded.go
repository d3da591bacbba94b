package natsstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"sluice.dev/sluice/internal/store"
)

const (
	// startPatience bounds a start whose context has no deadline: a large store reads its
	// indexes, and after a crash its last blocks.
	startPatience = 5 * time.Minute
	// stopPatience bounds Close. The data are synced before each answer, so nothing is lost by
	// not waiting longer.
	stopPatience = 10 * time.Second
	maxPayload   = 1 << 20 // what external servers allow too
	maxMemory    = 64 << 20
)

// OpenEmbedded starts a server in this process on the data in o.Dir and opens the store. The
// server opens no port; each write is synced to disk before it is answered. Another process, or
// another open in this one, gets store.ErrLocked.
func OpenEmbedded(ctx context.Context, o Options) (*Store, error) {
	o.defaults()
	o.Replicas = 1
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("embedded store: %w", err)
	}
	if o.Dir == "" {
		return nil, errors.New("embedded store: it needs a data folder")
	}
	s, err := openEmbedded(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("data folder %s: %w", o.Dir, err)
	}
	return s, nil
}

func openEmbedded(ctx context.Context, o Options) (*Store, error) {
	unlock, err := lock(o.Dir)
	if err != nil {
		return nil, err
	}
	srv, err := startServer(ctx, o)
	if err != nil {
		if errors.Is(err, errStillRunning) {
			return nil, err
		}
		return nil, errors.Join(err, unlock())
	}
	stop := func() error {
		if err := stopServer(srv); err != nil {
			return err // and the folder stays locked: something may still write to it
		}
		return unlock()
	}
	nc, err := nats.Connect("", nats.InProcessServer(srv), nats.Name("sluice"),
		nats.ReconnectBufSize(-1), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	s, err := open(ctx, o, 1, nc, stop)
	if err != nil {
		return nil, err
	}
	if err := s.markDead(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// lock takes the folder for this process. The server has no lock of its own: two of them on one
// folder would write over each other without a word.
func lock(dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l := flock.New(filepath.Join(dir, "lock"))
	switch ok, err := l.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("lock: %w", err)
	case !ok:
		return nil, fmt.Errorf("%w: another sluice works on it; stop that one, or give this one a folder of its own", store.ErrLocked)
	}
	return l.Unlock, nil
}

func serverOptions(o Options) *server.Options {
	return &server.Options{
		ServerName:             "sluice",
		DontListen:             true,
		NoSigs:                 true, // else it takes the signals and exits the process
		JetStream:              true,
		StoreDir:               filepath.Join(o.Dir, "engine"),
		SyncAlways:             true,
		JetStreamMaxStore:      o.MaxStore,
		JetStreamMaxMemory:     maxMemory,
		MaxPayload:             maxPayload,
		DisableJetStreamBanner: true,
	}
}

// startServer returns a server that is ready, or why it is not.
func startServer(ctx context.Context, o Options) (*server.Server, error) {
	srv, err := server.NewServer(serverOptions(o))
	if err != nil {
		return nil, err
	}
	log := newServerLog(o.Logger)
	srv.SetLoggerV2(log, false, false, false)
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	go srv.Start()
	for !srv.ReadyForConnections(20 * time.Millisecond) {
		select {
		case <-log.died:
			return nil, errors.Join(log.err(), stopServer(srv))
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("the server is not ready: %w", ctx.Err()), stopServer(srv))
		default:
		}
	}
	if err := log.err(); err != nil || !srv.JetStreamEnabled() {
		return nil, errors.Join(errors.New("the server runs without JetStream"), err, stopServer(srv))
	}
	return srv, nil
}

var errStillRunning = errors.New("the server has not stopped")

func stopServer(srv *server.Server) error {
	done := make(chan struct{})
	go func() {
		srv.Shutdown()
		srv.WaitForShutdown()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-time.After(stopPatience):
		return fmt.Errorf("%w within %v", errStillRunning, stopPatience)
	}
}

// markDead notes that who wrote a lease before we locked the folder is no more: its lock would
// have kept us out.
func (s *Store) markDead(ctx context.Context) error {
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	info, err := s.ctrl.Info(ctx)
	if err != nil {
		return translate(err, store.ErrUnavailable)
	}
	s.deadBefore = info.State.LastSeq
	return nil
}
