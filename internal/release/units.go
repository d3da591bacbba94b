package release

import "time"

// Share is a part of the units in parts per million, 0 to 1,000,000. Written "20%" or "0.5%".
type Share uint32

// Whole is the share of all units.
const Whole Share = 1_000_000

// Duration is a time span, written like "90s", "10m", "72h".
type Duration time.Duration

// Rate is a number per second, written "40/s", "600/m", "20000/day".
type Rate float64

// Bytes is a size, written "512KiB", "10MiB".
type Bytes int64

// Margin is an effect size with its unit, written "0.5pp", "1.25x", "5%", "0.05bits" or "3"
// (the metric's own unit).
type Margin struct {
	Value float64
	Unit  MarginUnit
}

// MarginUnit is the unit of a margin.
type MarginUnit string

// The units of margins.
const (
	Points   MarginUnit = "pp"   // percentage points: Value 0.5 is half a point
	Factor   MarginUnit = "x"    // ratio to live
	Percent  MarginUnit = "%"    // relative to live
	Bits     MarginUnit = "bits" // divergence
	Absolute MarginUnit = ""     // in the metric's own unit
)
