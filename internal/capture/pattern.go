package capture

import (
	"math/big"
	"regexp"
	"strings"
)

// A pattern finds personal data of one kind in text. Expressions are RE2: linear in the text.
type pattern struct {
	kind  string
	re    *regexp.Regexp
	valid func(match string) bool // nil: each match is one
}

// patterns in the order in which they are applied: those with check digits first, telephone numbers, which are any
// long run of digits, last.
var patterns = []pattern{
	{"email", regexp.MustCompile(`[\p{L}\p{N}._%+'-]+(?:@|%40)[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+`), nil},
	{"account", regexp.MustCompile(`(?i)\b[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){2,7}(?:[ ]?[A-Z0-9]{1,3})?\b`), iban},
	{"nationalId", regexp.MustCompile(`\b\d{17}[\dXx]\b`), residentID},                                    // CN
	{"nationalId", regexp.MustCompile(`\b[12]\d{2}(?:0[1-9]|1[0-2]|[2-9]\d)\d{8}(?: ?\d{2})\b`), nir},     // FR
	{"nationalId", regexp.MustCompile(`(?i)\b[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]\b`), nil},      // IT
	{"nationalId", regexp.MustCompile(`(?i)\b[XYZ]?\d{7,8}-?[A-HJ-NP-TV-Z]\b`), dni},                      // ES
	{"nationalId", regexp.MustCompile(`(?i)\b[A-CEGHJ-PR-TW-Z][A-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b`), nil}, // UK
	{"card", regexp.MustCompile(`\b\d(?:[ -]?\d){12,18}\b`), luhn},
	{"nationalId", regexp.MustCompile(`\b\d{3}-\d{2}-\d{4}\b`), nil}, // US
	{"phone", regexp.MustCompile(`(?:\+|\b00)\d{1,3}(?:[ ().-]{0,2}\d){6,13}\b`), nil},
	{"phone", regexp.MustCompile(`(?:\(\d{2,5}\)|\b\d{2,5})(?:[ .-]\(?\d{2,5}\)?){2,4}\b`), phone},
	{"phone", regexp.MustCompile(`\b0?1\d{10}\b|\b0\d{9,10}\b`), nil},
}

// scrub takes everything out of a text that a pattern finds.
func scrub(text string) string {
	for _, p := range patterns {
		text = p.re.ReplaceAllStringFunc(text, func(match string) string {
			if p.valid != nil && !p.valid(match) {
				return match
			}
			return "[" + p.kind + "]"
		})
	}
	return text
}

// digitsOf drops everything but digits.
func digitsOf(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// luhn is the check of card numbers (ISO/IEC 7812-1, annex B).
func luhn(s string) bool {
	d := digitsOf(s)
	if len(d) < 13 || len(d) > 19 || strings.Count(d, d[:1]) == len(d) {
		return false
	}
	sum := 0
	for i := range len(d) {
		n := int(d[len(d)-1-i] - '0')
		if i%2 == 1 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	return sum%10 == 0
}

// iban is the check of bank account numbers (ISO 13616: the number modulo 97 is 1).
func iban(s string) bool {
	s = strings.ToUpper(strings.ReplaceAll(s, " ", ""))
	if len(s) < 15 || len(s) > 34 {
		return false
	}
	var digits strings.Builder
	for _, r := range s[4:] + s[:4] {
		if r >= 'A' {
			digits.WriteString([]string{"1", "2", "3"}[(r-'A')/10])
			digits.WriteByte(byte('0' + (r-'A')%10)) //nolint:gosec // 0 to 9
			continue
		}
		digits.WriteRune(r)
	}
	return modulo(digits.String(), 97) == 1
}

func modulo(digits string, m int64) int64 {
	n, ok := new(big.Int).SetString(digits, 10)
	if !ok {
		return -1
	}
	return n.Mod(n, big.NewInt(m)).Int64()
}

// residentID is the check of Chinese resident identity numbers (GB 11643: ISO 7064, MOD 11-2).
func residentID(s string) bool {
	sum := 0
	for i := range 17 {
		weight := 1
		for range 17 - i {
			weight = weight * 2 % 11
		}
		sum += int(s[i]-'0') * weight
	}
	return strings.ToUpper(s[17:]) == "10X98765432"[sum%11:sum%11+1]
}

// nir is the check of French social security numbers: the last two digits are 97 minus the others modulo 97.
func nir(s string) bool {
	d := digitsOf(s)
	return len(d) == 15 && 97-modulo(d[:13], 97) == modulo(d[13:], 97)
}

// dni is the check of Spanish identity numbers: a letter by the number modulo 23.
func dni(s string) bool {
	s = strings.ToUpper(strings.ReplaceAll(s, "-", ""))
	number := strings.NewReplacer("X", "0", "Y", "1", "Z", "2").Replace(s[:1]) + s[1:len(s)-1]
	if len(number) != 8 {
		return false
	}
	return "TRWAGMYFPDXBNJZSQVHLCKE"[modulo(number, 23)] == s[len(s)-1]
}

// phone says whether grouped digits are as many as a telephone number has (ITU-T E.164: at most 15). Dates with
// separators have eight; they are no number that anybody is called by.
func phone(s string) bool {
	n := len(digitsOf(s))
	return n >= 9 && n <= 15
}
