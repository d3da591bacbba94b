package front

import (
	"sync"

	"sluice.dev/sluice/internal/head"
)

// maxHead is up to how large a head is understood here.
const maxHead = head.Max

// buffers hold what was read of heads and what is to be written of answers. A connection has one only while it
// holds something.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, maxHead)
	return &b
}}

// inbox is what has come from the client and was not taken yet.
type inbox struct {
	held *[]byte // nil: nothing
	from int
	to   int
}

// bytes returns what was not taken.
func (i *inbox) bytes() []byte {
	if i.held == nil {
		return nil
	}
	return (*i.held)[i.from:i.to]
}

// drop takes n bytes; the memory goes back with the last.
func (i *inbox) drop(n int) {
	if i.from += n; i.from == i.to && i.held != nil {
		buffers.Put(i.held)
		*i = inbox{}
	}
}

// room returns where more can be written, empty if it is full.
func (i *inbox) room() []byte {
	if i.held == nil {
		i.held = buffers.Get().(*[]byte)
	}
	if i.from > 0 {
		i.to = copy(*i.held, (*i.held)[i.from:i.to])
		i.from = 0
	}
	return (*i.held)[i.to:]
}

// take copies into p and drops that.
func (i *inbox) take(p []byte) int {
	n := copy(p, i.bytes())
	i.drop(n)
	return n
}

// shrink gives the memory back if nothing is in it.
func (i *inbox) shrink() { i.drop(0) }
