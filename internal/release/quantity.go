package release

import (
	"math"
	"strconv"
	"strings"
)

// rateUnits are the spans that a rate may be written per, in seconds, shortest first.
var rateUnits = [...]struct {
	name    string
	seconds float64
}{
	{"s", 1},
	{"m", 60},
	{"h", 3600},
	{"day", 86400},
}

// minRate keeps a rate per day, seen per second, above minMagnitude.
const minRate = 1e-6

// ParseRate reads "40/s", "600/m", "90/h" or "20000/day" ("min", "hour" and "d" are understood too).
func ParseRate(s string) (Rate, error) {
	number, unit := splitNumber(s)
	per, ok := strings.CutPrefix(unit, "/")
	v, isNumber := parseDecimal(number)
	if !ok || !isNumber {
		return 0, invalidText("rate", s, `a number per time like "40/s", "600/m" or "20000/day"`)
	}
	switch per = strings.TrimSpace(per); per {
	case "sec":
		per = "s"
	case "min":
		per = "m"
	case "hour":
		per = "h"
	case "d":
		per = "day"
	}
	for _, u := range rateUnits {
		if u.name == per && (v == 0 || v >= minRate) {
			return Rate(v / u.seconds), nil
		}
	}
	return 0, invalidText("rate", s, "per s, m, h or day")
}

// String formats the rate per second or, if that is long, per the span that makes it shortest;
// ParseRate reads the same value back.
func (r Rate) String() string {
	const short = 8
	best := formatDecimal(float64(r)) + "/s"
	if len(best) <= short {
		return best
	}
	for _, u := range rateUnits[1:] {
		number := formatDecimal(float64(r) * u.seconds)
		text := number + "/" + u.name
		if back, err := strconv.ParseFloat(number, 64); err == nil && len(text) < len(best) && back/u.seconds == float64(r) {
			best = text
		}
	}
	return best
}

// PerSecond is the rate as a plain number.
func (r Rate) PerSecond() float64 { return float64(r) }

// MarshalText implements encoding.TextMarshaler.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Rate) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRate(string(text))
	return err
}

// byteUnits are the units of sizes; the binary ones come first, largest first, for formatting.
var byteUnits = [...]struct {
	name   string
	factor int64
}{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"B", 1},
	{"", 1},
	{"KB", 1e3},
	{"kB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
}

// maxBytes bounds a size: 512 TiB, which as a plain number is still below maxMagnitude.
const maxBytes = 1 << 49

// ParseBytes reads "512KiB", "10MiB", "1.5GB" or a plain number of bytes. A size that is no whole
// number of bytes is an error.
func ParseBytes(s string) (Bytes, error) {
	number, unit := splitNumber(s)
	bad := invalidText("size", s, `a size like "512KiB" or "10MiB"`)
	v, ok := parseDecimal(number)
	if !ok {
		return 0, bad
	}
	for _, u := range byteUnits {
		if u.name != unit {
			continue
		}
		size := v * float64(u.factor)
		if size != math.Trunc(size) || size > maxBytes {
			return 0, bad
		}
		return Bytes(size), nil
	}
	return 0, bad
}

// String formats the size in the largest binary unit that divides it.
func (b Bytes) String() string {
	for _, u := range byteUnits {
		if b != 0 && int64(b)%u.factor == 0 {
			return strconv.FormatInt(int64(b)/u.factor, 10) + u.name
		}
	}
	return "0B"
}

// MarshalText implements encoding.TextMarshaler.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bytes) UnmarshalText(text []byte) (err error) {
	*b, err = ParseBytes(string(text))
	return err
}

// ParseMargin reads "0.5pp", "1.25x", "5%", "0.05bits" or "3" (in the metric's own unit).
func ParseMargin(s string) (Margin, error) {
	number, unit := splitNumber(s)
	v, ok := parseDecimal(number)
	if !ok {
		return Margin{}, invalidText("margin", s, `a number with its unit: "0.5pp", "1.25x", "5%", "0.05bits" or "3"`)
	}
	switch u := MarginUnit(unit); u {
	case Points, Factor, Percent, Bits, Absolute:
		return Margin{Value: v, Unit: u}, nil
	case "bit":
		return Margin{Value: v, Unit: Bits}, nil
	}
	return Margin{}, invalidText("margin", s, "one of the units pp (points), x (factor), % (relative) and bits, or none")
}

// String formats the margin as ParseMargin reads it.
func (m Margin) String() string { return formatDecimal(m.Value) + string(m.Unit) }

// IsZero says whether the margin was left out. A written zero has a unit, unless it is absolute.
func (m Margin) IsZero() bool { return m == Margin{} }

// MarshalText implements encoding.TextMarshaler. A margin that is no number has no text.
func (m Margin) MarshalText() ([]byte, error) {
	if math.IsNaN(m.Value) || math.IsInf(m.Value, 0) {
		return nil, Invalid("write margin", "its value is not a finite number")
	}
	return []byte(m.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler. The empty text is the absent margin.
func (m *Margin) UnmarshalText(text []byte) (err error) {
	*m, err = ParseMargin(string(text))
	return err
}
