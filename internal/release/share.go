package release

import (
	"math/bits"
	"strconv"
	"strings"
)

const (
	ppmPerPercent = 10_000
	shareDecimals = 4 // of a percent: one part per million
)

// ParseShare reads "20%", "0.5%" or "100%" exactly, in integers. A share finer than one part per
// million (0.0001%) or above 100% is an error, and so is one without its percent sign: 0.2 could
// mean 20% or 0.2%.
func ParseShare(s string) (Share, error) {
	number, unit := splitNumber(s)
	if unit != "%" || strings.Trim(number, ".") == "" || len(number) > maxNumberLen {
		return 0, invalidText("share", s, `a percentage like "20%" or "0.5%"`)
	}
	whole, frac, _ := strings.Cut(number, ".")
	frac = strings.TrimRight(frac, "0")
	if len(frac) > shareDecimals {
		return 0, invalidText("share", s, "at most four decimals: the finest share is 0.0001%")
	}
	frac += strings.Repeat("0", shareDecimals-len(frac))
	w, errW := strconv.ParseUint("0"+whole, 10, 32)
	f, errF := strconv.ParseUint(frac, 10, 32)
	if errW != nil || errF != nil {
		return 0, invalidText("share", s, `a percentage like "20%" or "0.5%"`)
	}
	if ppm := w*ppmPerPercent + f; ppm <= uint64(Whole) {
		return Share(ppm), nil
	}
	return 0, invalidText("share", s, "at most 100%")
}

// String formats the share as ParseShare reads it, without needless zeros.
func (s Share) String() string {
	whole, rest := uint64(s)/ppmPerPercent, uint64(s)%ppmPerPercent
	text := strconv.FormatUint(whole, 10)
	if rest != 0 {
		digits := strconv.FormatUint(ppmPerPercent+rest, 10)[1:]
		text += "." + strings.TrimRight(digits, "0")
	}
	return text + "%"
}

// Fraction is the share as a number from 0 to 1.
func (s Share) Fraction() float64 { return float64(s) / float64(Whole) }

// Of returns how much of n the share is, rounded down; exact for every n.
func (s Share) Of(n uint64) uint64 {
	hi, lo := bits.Mul64(n, uint64(min(s, Whole)))
	q, _ := bits.Div64(hi, lo, uint64(Whole))
	return q
}

// MarshalText implements encoding.TextMarshaler.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Share) UnmarshalText(text []byte) (err error) {
	*s, err = ParseShare(string(text))
	return err
}
