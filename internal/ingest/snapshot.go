package ingest

import (
	"encoding/binary"
	"fmt"
	"math"

	"sluice.dev/sluice/internal/release"
)

// snapshot is a partition's tallies together with the place in the log that they stand for.
type snapshot struct {
	seq     uint64
	tallies []snapshotTally // ascending by id
	bytes   uint64          // of the log that this process has folded; not stored
}

type snapshotTally struct {
	id   ID
	gap  gap
	data []byte // tally.AppendBinary
}

// snapshotVersion is the first byte of a stored snapshot. Then follow, as LEB128 numbers and texts with
// their length in front: the log's sequence, how many tallies, and for each its model, release, gap
// (stratum and words) and bytes.
const snapshotVersion = 2

const maxTallies = 1 << 16

func (s *snapshot) append(b []byte) []byte {
	b = append(b, snapshotVersion)
	b = binary.AppendUvarint(b, s.seq)
	b = binary.AppendUvarint(b, uint64(len(s.tallies)))
	for i := range s.tallies {
		t := &s.tallies[i]
		b = binary.AppendUvarint(b, uint64(t.id.Key))
		b = binary.AppendUvarint(b, uint64(t.id.Number))
		b = binary.AppendUvarint(b, uint64(t.gap.stratum))
		b = appendBytes(b, []byte(t.gap.words))
		b = appendBytes(b, t.data)
	}
	return b
}

// size is how long the stored form is, at most.
func (s *snapshot) size() int {
	n := 1 + 2*binary.MaxVarintLen64
	for i := range s.tallies {
		n += 5*binary.MaxVarintLen32 + len(s.tallies[i].gap.words) + len(s.tallies[i].data)
	}
	return n
}

func appendBytes(b, x []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(x))), x...)
}

// readSnapshot reads a stored snapshot; the tallies' bytes are views of data.
func readSnapshot(data []byte) (*snapshot, error) {
	if len(data) == 0 || data[0] != snapshotVersion {
		return nil, fmt.Errorf("it is not of version %d", snapshotVersion)
	}
	r := snapshotReader{b: data[1:]}
	s := &snapshot{seq: r.number(math.MaxUint64)}
	for range r.number(maxTallies) {
		t := snapshotTally{id: ID{release.ModelKey(r.number(math.MaxUint32)), uint32(r.number(math.MaxUint32))}}
		t.gap.stratum = uint16(r.number(math.MaxUint16))
		t.gap.words = string(r.bytes())
		t.data = r.bytes()
		if r.bad {
			break
		}
		s.tallies = append(s.tallies, t)
	}
	if r.bad || len(r.b) > 0 {
		return nil, fmt.Errorf("it is damaged")
	}
	return s, nil
}

type snapshotReader struct {
	b   []byte
	bad bool
}

func (r *snapshotReader) number(most uint64) uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > most {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *snapshotReader) bytes() []byte {
	n := r.number(uint64(len(r.b)))
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	x := r.b[:n]
	r.b = r.b[n:]
	return x
}
