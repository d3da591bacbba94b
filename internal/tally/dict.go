package tally

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/zeebo/xxh3"

	"sluice.dev/sluice/internal/release"
)

// dictionary maps the texts of one category metric or segment to small indices. Before the baseline
// it grows up to its cap; afterwards it is frozen. The last index is "other".
type dictionary struct {
	names  []string // without "other"
	index  map[string]int
	most   int
	frozen bool
}

func newDictionary(most int) dictionary {
	return dictionary{index: map[string]int{}, most: most}
}

func frozenDictionary(names []string) dictionary {
	d := newDictionary(len(names))
	for _, n := range names {
		if _, ok := d.index[n]; !ok && n != Other {
			d.index[n] = len(d.names)
			d.names = append(d.names, n)
		}
	}
	d.frozen = true
	return d
}

// other is the index of "other" in rows of this dictionary: growing ones keep the last place for it,
// so that indices which were given out stay.
func (d *dictionary) other() int {
	if d.frozen {
		return len(d.names)
	}
	return d.most
}

// rows is how many rows a dictionary's counters have.
func (d *dictionary) rows() int { return d.other() + 1 }

func (d *dictionary) full() bool { return d.frozen || len(d.names) >= d.most }

// of returns the index of a text, adding it if there is room.
func (d *dictionary) of(s string) int {
	if i, ok := d.index[s]; ok {
		return i
	}
	if d.full() || s == Other {
		return d.other()
	}
	s = strings.Clone(s)
	d.index[s] = len(d.names)
	d.names = append(d.names, s)
	return len(d.names) - 1
}

// texts is what one batch's dictionary means for one tally. Each string is looked at once per batch.
type texts struct {
	dict  []string
	canon []uint64  // canonical value for agree; 0: not looked up yet
	num   []float64 // NaN: no number; +Inf: not looked up yet
	cats  [][]int32 // by category metric; -1: not looked up yet
	segs  [][]int32 // by segment
	feeds []int32   // index into program.names; -1 none, -2 not looked up yet
	buf   [32]byte  // spelling of a number
}

func (x *texts) reset(dict []string, cats, segs int) {
	n := len(dict)
	x.dict = dict
	x.canon = fill(x.canon, n, 0)
	x.num = fill(x.num, n, math.Inf(1))
	x.feeds = fill(x.feeds, n, -2)
	for len(x.cats) < cats {
		x.cats = append(x.cats, nil)
	}
	for len(x.segs) < segs {
		x.segs = append(x.segs, nil)
	}
	for i := range x.cats {
		x.cats[i] = fill(x.cats[i], n, -1)
	}
	for i := range x.segs {
		x.segs[i] = fill(x.segs[i], n, -1)
	}
}

func fill[T any](s []T, n int, v T) []T {
	s = slices.Grow(s[:0], n)[:n]
	for i := range s {
		s[i] = v
	}
	return s
}

// number reads a value as a number: texts that spell one, and true and false as 1 and 0.
func (x *texts) number(v *release.Value) (float64, bool) {
	switch v.Kind {
	case release.ValueNumber:
		return v.Num, true
	case release.ValueCategory:
		if int(v.Cat) >= len(x.dict) {
			return 0, false
		}
		n := x.num[v.Cat]
		if math.IsInf(n, 1) {
			var ok bool
			if n, ok = spelledNumber(x.dict[v.Cat]); !ok {
				n = math.NaN()
			}
			x.num[v.Cat] = n
		}
		return n, !math.IsNaN(n)
	default:
		return 0, false
	}
}

// agreement maps a value to a word such that two words are equal if and only if release.Agree holds
// between the texts of the values (but for a collision of 64-bit hashes). It is never 0.
func (x *texts) agreement(v *release.Value) (uint64, bool) {
	switch v.Kind {
	case release.ValueNumber:
		return numberWord(v.Num), true
	case release.ValueCategory:
		if int(v.Cat) >= len(x.dict) {
			return 0, false
		}
		if x.canon[v.Cat] == 0 {
			x.canon[v.Cat] = agreementWord(x.dict[v.Cat])
		}
		return x.canon[v.Cat], true
	default:
		return 0, false
	}
}

func agreementWord(s string) uint64 {
	if n, ok := spelledNumber(s); ok {
		return numberWord(n)
	}
	return max(xxh3.HashString(s), 1)
}

// numberWord spreads a number's bits, so that it can't equal a text's hash but by chance.
func numberWord(v float64) uint64 {
	if v == 0 {
		v = 0 // minus zero equals zero
	}
	return max(mix(math.Float64bits(v)^0x9e3779b97f4a7c15), 1)
}

// spelledNumber reads a text as package release does for agree: decimal numbers and booleans.
func spelledNumber(s string) (float64, bool) {
	switch {
	case s == "true":
		return 1, true
	case s == "false":
		return 0, true
	case s == "" || len(s) > release.MaxCategoryLen || s[0] != '-' && (s[0] < '0' || s[0] > '9') || strings.ContainsAny(s, "xXpP_nNiI"):
		return 0, false
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil
}

// lookUp returns the index of a value's text in d, remembering it for the batch in row.
func (x *texts) lookUp(v *release.Value, d *dictionary, row []int32) (int, bool) {
	switch v.Kind {
	case release.ValueCategory:
		if int(v.Cat) >= len(x.dict) {
			return 0, false
		}
		if row[v.Cat] < 0 {
			row[v.Cat] = int32(d.of(clip(x.dict[v.Cat])))
		}
		return int(row[v.Cat]), true
	case release.ValueNumber:
		s := strconv.AppendFloat(x.buf[:0], v.Num, 'g', -1, 64)
		if i, ok := d.index[string(s)]; ok {
			return i, true
		}
		if d.full() {
			return d.other(), true
		}
		return d.of(string(s)), true
	default:
		return 0, false
	}
}

func clip(s string) string {
	if len(s) > maxTexts {
		return s[:maxTexts]
	}
	return s
}

// feed returns which of the program's feedback names the name is, -1 if none.
func (x *texts) feed(name uint32, names []string) int {
	if int(name) >= len(x.dict) {
		return -1
	}
	if x.feeds[name] == -2 {
		x.feeds[name] = int32(slices.Index(names, x.dict[name]))
	}
	return int(x.feeds[name])
}

// mix is the finaliser of SplitMix64: a bijection whose output bits depend on all input bits.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
