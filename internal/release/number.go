package release

import (
	"strconv"
	"strings"
)

// maxNumberLen bounds the text of a number with its unit: what is longer is a mistake or an attack.
const maxNumberLen = 32

// splitNumber cuts "1.5 MiB" into "1.5" and "MiB". The number is plain decimal: signs, exponents,
// hexadecimal and underscores, which strconv would take, have no place in these files.
func splitNumber(s string) (number, unit string) {
	s = strings.TrimSpace(s)
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.') {
		i++
	}
	return s[:i], strings.TrimSpace(s[i:])
}

// The magnitudes that a number in a file may have. Inside them the shortest plain decimal of every
// float64 fits into maxNumberLen, so whatever is read can be written and read again.
const (
	minMagnitude = 1e-12
	maxMagnitude = 1e15
)

// parseDecimal reads a plain non-negative decimal of at most maxNumberLen characters.
func parseDecimal(s string) (float64, bool) {
	if s == "" || len(s) > maxNumberLen || strings.Trim(s, ".") == "" {
		return 0, false
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v > maxMagnitude || v != 0 && v < minMagnitude {
		return 0, false
	}
	return v, true
}

// formatDecimal is the shortest plain decimal that reads back as the same float64.
func formatDecimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// clip shortens s for an error message, so that a hostile value can't flood a terminal or a log.
func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
