package release

import (
	"strings"

	"github.com/agnivade/levenshtein"
)

// nearest returns the word of the list that was probably meant by got: the one with the smallest
// edit distance, if that is at most a third of its length (at least one edit), or the one that
// differs in case only. It returns "" when nothing is near.
func nearest(got string, list []string) string {
	const longest = 64 // longer names are not compared: the cost grows with the product of lengths
	if got == "" || len(got) > longest {
		return ""
	}
	best, bestDistance := "", 1<<30
	for _, word := range list {
		if strings.EqualFold(got, word) {
			return word
		}
		if len(word) > longest {
			continue
		}
		d := levenshtein.ComputeDistance(strings.ToLower(got), strings.ToLower(word))
		if d <= max(1, len(word)/3) && d < bestDistance {
			best, bestDistance = word, d
		}
	}
	return best
}

// didYouMean is a suffix for a remedy: `; did you mean "margin"?`, or nothing.
func didYouMean(got string, list []string) string {
	if word := nearest(got, list); word != "" && word != got {
		return `; did you mean "` + word + `"?`
	}
	return ""
}

// quoteList joins words for a message: `"a", "b" and "c"`, at most eight of them.
func quoteList(list []string) string {
	const most = 8
	more := ""
	if len(list) > most {
		list, more = list[:most], ", ..."
	}
	quoted := make([]string, len(list))
	for i, w := range list {
		quoted[i] = `"` + w + `"`
	}
	if more == "" && len(quoted) > 1 {
		last := len(quoted) - 1
		return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
	}
	return strings.Join(quoted, ", ") + more
}
