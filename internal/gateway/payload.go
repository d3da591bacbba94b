package gateway

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
)

// Faults of a request's body.
var (
	errBodyTooLarge = errors.New("body too large")
	errBodySlow     = errors.New("body too slow")
	errNoMemory     = errors.New("memory for bodies used up")
)

// Buffers come in classes, so that a small request never holds a large buffer and a pool never
// holds a huge one.
var classes = [...]int{1 << 10, 4 << 10, 32 << 10, 256 << 10, 1 << 20}

var pools [len(classes)]sync.Pool

// buffer returns an empty buffer of at least size bytes and at least one free byte.
func buffer(size int64) *[]byte {
	for i, c := range classes {
		if size < int64(c) {
			if b, ok := pools[i].Get().(*[]byte); ok {
				return b
			}
			b := make([]byte, 0, c)
			return &b
		}
	}
	b := make([]byte, 0, size+1) // one more than needed: the read that finds the end needs a byte
	return &b
}

// recycle gives a buffer back. Nobody may hold any part of it afterwards.
func recycle(b *[]byte) {
	for i, c := range classes {
		if cap(*b) == c {
			*b = (*b)[:0]
			pools[i].Put(b)
			return
		}
	}
}

// payload is a request's body in memory. It is shared by the request, its second try and its
// mirrored copy; the last one to let go gives the buffer back.
type payload struct {
	buf    []byte  // the part that is filled
	box    *[]byte // whose memory it is
	refs   atomic.Int32
	memory *slots // bytes of bodies held by the gateway
	held   int64
}

var payloads = sync.Pool{New: func() any { return new(payload) }}

// readPayload reads r to its end, at most limit bytes. length is the announced length, -1 if there
// is none. The caller holds the only reference and must release it.
//
// It fails with errBodyTooLarge without reading further than the limit, errBodySlow if the
// connection's deadline passed, errNoMemory if all requests together hold too much, or the error of r.
func readPayload(r io.Reader, length, limit int64, memory *slots) (*payload, error) {
	if length > limit {
		return nil, errBodyTooLarge
	}
	p := payloads.Get().(*payload)
	p.memory = memory
	p.refs.Store(1)
	if err := p.fill(r, length, limit); err != nil {
		p.release()
		return nil, err
	}
	return p, nil
}

func (p *payload) fill(r io.Reader, length, limit int64) error {
	// What a client announces is believed only once the third class is full: memory follows bytes.
	if err := p.grow(min(max(length, 0), int64(classes[2]-1))); err != nil {
		return err
	}
	for {
		n, err := r.Read(p.buf[len(p.buf):cap(p.buf)])
		p.buf = p.buf[:len(p.buf)+n]
		switch {
		case int64(len(p.buf)) > limit:
			return errBodyTooLarge
		case err == io.EOF:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return errBodySlow
		case err != nil:
			return err
		}
		if len(p.buf) < cap(p.buf) {
			continue
		}
		if err := p.grow(max(length, min(2*int64(cap(p.buf)), limit))); err != nil {
			return err
		}
	}
}

// grow moves to a buffer that holds size bytes and one more.
func (p *payload) grow(size int64) error {
	next := buffer(size)
	if !p.memory.take(int64(cap(*next))) {
		recycle(next)
		return errNoMemory
	}
	old := p.box
	p.buf, p.box = append(*next, p.buf...), next
	p.memory.give(p.held)
	p.held = int64(cap(*next))
	if old != nil {
		recycle(old)
	}
	return nil
}

// bytes returns the body; nil receiver: a request without one in memory.
func (p *payload) bytes() []byte {
	if p == nil {
		return nil
	}
	return p.buf
}

// retain claims one more reference.
func (p *payload) retain() { p.refs.Add(1) }

// release gives a reference back; with the last one the buffer goes.
func (p *payload) release() {
	if p == nil || p.refs.Add(-1) > 0 {
		return
	}
	p.memory.give(p.held)
	if p.box != nil {
		recycle(p.box)
	}
	p.buf, p.box, p.memory, p.held = nil, nil, nil, 0
	payloads.Put(p)
}

// reader returns the body for one upstream request. The transport closes it when it has finished
// with it, which may be after its answer came; until then it holds a reference.
// pieces are the buffer's parts and whatever an edit puts between them.
func (p *payload) reader(pieces [][]byte) io.ReadCloser {
	p.retain()
	return &payloadReader{p: p, rest: append(net.Buffers(nil), pieces...)}
}

type payloadReader struct {
	mu   sync.Mutex // a transport may close from another goroutine while it reads
	p    *payload
	rest net.Buffers
}

func (b *payloadReader) Read(dst []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.p == nil {
		return 0, errReaderClosed
	}
	return b.rest.Read(dst)
}

func (b *payloadReader) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.p != nil {
		b.p.release()
		b.p, b.rest = nil, nil
	}
	return nil
}

var errReaderClosed = errors.New("read of a closed body")
