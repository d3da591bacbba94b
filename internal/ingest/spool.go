package ingest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"sluice.dev/sluice/internal/release"
)

// spool is a bounded file of one partition's batches that the log did not take, oldest first. It
// outlives the process, not a loss of power: it is telemetry that waits, and waiting for the disk would
// only lose more of it. A batch is taken out after the log has acknowledged it; after a crash some are
// sent again, under the same ids and numbers, and count once.
//
// A record is: length of the id and length of the batch (4 bytes each), CRC-32C of both and what
// follows, id, batch; little-endian. A record that is cut off or damaged ends the file.
type spool struct {
	file  *os.File
	most  int64 // bytes
	read  int64 // where the oldest batch begins
	write int64 // where the next one goes
	buf   []byte
}

const (
	spoolHead  = 12
	maxSpoolID = 256
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errSpoolFull says that a batch has no room left.
var errSpoolFull = errors.New("the spool is full")

// openSpool opens the spool of a partition and finds what an earlier process left in it.
func openSpool(dir string, partition int, most int64) (*spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, release.Invalid("open spool", "the folder %s can't be made: %v", dir, err).Fix("set telemetry.spoolDir to a folder that you may write")
	}
	name := filepath.Join(dir, fmt.Sprintf("partition-%02d.spool", partition))
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, release.Invalid("open spool", "%v", err).Fix("set telemetry.spoolDir to a folder that you may write")
	}
	s := &spool{file: file, most: most}
	for {
		_, _, next, err := s.at(s.write)
		if err != nil {
			break // the end, or what a crash left of a record
		}
		s.write = next
	}
	if err := file.Truncate(s.write); err != nil {
		return nil, errors.Join(fmt.Errorf("cut spool %s: %w", name, err), file.Close())
	}
	return s, nil
}

// waiting says whether the spool holds a batch. A nil spool holds none.
func (s *spool) waiting() bool { return s != nil && s.read < s.write }

// size is how many bytes wait.
func (s *spool) size() int64 {
	if s == nil {
		return 0
	}
	return s.write - s.read
}

// put appends a batch. The error is errSpoolFull or the disk's; the spool is then as it was.
func (s *spool) put(id string, data []byte) error {
	n := int64(spoolHead + len(id) + len(data))
	if s.write+n > s.most {
		return errSpoolFull
	}
	b := binary.LittleEndian.AppendUint32(s.buf[:0], uint32(len(id)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = append(b, 0, 0, 0, 0)
	b = append(append(b, id...), data...)
	binary.LittleEndian.PutUint32(b[8:], spoolSum(b))
	s.buf = b
	if _, err := s.file.WriteAt(b, s.write); err != nil {
		return errors.Join(err, s.file.Truncate(s.write))
	}
	s.write += n
	return nil
}

func spoolSum(record []byte) uint32 {
	return crc32.Update(crc32.Checksum(record[:8], castagnoli), castagnoli, record[spoolHead:])
}

// oldest returns the oldest batch and where the next one begins. The bytes are the spool's until its
// next call.
func (s *spool) oldest() (id string, data []byte, next int64, err error) { return s.at(s.read) }

func (s *spool) at(off int64) (id string, data []byte, next int64, err error) {
	var head [spoolHead]byte
	if _, err := s.file.ReadAt(head[:], off); err != nil {
		return "", nil, 0, err
	}
	idLen, dataLen := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:])
	if idLen > maxSpoolID || dataLen > release.MaxBatchBytes {
		return "", nil, 0, io.ErrUnexpectedEOF
	}
	n := spoolHead + int(idLen) + int(dataLen)
	if cap(s.buf) < n {
		s.buf = make([]byte, n)
	}
	b := s.buf[:n]
	if _, err := s.file.ReadAt(b, off); err != nil {
		return "", nil, 0, err
	}
	if spoolSum(b) != binary.LittleEndian.Uint32(b[8:]) {
		return "", nil, 0, io.ErrUnexpectedEOF
	}
	return string(b[spoolHead : spoolHead+idLen]), b[spoolHead+idLen:], off + int64(n), nil
}

// drop takes the oldest batch out; next is where the one after it begins. An empty spool gives its
// room back.
func (s *spool) drop(next int64) error {
	s.read = next
	if s.read < s.write {
		return nil
	}
	s.read, s.write = 0, 0
	return s.file.Truncate(0)
}

// clear gives up what can't be read.
func (s *spool) clear() error { return s.drop(s.write) }

func (s *spool) close() error {
	if s == nil {
		return nil
	}
	return s.file.Close()
}
