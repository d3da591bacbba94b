package release

import (
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseShare(t *testing.T) {
	good := map[string]Share{
		"0%": 0, "100%": Whole, "20%": 200_000, "0.5%": 5_000, "12.5%": 125_000, "0.0001%": 1, " 5 % ": 50_000,
		".5%": 5_000, "5.%": 50_000, "99.9999%": 999_999, "0.500000%": 5_000, "007%": 70_000,
	}
	for text, want := range good {
		if got, err := ParseShare(text); err != nil || got != want {
			t.Errorf("ParseShare(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "%", ".%", "20", "0.2", "100.0001%", "101%", "0.00001%", "-1%", "+1%", "1e1%", "1.2.3%", "20%%", "20pp",
		"0x10%", "1_0%", strings.Repeat("9", 40) + "%", "NaN%", "٢%",
	} {
		if got, err := ParseShare(text); err == nil {
			t.Errorf("ParseShare(%q) = %d, want an error", text, got)
		} else if KindOf(err) != KindInvalid || !strings.Contains(err.Error(), "(write ") {
			t.Errorf("ParseShare(%q): error without kind or remedy: %v", text, err)
		}
	}
}

func TestShareOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Share(rapid.Uint32Range(0, uint32(Whole)).Draw(t, "share"))
		n := rapid.Uint64().Draw(t, "n")
		want := new(big.Int).Mul(new(big.Int).SetUint64(n), big.NewInt(int64(s)))
		want.Quo(want, big.NewInt(int64(Whole)))
		if f := s.Fraction(); f < 0 || f > 1 || Share(f*float64(Whole)+0.5) != s {
			t.Fatalf("%d ppm is the fraction %v", s, f)
		}
		if got := s.Of(n); got != want.Uint64() {
			t.Fatalf("%d ppm of %d = %d, want %v", s, n, got, want)
		}
	})
}

func TestParseDuration(t *testing.T) {
	good := map[string]time.Duration{
		"90s": 90 * time.Second, "10m": 10 * time.Minute, "72h": 72 * time.Hour, "3d": 72 * time.Hour,
		"1d12h": 36 * time.Hour, "1.5h": 90 * time.Minute, "0s": 0, "0": 0, "250ms": 250 * time.Millisecond, "36500d": 36500 * 24 * time.Hour,
	}
	for text, want := range good {
		if got, err := ParseDuration(text); err != nil || got.Std() != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "10", "-5m", "+5m", "d", "1.5d", "36501d", "36500d1h", "5 m", "1y", "1d1d", "9999999h", "99999999999d"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, got)
		}
	}
	for d, want := range map[time.Duration]string{
		72 * time.Hour: "72h", 90 * time.Second: "1m30s", 10 * time.Minute: "10m", 0: "0s",
		time.Hour + 30*time.Second: "1h0m30s", 100 * time.Millisecond: "100ms", 10 * time.Hour: "10h",
	} {
		if got := Duration(d).String(); got != want {
			t.Errorf("Duration(%v).String() = %q, want %q", d, got, want)
		}
	}
}

func TestParseRate(t *testing.T) {
	good := map[string]Rate{
		"40/s": 40, "600/m": 10, "600/min": 10, "7200/h": 2, "20000/day": 20000.0 / 86400, "0/s": 0, "0.5 / s": 0.5, "86400/d": 1,
	}
	for text, want := range good {
		if got, err := ParseRate(text); err != nil || got.PerSecond() != want.PerSecond() {
			t.Errorf("ParseRate(%q) = %v, %v; want %v", text, float64(got), err, float64(want))
		}
	}
	for _, text := range []string{"", "40", "/s", "40/", "40/week", "-1/s", "1e3/s", "inf/s", "0.0000000001/s", "9999999999999999/s"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("ParseRate(%q) = %v, want an error", text, float64(got))
		}
	}
	for _, text := range []string{"40/s", "20000/day", "100/h", "0.5/s", "7/m"} {
		r, err := ParseRate(text)
		if err != nil || r.String() != text {
			t.Errorf("%q formats as %q (%v)", text, r.String(), err)
		}
	}
}

