package ingest

import (
	"sync/atomic"

	"github.com/zeebo/xxh3"

	"sluice.dev/sluice/internal/release"
)

// Sizes of the interner: what one process holds of texts at most, whatever strangers send.
const (
	internSlots = 1 << 16 // texts that can be found again
	internProbe = 8       // slots that a text may lie in
	internIDs   = 1 << 17 // numbers that can be turned back into texts
)

// Interner lends numbers to the texts of categories, so that an exposure is free of pointers. A number
// is good until 2^17 younger ones were given out: long enough for an exposure to become part of a
// batch. Finding a text again costs one hash and allocates nothing; a text that was pushed out by
// others gets a new number. Safe for concurrent use, without locks.
type Interner struct {
	slots [internSlots]atomic.Pointer[interned]
	byID  [internIDs]atomic.Pointer[interned]
	last  atomic.Uint32
}

type interned struct {
	text string
	id   uint32
}

// NewInterner returns an empty interner.
func NewInterner() *Interner { return &Interner{} }

// Category returns a number for a text. The number says nothing about model and signal: the same text
// may share one.
func (t *Interner) Category(_ release.ModelKey, _ int, text []byte) uint32 {
	h := xxh3.Hash(text)
	free := -1
	for i := range internProbe {
		at := int(h+uint64(i)) & (internSlots - 1)
		e := t.slots[at].Load()
		if e == nil {
			free = at
			break
		}
		if e.text == string(text) && t.alive(e) {
			return e.id
		}
	}
	if free < 0 {
		free = int(h+h>>32%internProbe) & (internSlots - 1) // all taken: one of them makes room
	}
	e := &interned{text: string(text), id: t.last.Add(1)}
	t.byID[e.id%internIDs].Store(e)
	t.slots[free].Store(e)
	return e.id
}

// alive says whether the entry's number still leads to it, with some way to go before it won't.
func (t *Interner) alive(e *interned) bool { return t.last.Load()-e.id < internIDs/2 }

// text returns the text of a number; ok is false if it is too old.
func (t *Interner) text(id uint32) (text string, ok bool) {
	e := t.byID[id%internIDs].Load()
	if e == nil || e.id != id {
		return "", false
	}
	return e.text, true
}
