package records

import (
	"context"
	"time"

	"sluice.dev/sluice/internal/looks"
	"sluice.dev/sluice/internal/release"
)

// LookQuery says which of a release's looks are wanted.
type LookQuery struct {
	From, To time.Time // zero: from the first, to the latest
	// Points asks for a picture of at most that many looks; they are drawn from the whole range.
	Points int
	// Without Points, at most Limit looks from number After on are returned as they are.
	After uint64
	Limit int
}

// Looks is a piece of a release's history.
type Looks struct {
	Looks []looks.Look
	Count uint64 // looks in the whole history
	Every uint64 // how many looks one of these stands for, about; 1: they are all there
	Next  uint64 // where the next piece begins; 0: there is none
}

// Looks returns looks at a release, oldest first: those that are stored, and behind them those that this
// process has gathered since.
func (r *Records) Looks(ctx context.Context, name string, n uint32, q LookQuery) (Looks, error) {
	b, err := r.openLooks(ctx, name, n)
	if err != nil {
		return Looks{}, err
	}
	out := Looks{Count: b.head.Count, Every: 1}
	lo, hi, err := b.span(ctx, q.From, q.To)
	if err != nil || lo >= hi {
		return out, err
	}
	if q.Points > 0 {
		out.Looks, err = b.picture(ctx, lo, hi, q.Points)
		out.Every = max(1, (hi-lo)/max(1, uint64(len(out.Looks))))
		return out, err
	}
	lo = max(lo, q.After)
	end := min(hi, lo+uint64(max(1, q.Limit))) //nolint:gosec // not negative
	for i := lo; i < end; i++ {
		l, err := b.at(ctx, 0, i)
		if err != nil {
			return Looks{}, err
		}
		out.Looks = append(out.Looks, l)
	}
	if end < hi && lo < hi {
		out.Next = end
	}
	return out, nil
}

// book reads one history; chunks that were read are kept for the time of one query.
type book struct {
	r      *Records
	name   string
	n      uint32
	head   *looks.Head
	chunks map[chunkID][]looks.Look
}

type chunkID struct {
	level  int
	number uint64
}

func (r *Records) openLooks(ctx context.Context, name string, n uint32) (*book, error) {
	head, _, err := r.looksHead(ctx, name, n)
	if err != nil {
		return nil, err
	}
	b := &book{r: r, name: name, n: n, head: head, chunks: map[chunkID][]looks.Look{}}
	r.looks.mu.Lock()
	defer r.looks.mu.Unlock()
	if g := r.looks.open[stateKey(name, n)]; g != nil {
		for _, l := range after(g.pending, head) {
			for _, c := range head.Append(l) {
				b.chunks[chunkID{c.Level, c.Number}] = c.Looks
			}
		}
	}
	return b, nil
}

// at returns look i of a level.
func (b *book) at(ctx context.Context, level int, i uint64) (looks.Look, error) {
	chunk, err := b.chunk(ctx, chunkID{level, i / looks.ChunkLen})
	if err != nil {
		return looks.Look{}, err
	}
	if i%looks.ChunkLen >= uint64(len(chunk)) {
		return looks.Look{}, release.Internal("read the looks of "+b.name, nil, "chunk %d of level %d has %d looks", i/looks.ChunkLen, level, len(chunk))
	}
	return chunk[i%looks.ChunkLen], nil
}

func (b *book) chunk(ctx context.Context, id chunkID) ([]looks.Look, error) {
	if id.number == b.head.Len(id.level)/looks.ChunkLen {
		return b.head.Tails[id.level], nil
	}
	if chunk, ok := b.chunks[id]; ok {
		return chunk, nil
	}
	op := "read the looks of " + b.name
	data, _, err := b.r.store.GetBlob(ctx, chunkBlob(b.name, b.n, id.level, id.number))
	if err != nil {
		return nil, translate(op, err)
	}
	chunk, err := looks.Decode(data)
	if err != nil {
		return nil, damaged(op, err)
	}
	b.chunks[id] = chunk
	return chunk, nil
}

// span returns the numbers of the looks within a time, first inclusive, last exclusive.
func (b *book) span(ctx context.Context, from, to time.Time) (lo, hi uint64, err error) {
	hi = b.head.Count
	if !from.IsZero() {
		if lo, err = b.search(ctx, from.UnixMilli()); err != nil {
			return 0, 0, err
		}
	}
	if !to.IsZero() {
		hi, err = b.search(ctx, to.UnixMilli()+1)
	}
	return lo, hi, err
}

// search returns the number of the first look at or after a time.
func (b *book) search(ctx context.Context, ms int64) (uint64, error) {
	lo, hi := uint64(0), b.head.Count
	for lo < hi {
		mid := lo + (hi-lo)/2
		l, err := b.at(ctx, 0, mid)
		if err != nil {
			return 0, err
		}
		if l.Time < ms {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, nil
}

// picture returns at most n looks of a range, its first and its last among them, from the finest level that has few
// enough.
func (b *book) picture(ctx context.Context, lo, hi uint64, n int) ([]looks.Look, error) {
	level := looks.LevelFor(hi-lo, looks.Fan*uint64(n)) //nolint:gosec // not negative; a coarser level would have fewer than n
	stride := looks.Stride(level)
	first, err := b.at(ctx, 0, lo)
	if err != nil {
		return nil, err
	}
	last, err := b.at(ctx, 0, hi-1)
	if err != nil {
		return nil, err
	}
	all := []looks.Look{first}
	for i := lo / stride; i < hi/stride; i++ {
		l, err := b.at(ctx, level, i)
		if err != nil {
			return nil, err
		}
		if l.Time > first.Time && l.Time < last.Time {
			all = append(all, l)
		}
	}
	if last.Time > first.Time {
		all = append(all, last)
	}
	return looks.Sample(all, n), nil
}
