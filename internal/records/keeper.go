package records

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/store"
)

// Keeper keeps one gateway's routes current: it watches what is published, compiles it, swaps one
// pointer, and writes a copy to a file so that a gateway starts and serves while the store is away.
// Routes is one atomic load; everything else is Run's.
type Keeper struct {
	o       KeeperOptions
	routes  atomic.Pointer[assign.Routes]
	renewed atomic.Int64 // Unix nanoseconds of the last proof that the store was reached
}

// KeeperOptions join a keeper to its surroundings.
type KeeperOptions struct {
	Records *Records
	Resolve assign.Resolve
	File    string // where the last routes are kept; "" for nowhere
	Log     *slog.Logger
	Now     func() time.Time
}

// NewKeeper returns a keeper that serves the routes of its file, if there are any.
func NewKeeper(o KeeperOptions) *Keeper {
	k := &Keeper{o: o}
	k.routes.Store(&assign.Routes{})
	if err := k.load(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		o.Log.Warn("the kept routes are of no use", "file", o.File, "error", err)
	}
	return k
}

// Routes returns the routes to serve from. Never nil.
func (k *Keeper) Routes() *assign.Routes { return k.routes.Load() }

// Renewed returns when the store was last reached. A gateway serves candidates for the routes' lease
// after it and live from then on, so that a version which was rolled back meanwhile is served by
// nobody.
func (k *Keeper) Renewed() time.Time { return time.Unix(0, k.renewed.Load()) }

// pollEvery is the net under the watch, and what renews the lease.
const pollEvery = 2 * time.Second

// Run keeps the routes current until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	updates := make(chan store.Entry)
	go k.watch(ctx, updates)
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	var seen store.Revision
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-updates:
			seen = k.adopt(e, seen)
		case <-ticker.C:
			seen = k.poll(ctx, seen)
		}
	}
}

func (k *Keeper) watch(ctx context.Context, updates chan<- store.Entry) {
	for ctx.Err() == nil {
		for e, err := range k.o.Records.store.Watch(ctx, routesKey) {
			if err != nil {
				break
			}
			select {
			case updates <- e:
			case <-ctx.Done():
				return
			}
		}
		select { // the watch broke: the poll goes on meanwhile
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

func (k *Keeper) poll(ctx context.Context, seen store.Revision) store.Revision {
	ctx, cancel := context.WithTimeout(ctx, pollEvery)
	defer cancel()
	e, err := k.o.Records.store.Get(ctx, routesKey)
	if errors.Is(err, store.ErrNotFound) {
		k.renewed.Store(k.o.Now().UnixNano())
		return seen
	}
	if err != nil {
		return seen
	}
	return k.adopt(e, seen)
}

// adopt serves from a newer publication. One that can't be compiled leaves the former in place: a
// frozen share is better than none.
func (k *Keeper) adopt(e store.Entry, seen store.Revision) store.Revision {
	k.renewed.Store(k.o.Now().UnixNano())
	if e.Revision <= seen {
		return seen
	}
	spec, err := decodeRoutes(e)
	if err == nil {
		err = k.serve(&spec)
	}
	if err != nil {
		k.o.Log.Error("new routes refused, the former stay", "revision", e.Revision, "error", err)
		return e.Revision
	}
	if err := k.save(&spec); err != nil {
		k.o.Log.Warn("routes could not be kept in a file", "file", k.o.File, "error", err)
	}
	return e.Revision
}

func (k *Keeper) serve(spec *assign.Spec) error {
	routes, err := assign.Compile(spec, k.o.Resolve)
	if err != nil {
		return err
	}
	for _, fault := range routes.Faults() {
		k.o.Log.Error("a version can't be called from here", "error", fault)
	}
	k.routes.Store(routes)
	return nil
}

func (k *Keeper) load() error {
	if k.o.File == "" {
		return nil
	}
	data, err := os.ReadFile(k.o.File)
	if err != nil {
		return err
	}
	spec, err := assign.Decode(data)
	if err != nil {
		return err
	}
	return k.serve(spec)
}

// save keeps the routes in the file, if there is one.
func (k *Keeper) save(spec *assign.Spec) error {
	if k.o.File == "" {
		return nil
	}
	data, err := assign.Encode(spec)
	if err != nil {
		return err
	}
	return ReplaceFile(k.o.File, data, 0o600)
}

// ReplaceFile replaces a file as a whole and durably: a crash leaves either the old or the new one.
func ReplaceFile(file string, data []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // does nothing once it is renamed
	_, err = tmp.Write(data)
	if err := errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}
