package app

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"

	"sluice.dev/sluice/internal/ingest"
	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/store"
)

// telemetryLog joins ingest to the store: one log per partition, one snapshot blob per partition.
type telemetryLog struct {
	store   store.Store
	records *records.Records
}

func logName(partition int) string { return strconv.Itoa(partition) }

func snapshotName(partition int) string { return fmt.Sprintf("tally/%d", partition) }

// Append implements ingest.Log.
func (l *telemetryLog) Append(ctx context.Context, partition int, id string, data []byte) error {
	_, err := l.store.Append(ctx, logName(partition), id, data)
	return err
}

// Read implements ingest.Source.
func (l *telemetryLog) Read(ctx context.Context, partition int, after uint64) iter.Seq2[ingest.Entry, error] {
	return func(yield func(ingest.Entry, error) bool) {
		for r, err := range l.store.Read(ctx, logName(partition), store.Seq(after), true) {
			if errors.Is(err, store.ErrGap) {
				err = errors.Join(ingest.ErrGap, err)
			}
			if !yield(ingest.Entry{Seq: uint64(r.Seq), Data: r.Data, Time: r.Time}, err) {
				return
			}
		}
	}
}

// First implements ingest.Source.
func (l *telemetryLog) First(ctx context.Context, partition int) (uint64, error) {
	first, _, err := l.store.Bounds(ctx, logName(partition))
	return uint64(first), err
}

// Snapshot implements ingest.Source.
func (l *telemetryLog) Snapshot(ctx context.Context, partition int) ([]byte, uint64, error) {
	data, revision, err := l.store.GetBlob(ctx, snapshotName(partition))
	if errors.Is(err, store.ErrNotFound) {
		err = errors.Join(ingest.ErrNoSnapshot, err)
	}
	return data, uint64(revision), err
}

// PutSnapshot implements ingest.Source.
func (l *telemetryLog) PutSnapshot(ctx context.Context, partition int, data []byte, expect uint64) (uint64, error) {
	revision, err := l.store.PutBlob(ctx, snapshotName(partition), data, store.Revision(expect))
	if errors.Is(err, store.ErrConflict) {
		err = errors.Join(ingest.ErrConflict, err)
	}
	return uint64(revision), err
}

// Release implements ingest.Source.
func (l *telemetryLog) Release(ctx context.Context, key release.ModelKey, number uint32) (*release.Model, int, bool, error) {
	return l.records.Counted(ctx, key, number)
}
