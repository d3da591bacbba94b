package natsstore

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sluice.dev/sluice/internal/store"
)

// Options says where the data are and how much of them is kept. The zero value of a field means
// its default.
type Options struct {
	// Namespace separates several Sluices in one engine: 1 to 32 letters, digits or -.
	// Default "default".
	Namespace string
	// LogAge is how long log entries are kept. Default 96 h.
	LogAge time.Duration
	// LogBytes bounds each log; a full log refuses entries, it never drops old ones for new.
	// Default: no bound of its own.
	LogBytes int64
	// Timeout bounds each call but Read and Watch, besides the deadline of its context.
	// Default 10 s.
	Timeout time.Duration
	// Logger receives the engine's messages. Default: none.
	Logger *slog.Logger

	// Dir is the data folder of an embedded engine. It is created, and locked while it is in use.
	Dir string
	// MaxStore bounds all data of an embedded engine, in bytes; the last eighth is for control
	// keys alone, so that telemetry cannot stop decisions. Default 16 GiB.
	MaxStore int64
	// MinFree is how many bytes of the disk an embedded engine leaves to others: below it, logs
	// and blobs are refused, below a quarter of it everything. Default 64 MiB.
	MinFree int64
	// Waits is told when an embedded engine is about to wait for the disk, and what it returns when it
	// does no more. Called from many goroutines at once. Default: nobody is told.
	Waits func() (done func())

	// URLs are the servers of a cluster, comma separated.
	URLs string
	// Creds is the credentials file for the cluster. Default: none.
	Creds string
	// CA is a PEM file of the authorities that the cluster's certificates must descend from. Default: the system's.
	CA string
	// Replicas is on how many servers of the cluster each stream lies: 1, 3 or 5. Default 3.
	Replicas int
}

func (o *Options) defaults() {
	setDefault(&o.Namespace, "default")
	setDefault(&o.LogAge, 96*time.Hour)
	setDefault(&o.LogBytes, -1)
	setDefault(&o.Timeout, 10*time.Second)
	setDefault(&o.Logger, slog.New(slog.DiscardHandler))
	setDefault(&o.MaxStore, 16<<30)
	setDefault(&o.MinFree, 64<<20)
	setDefault(&o.Replicas, 3)
	if o.Waits == nil || o.Dir == "" {
		o.Waits = func() func() { return func() {} }
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// check answers what is wrong with the options that both kinds of engine use.
func (o *Options) check() error {
	var errs []error
	if o.LogAge < store.DedupWindow {
		errs = append(errs, fmt.Errorf("log age %v: want at least %v, for which ids are remembered", o.LogAge, store.DedupWindow))
	}
	if o.MaxStore < 1<<20 || o.MinFree < 0 || o.Timeout < 0 {
		errs = append(errs, fmt.Errorf("max store %d, min free %d, timeout %v: want at least 1 MiB, and nothing negative", o.MaxStore, o.MinFree, o.Timeout))
	}
	if r := o.Replicas; r != 1 && r != 3 && r != 5 {
		errs = append(errs, fmt.Errorf("replicas %d: want 1, 3 or 5", r))
	}
	return errors.Join(errs...)
}
