package dialect

import (
	"slices"
	"unicode"
	"unicode/utf8"
)

// Similarity says how alike two texts are, from 0 to 1: the Sørensen-Dice coefficient of their shingles,
//
//	2 |A and B| / (|A| + |B|)
//
// where A and B are the multisets of all runs of three characters, in lower case and with white space as one
// space (T. Sørensen 1948, L. R. Dice 1945). It takes time in proportion to n log n of the texts' length, needs no
// words and so knows no language. Texts of less than three characters are alike if they are equal. It is
// symmetric; 1 says that the same shingles occur equally often, which for texts longer than a sentence is nearly
// equality.
func Similarity(a, b []byte) float64 {
	x, y := shingles(a), shingles(b)
	if len(x) == 0 || len(y) == 0 {
		if string(folded(a)) == string(folded(b)) {
			return 1
		}
		return 0
	}
	both, i, j := 0, 0, 0
	for i < len(x) && j < len(y) {
		switch {
		case x[i] == y[j]:
			both++
			i++
			j++
		case x[i] < y[j]:
			i++
		default:
			j++
		}
	}
	return 2 * float64(both) / float64(len(x)+len(y))
}

// shingles returns all runs of three characters, sorted. A character has 21 bits, so three fit one number.
func shingles(text []byte) []uint64 {
	const three = 1<<63 - 1
	var out []uint64
	run, n := uint64(0), 0
	for rest := folded(text); len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		run = run<<21&three | uint64(r)
		if n++; n >= 3 {
			out = append(out, run)
		}
	}
	slices.Sort(out)
	return out
}

// folded is the text in lower case, with runs of white space as one space and none at its ends.
func folded(text []byte) []byte {
	out := make([]byte, 0, len(text))
	space := false
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		if unicode.IsSpace(r) {
			space = len(out) > 0
			continue
		}
		if space {
			out, space = append(out, ' '), false
		}
		out = utf8.AppendRune(out, unicode.ToLower(r))
	}
	return out
}
