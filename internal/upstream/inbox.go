package upstream

import "sync"

// The memory for what comes: little for most answers, more once one has filled that.
const (
	smallInbox = 8 << 10
	largeInbox = 32 << 10
)

var smallInboxes, largeInboxes = inboxPool(smallInbox), inboxPool(largeInbox)

func inboxPool(size int) *sync.Pool {
	return &sync.Pool{New: func() any {
		b := make([]byte, size)
		return &b
	}}
}

// inbox is what the server has said and nobody has taken yet. It holds memory from a read that finds something until shrink
// finds nothing left: a connection that waits holds none.
type inbox struct {
	held  *[]byte
	from  int
	to    int
	large bool // much is to come
}

// bytes returns what was not taken. It is valid until the next call of room or shrink.
func (i *inbox) bytes() []byte {
	if i.held == nil {
		return nil
	}
	return (*i.held)[i.from:i.to]
}

// drop takes n bytes. They may be looked at as long as those of bytes.
func (i *inbox) drop(n int) { i.from += n }

// came adds n bytes that were read into room.
func (i *inbox) came(n int) {
	i.to += n
	i.large = i.to == len(*i.held)
}

// room returns where more can be read to; none if a large memory is full of what nobody took.
func (i *inbox) room() []byte {
	switch {
	case i.held == nil:
		i.held = i.pool().Get().(*[]byte)
	case i.large && len(*i.held) == smallInbox:
		old := *i
		i.held = largeInboxes.Get().(*[]byte)
		i.from, i.to = 0, copy(*i.held, old.bytes())
		smallInboxes.Put(old.held)
	case i.from > 0:
		i.to = copy(*i.held, (*i.held)[i.from:i.to])
		i.from = 0
	}
	return (*i.held)[i.to:]
}

func (i *inbox) pool() *sync.Pool {
	if i.large {
		return largeInboxes
	}
	return smallInboxes
}

// shrink gives the memory back if nothing is in it.
func (i *inbox) shrink() {
	if i.held == nil || i.from < i.to {
		return
	}
	if len(*i.held) == smallInbox {
		smallInboxes.Put(i.held)
	} else {
		largeInboxes.Put(i.held)
	}
	i.held, i.from, i.to = nil, 0, 0
}
