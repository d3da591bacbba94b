package release

import (
	"strconv"
	"strings"
	"time"
)

// maxDays bounds a duration to something that time.Duration and a person can hold: 100 years.
const maxDays = 36500

// ParseDuration reads a time span: what time.ParseDuration reads, and "d" for days of 24 hours in
// front ("2d", "1d12h"). Negative spans and spans beyond 100 years are errors.
func ParseDuration(s string) (Duration, error) {
	text := strings.TrimSpace(s)
	bad := invalidText("duration", s, `a time span like "90s", "10m", "72h" or "3d"`)
	if text == "" || len(text) > maxNumberLen || strings.ContainsAny(text, "+-") {
		return 0, bad
	}
	var days time.Duration
	if before, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(before, 10, 32)
		if err != nil || n > maxDays {
			return 0, bad
		}
		days, text = time.Duration(n)*24*time.Hour, after
		if text == "" {
			return Duration(days), nil
		}
	}
	rest, err := time.ParseDuration(text)
	if err != nil || rest < 0 || rest > maxDays*24*time.Hour-days {
		return 0, bad
	}
	return Duration(days + rest), nil
}

// String formats the span as Go does, without trailing zero units: "72h", "1h30m", "90s" as "1m30s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Std is the span as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDuration(string(text))
	return err
}
