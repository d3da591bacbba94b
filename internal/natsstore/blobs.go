package natsstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"sluice.dev/sluice/internal/store"
)

const (
	// chunkSize is what one message carries; a blob of one chunk lies in its manifest.
	chunkSize      = 512 << 10
	manifestHeader = "Sluice-Blob"
	// getAttempts bounds how often a reader starts again because the blob was replaced meanwhile.
	getAttempts = 20
)

// manifest describes a blob. It is the header of the message that replaces the blob as a whole.
type manifest struct {
	Size   int      `json:"size"`
	SHA256 string   `json:"sha256"`
	Chunks []uint64 `json:"chunks,omitempty"` // sequences, in order; none if the data are in the body
}

// PutBlob implements store.Store. The chunks of a large blob are stored first and count for nothing
// until the manifest names them, so a crash leaves the old blob.
func (s *Store) PutBlob(ctx context.Context, name string, data []byte, expect store.Revision) (store.Revision, error) {
	if err := store.CheckName("blob", name); err != nil {
		return 0, err
	}
	if err := store.CheckSize("blob", name, len(data), store.MaxBlob); err != nil {
		return 0, err
	}
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer cancel()
	if err := s.space.check(ctx, forBulk); err != nil {
		return 0, fmt.Errorf("blob %q: %w", name, err)
	}
	rev, err := s.putBlob(ctx, name, data, uint64(expect))
	if err != nil {
		return 0, fmt.Errorf("blob %q: %w", name, err)
	}
	return store.Revision(rev), nil
}

func (s *Store) putBlob(ctx context.Context, name string, data []byte, expect uint64) (uint64, error) {
	stream, err := s.stream(ctx, s.blobConfig())
	if err != nil {
		return 0, err
	}
	sum := sha256.Sum256(data)
	m := manifest{Size: len(data), SHA256: hex.EncodeToString(sum[:])}
	body := data
	if len(data) > chunkSize {
		if m.Chunks, err = s.putChunks(ctx, stream, name, data, expect); err != nil {
			return 0, err
		}
		body = nil
	}
	head, err := json.Marshal(m)
	if err != nil {
		return 0, err
	}
	msg := expecting(message(s.names.manifest(name), body), expect)
	msg.Header.Set(manifestHeader, string(head))
	a, err := s.publish(ctx, msg)
	if err != nil {
		return 0, err
	}
	s.dropChunks(ctx, stream, name, append(m.Chunks, a.Sequence)[0])
	return a.Sequence, nil
}

func (s *Store) putChunks(ctx context.Context, stream jetstream.Stream, name string, data []byte, expect uint64) ([]uint64, error) {
	// Not needed to be right, only to spare a loser the work.
	if _, rev, err := s.manifest(ctx, stream, name); err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	} else if rev != expect {
		return nil, fmt.Errorf("it is at revision %d, not %d: %w", rev, expect, store.ErrConflict)
	}
	prefix := s.names.chunks(name, nuid.Next())
	var seqs []uint64
	for i := 0; i < len(data); i += chunkSize {
		a, err := s.publish(ctx, message(fmt.Sprintf("%s.%d", prefix, len(seqs)), data[i:min(i+chunkSize, len(data))]))
		if errors.Is(err, store.ErrUnknown) {
			return nil, fmt.Errorf("%w: chunk %d: %w", store.ErrUnavailable, len(seqs), context.Cause(ctx))
		}
		if err != nil {
			return nil, fmt.Errorf("chunk %d: %w", len(seqs), err)
		}
		seqs = append(seqs, a.Sequence)
	}
	return seqs, nil
}

// dropChunks removes the chunks of a blob that lie before the given sequence: those of replaced
// versions and of attempts that failed or crashed. It can't hit an attempt that may still succeed:
// that one expects the manifest which we have just stored, so all its chunks lie behind it.
func (s *Store) dropChunks(ctx context.Context, stream jetstream.Stream, name string, before uint64) {
	defer s.opts.Waits()()
	err := stream.Purge(ctx, jetstream.WithPurgeSubject(s.names.allChunks(name)), jetstream.WithPurgeSequence(before))
	if err != nil {
		// The next replacement does it.
		s.opts.Logger.Warn("chunks of a replaced blob not removed", "blob", name, "err", err)
	}
}

// manifest returns the manifest's message and the blob's revision, 0 with ErrNotFound.
func (s *Store) manifest(ctx context.Context, stream jetstream.Stream, name string) (*jetstream.RawStreamMsg, uint64, error) {
	m, err := stream.GetLastMsgForSubject(ctx, s.names.manifest(name))
	if err != nil {
		return nil, 0, translateGet(err)
	}
	return m, m.Sequence, nil
}

// GetBlob implements store.Store.
func (s *Store) GetBlob(ctx context.Context, name string) ([]byte, store.Revision, error) {
	if err := store.CheckName("blob", name); err != nil {
		return nil, 0, err
	}
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer cancel()
	data, rev, err := s.getBlob(ctx, name)
	if err != nil {
		return nil, 0, fmt.Errorf("blob %q: %w", name, err)
	}
	return data, store.Revision(rev), nil
}

func (s *Store) getBlob(ctx context.Context, name string) ([]byte, uint64, error) {
	stream, err := s.stream(ctx, s.blobConfig())
	if err != nil {
		return nil, 0, err
	}
	var failed uint64
	for range getAttempts {
		msg, rev, err := s.manifest(ctx, stream, name)
		if err != nil {
			return nil, 0, err
		}
		data, err := assemble(ctx, stream, msg)
		if err == nil {
			return data, rev, nil
		}
		if errors.Is(err, store.ErrUnavailable) {
			return nil, 0, err
		}
		if !errors.Is(err, store.ErrNotFound) || rev == failed {
			return nil, 0, fmt.Errorf("revision %d is damaged: %w", rev, hide(err))
		}
		failed = rev // a chunk is gone: either the blob was replaced, or the chunk is missing
	}
	return nil, 0, fmt.Errorf("%w: replaced faster than it can be read", store.ErrUnavailable)
}

// hide keeps a missing chunk from looking like a missing blob.
func hide(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errors.New(err.Error())
	}
	return err
}

// assemble returns the data of the blob that the manifest describes.
func assemble(ctx context.Context, stream jetstream.Stream, msg *jetstream.RawStreamMsg) ([]byte, error) {
	var m manifest
	if err := json.Unmarshal([]byte(msg.Header.Get(manifestHeader)), &m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	data := msg.Data
	if len(m.Chunks) > 0 {
		parts, err := collect(ctx, m.Chunks, func(ctx context.Context, seq uint64) ([]byte, error) {
			c, err := stream.GetMsg(ctx, seq)
			if err != nil {
				return nil, fmt.Errorf("chunk %d: %w", seq, translateGet(err))
			}
			return c.Data, nil
		})
		if err != nil {
			return nil, err
		}
		data = make([]byte, 0, m.Size)
		for _, p := range parts {
			data = append(data, p...)
		}
	}
	sum := sha256.Sum256(data)
	if len(data) != m.Size || hex.EncodeToString(sum[:]) != m.SHA256 {
		return nil, fmt.Errorf("%d bytes with SHA-256 %x, the manifest says %d with %s", len(data), sum, m.Size, m.SHA256)
	}
	return data, nil
}