func TestParseBytes(t *testing.T) {
	good := map[string]Bytes{
		"512KiB": 512 << 10, "10MiB": 10 << 20, "1.5MiB": 3 << 19, "0": 0, "1500": 1500, "2 GB": 2e9, "0.1MB": 100_000, "7B": 7,
	}
	for text, want := range good {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("ParseBytes(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "KiB", "1.5B", "1.5", "10mb", "-1KiB", "99999TiB", "1KiB2"} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("ParseBytes(%q) = %d, want an error", text, got)
		}
	}
}

func TestParseMargin(t *testing.T) {
	good := map[string]Margin{
		"0.5pp": {0.5, Points}, "1.25x": {1.25, Factor}, "5%": {5, Percent}, "0.05bits": {0.05, Bits}, "1bit": {1, Bits}, "3": {3, Absolute}, "0pp": {0, Points}, "2 pp": {2, Points},
	}
	for text, want := range good {
		if got, err := ParseMargin(text); err != nil || got != want {
			t.Errorf("ParseMargin(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "pp", "-1pp", "1e3", "NaN", "5points", "1X", "0.0000000000001x", "1..5x", strings.Repeat("1", 33)} {
		if got, err := ParseMargin(text); err == nil {
			t.Errorf("ParseMargin(%q) = %v, want an error", text, got)
		}
	}
	if _, err := json.Marshal(Margin{Value: math.NaN()}); err == nil {
		t.Error("a margin that is no number has a text")
	}
	if (Margin{Unit: Points}).IsZero() || !(Margin{}).IsZero() {
		t.Error("a written zero must differ from an absent margin")
	}
}

// Every value that a file can hold is written and read back as itself.
func TestUnitsRoundTrip(t *testing.T) {
	type all struct {
		Share    Share
		Duration Duration
		Rate     Rate
		Bytes    Bytes
		Margin   Margin
	}
	rapid.Check(t, func(t *rapid.T) {
		units := []MarginUnit{Points, Factor, Percent, Bits, Absolute}
		magnitude := rapid.Float64Range(1e-9, 1e12)
		per := rapid.SampledFrom(rateUnits[:]).Draw(t, "per").seconds
		in := all{
			Share:    Share(rapid.Uint32Range(0, uint32(Whole)).Draw(t, "share")),
			Duration: Duration(rapid.Int64Range(0, int64(maxDays*24*time.Hour)).Draw(t, "duration")),
			Rate:     Rate(float64(rapid.IntRange(0, 1e9).Draw(t, "rate")) / per),
			Bytes:    Bytes(rapid.Int64Range(0, maxBytes).Draw(t, "bytes")),
			Margin:   Margin{magnitude.Draw(t, "margin"), rapid.SampledFrom(units).Draw(t, "unit")},
		}
		data, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var out all
		if err := json.Unmarshal(data, &out); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if in != out {
			t.Fatalf("%+v came back from %s as %+v", in, data, out)
		}
	})
}

func FuzzUnits(f *testing.F) {
	for _, s := range []string{"20%", "0.5pp", "1d12h", "20000/day", "10MiB", "1.25x", "0.05bits", "3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		again(t, s, ParseShare)
		again(t, s, ParseDuration)
		again(t, s, ParseRate)
		again(t, s, ParseBytes)
		again(t, s, ParseMargin)
	})
}

// again checks that what can be read can be written and read with the same result.
func again[T interface {
	comparable
	String() string
}](t *testing.T, text string, parse func(string) (T, error),
) {
	t.Helper()
	v, err := parse(text)
	if err != nil {
		return
	}
	if back, err := parse(v.String()); err != nil || back != v {
		t.Fatalf("%q is %q, which reads as %v, %v", text, v.String(), back, err)
	}
}
