package release

import "strings"

// MaxNameLen bounds the names of models, versions, metrics, segments and feedback.
const MaxNameLen = 63

// isLabel says whether s is a DNS label: lower-case letters, digits and inner hyphens. Names of models
// are, because they become parts of subjects, paths and metric labels.
func isLabel(s string) bool { return isName(s, "-") }

// isVersionName is isLabel with inner dots and underscores: versions are called "v1.2" or "gpt-4o_eu".
func isVersionName(s string) bool { return isName(s, "-._") }

// isName says whether s is made of lower-case letters, digits and, but for its ends, the characters of
// inner.
func isName(s, inner string) bool {
	for i := range len(s) {
		if c := s[i]; isLower(c) || isDigit(c) {
			continue
		}
		if i == 0 || i == len(s)-1 || strings.IndexByte(inner, s[i]) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= MaxNameLen
}

// isWord says whether s names a metric, a segment or a feedback: a letter, then letters, digits, "-"
// and "_".
func isWord(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := isLower(c) || c >= 'A' && c <= 'Z'
		later := i > 0 && (isDigit(c) || c == '-' || c == '_')
		if !letter && !later {
			return false
		}
	}
	return s != "" && len(s) <= MaxNameLen
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
