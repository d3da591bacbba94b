package store

import (
	"fmt"
	"strings"
	"time"
)

// Limits of every store. They are what a default NATS server carries in one message (1 MB) with
// room for headers and for the base64 of its read interface, so that what is accepted by one
// implementation is accepted by all.
const (
	MaxWrites = 100       // writes in one Batch
	MaxName   = 256       // bytes in a key, log, lease or blob name
	MaxValue  = 512 << 10 // bytes in a control value or a log entry
	MaxBatch  = 8 << 20   // bytes in all values of one Batch
	MaxBlob   = 8 << 20   // bytes in a blob
	MaxID     = 128       // bytes in the id of a log entry
)

// DedupWindow is how long a log remembers the ids of its entries.
const DedupWindow = 2 * time.Minute

// CheckName answers ErrInvalid unless name may be a key or the name of a log, lease or blob: 1 to
// MaxName bytes, any of them.
func CheckName(kind, name string) error {
	if name == "" {
		return fmt.Errorf("%w: the %s has no name", ErrInvalid, kind)
	}
	if len(name) > MaxName {
		return fmt.Errorf("%w: the name of %s %q... is %d bytes long, at most %d are stored", ErrInvalid, kind, name[:32], len(name), MaxName)
	}
	return nil
}

// CheckSize answers ErrInvalid if a value of n bytes is larger than limit.
func CheckSize(kind, name string, n, limit int) error {
	if n > limit {
		return fmt.Errorf("%w: %s %q has %d bytes, at most %d are stored", ErrInvalid, kind, name, n, limit)
	}
	return nil
}

// CheckEntry answers ErrInvalid unless a log accepts the entry.
func CheckEntry(log, id string, data []byte) error {
	if err := CheckName("log", log); err != nil {
		return err
	}
	// The id travels as a header line of the engine's protocol.
	if len(id) > MaxID || strings.ContainsFunc(id, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
		return fmt.Errorf("%w: entry id %q of log %q: at most %d printable ASCII characters without spaces", ErrInvalid, id, log, MaxID)
	}
	return CheckSize("entry of log", log, len(data), MaxValue)
}

// LeaseTTL rounds ttl up to whole seconds, which is what engines count in.
func LeaseTTL(name string, ttl time.Duration) (time.Duration, error) {
	if ttl <= 0 || ttl > 24*time.Hour {
		return 0, fmt.Errorf("%w: lease %q: its time to live is %v, want one within (0, 24h]", ErrInvalid, name, ttl)
	}
	return (ttl + time.Second - 1).Truncate(time.Second), nil
}

// Check answers ErrInvalid unless the batch keeps the limits and names each key once: an engine
// checks expectations before it stores anything, so a second write of a key could not be guarded.
func (b Batch) Check() error {
	if len(b.Writes) == 0 || len(b.Writes) > MaxWrites {
		return fmt.Errorf("%w: a batch of %d writes, want 1 to %d", ErrInvalid, len(b.Writes), MaxWrites)
	}
	seen := make(map[string]bool, len(b.Writes))
	total := 0
	for _, w := range b.Writes {
		if err := CheckName("key", w.Key); err != nil {
			return err
		}
		if err := CheckSize("key", w.Key, len(w.Value), MaxValue); err != nil {
			return err
		}
		if seen[w.Key] {
			return fmt.Errorf("%w: key %q is written twice in one batch", ErrInvalid, w.Key)
		}
		seen[w.Key] = true
		total += len(w.Value)
	}
	return CheckSize("batch with key", b.Writes[0].Key, total, MaxBatch)
}
