package release

// MaxNameLen bounds the names of models, versions, metrics, segments and feedback.
const MaxNameLen = 63

// isLabel says whether s is a DNS label: lower-case letters, digits and inner hyphens. Names of models
// are, because they become parts of subjects, paths and metric labels.
func isLabel(s string) bool {
	for i := range len(s) {
		c := s[i]
		inner := i > 0 && i < len(s)-1
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' && inner) {
			return false
		}
	}
	return s != "" && len(s) <= MaxNameLen
}

// isVersionName is isLabel with inner dots and underscores: versions are called "v1.2" or "gpt-4o_eu".
func isVersionName(s string) bool {
	for i := range len(s) {
		c := s[i]
		inner := i > 0 && i < len(s)-1
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || (c == '-' || c == '.' || c == '_') && inner) {
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
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || !(c >= '0' && c <= '9' || c == '-' || c == '_')) {
			return false
		}
	}
	return s != "" && len(s) <= MaxNameLen
}
