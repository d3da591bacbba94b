package looks

import "time"

// Look is what was known at one moment.
type Look struct {
	Time      int64  // Unix milliseconds
	Live      uint64 // exposures of users since the release began
	Candidate uint64 // by all candidates together
	Points    []Point
}

// Point is what the data said of one metric of one candidate. Numbers are as in judge.Verdict.
type Point struct {
	Metric string
	Arm    uint8
	State  string // never ""
	Unit   string // of Estimate, Lo and Hi

	Estimate, Lo, Hi            float64 // Lo and Hi are NaN before there is an interval
	Live, Candidate             float64
	LnHarm, LnNoWorse, LnBetter float64
	LiveN, CandidateN           uint64
}

const (
	// ChunkLen is how many looks a full chunk has.
	ChunkLen = 128
	// Fan is how many looks of one level become one of the next.
	Fan = 16
	// Levels is how many levels there are; the coarsest has one of 4096 looks.
	Levels = 4
)

// Spacing is how far apart looks are kept that say nothing new of importance, after so many looks: five
// seconds for the first week, twice that for the next two, and so on.
func Spacing(count uint64) time.Duration {
	const week = 1 << 17
	return 5 * time.Second << min(count/week, 10)
}

// Chunk is a full chunk of one level, to be stored under its number.
type Chunk struct {
	Level  int
	Number uint64
	Looks  []Look
}

// Head is the history's growing end. The zero value is an empty history.
type Head struct {
	Count uint64         // looks at level 0
	Last  int64          // time of the latest one, Unix milliseconds; 0: there is none
	Tails [Levels][]Look // by level, what is not yet a full chunk
}

// Append adds a look and returns the chunks that are full now. They must be stored before the head is.
func (h *Head) Append(l Look) []Chunk {
	var full []Chunk
	h.Count, h.Last = h.Count+1, l.Time
	stride := uint64(1)
	for level := range Levels {
		if h.Count%stride != 0 {
			break
		}
		h.Tails[level] = append(h.Tails[level], l)
		if len(h.Tails[level]) == ChunkLen {
			full = append(full, Chunk{Level: level, Number: h.Len(level)/ChunkLen - 1, Looks: h.Tails[level]})
			h.Tails[level] = nil
		}
		stride *= Fan
	}
	return full
}

// Len is how many looks a level has.
func (h *Head) Len(level int) uint64 { return h.Count / Stride(level) }

// Stride is how many looks one of this level stands for.
func Stride(level int) uint64 {
	stride := uint64(1)
	for range level {
		stride *= Fan
	}
	return stride
}

// LevelFor returns the finest level at which a history of count looks has at most most of them, or else
// the coarsest.
func LevelFor(count, most uint64) int {
	for level := range Levels {
		if count/Stride(level) <= most {
			return level
		}
	}
	return Levels - 1
}

// Sample returns at most n of the looks: the last one of each of n equal groups, so that the latest look is always
// among them, and the first. The looks are ascending in time.
func Sample(all []Look, n int) []Look {
	if n < 2 || len(all) <= n {
		return all
	}
	out := make([]Look, 0, n)
	out = append(out, all[0])
	for i := 1; i < n; i++ {
		out = append(out, all[i*(len(all)-1)/(n-1)])
	}
	return out
}
