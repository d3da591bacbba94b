package simulate

import "sluice.dev/sluice/internal/release"

// memory is what the runs of one worker use again, one after the other: a run takes some tens of megabytes and gives none back before its
// end. It belongs to one goroutine. Nothing of it outlives a run.
type memory struct {
	floats arena[float64]
	ints   arena[int32]
	bytes  arena[uint8]
	flags  arena[bool]
	drawn  []float64 // by bin: counts of one row
	above  []float64 // by bin: counts beyond an edge
}

func newMemory() *memory {
	return &memory{drawn: make([]float64, release.Bins), above: make([]float64, release.Bins)}
}

// reset takes everything back.
func (m *memory) reset() {
	m.floats.reset()
	m.ints.reset()
	m.bytes.reset()
	m.flags.reset()
}

// bins is an empty row.
func (m *memory) bins() []float64 { return m.floats.take(release.Bins) }

func (m *memory) rows(n int) []cellRow {
	rows := make([]cellRow, n)
	for i := range rows {
		rows[i] = m.bins()
	}
	return rows
}

// arena hands out zeroed slices of large blocks.
type arena[T any] struct {
	blocks   [][]T
	at, used int // the present block, and what of it is taken
}

const arenaBlock = 1 << 16

func (a *arena[T]) reset() { a.at, a.used = 0, 0 }

func (a *arena[T]) take(n int) []T {
	for ; a.at < len(a.blocks); a.at, a.used = a.at+1, 0 {
		if end := a.used + n; end <= len(a.blocks[a.at]) {
			s := a.blocks[a.at][a.used:end:end]
			a.used = end
			clear(s)
			return s
		}
	}
	a.blocks = append(a.blocks, make([]T, max(n, arenaBlock)))
	a.used = n
	return a.blocks[a.at][:n:n]
}
