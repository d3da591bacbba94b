package ingest

import (
	"maps"
	"sync"
	"sync/atomic"

	"sluice.dev/sluice/internal/release"
)

// Bounds of the interner. What lies beyond is counted as one category: its memory must not grow with
// what strangers send.
const (
	maxCategories = 256     // per signal of a model
	maxInterned   = 1 << 16 // in all
	overflowText  = "other"
)

// Interner numbers the texts of categories. Looking one up is one atomic load and one map access, and
// allocates nothing; a new one copies the table, which happens a bounded number of times. Safe for
// concurrent use.
type Interner struct {
	table atomic.Pointer[internTable]
	mu    sync.Mutex // held by who adds
	used  map[signalKey]int
}

type internTable struct {
	ids   map[textKey]uint32
	texts []string // by id; id 0 is the overflow
}

type signalKey struct {
	model  release.ModelKey
	signal int
}

type textKey struct {
	signalKey
	text string
}

// NewInterner returns an empty interner.
func NewInterner() *Interner {
	i := &Interner{used: map[signalKey]int{}}
	i.table.Store(&internTable{ids: map[textKey]uint32{}, texts: []string{overflowText}})
	return i
}

// Category returns the number of a text of a model's signal.
func (i *Interner) Category(model release.ModelKey, signal int, text []byte) uint32 {
	k := signalKey{model, signal}
	if id, ok := i.table.Load().ids[textKey{k, string(text)}]; ok {
		return id
	}
	return i.add(textKey{k, string(text)})
}

func (i *Interner) add(k textKey) uint32 {
	i.mu.Lock()
	defer i.mu.Unlock()
	old := i.table.Load()
	if id, ok := old.ids[k]; ok {
		return id
	}
	if i.used[k.signalKey] >= maxCategories || len(old.texts) >= maxInterned {
		return 0
	}
	i.used[k.signalKey]++
	next := &internTable{ids: maps.Clone(old.ids), texts: append(old.texts[:len(old.texts):len(old.texts)], k.text)}
	id := uint32(len(old.texts))
	next.ids[k] = id
	i.table.Store(next)
	return id
}

// text returns the text of a number.
func (i *Interner) text(id uint32) string {
	texts := i.table.Load().texts
	if int(id) >= len(texts) {
		return overflowText
	}
	return texts[id]
}
