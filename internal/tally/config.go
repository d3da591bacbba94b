package tally

import (
	"fmt"

	"sluice.dev/sluice/internal/release"
)

// Config says what one Tally counts: one release in one partition.
type Config struct {
	Model     *release.Model // frozen with the release; not changed afterwards
	Key       release.ModelKey
	Number    uint32 // of the release, from 1
	Arms      int    // 2 to release.MaxArms; arm 0 is live
	Partition int    // 0 to release.Partitions-1
	Limits    Limits // the zero value takes the defaults
}

// Limits bound the two things that grow with the traffic. All are per partition.
type Limits struct {
	Units  int // in the unit set; default 12,500: 200,000 over all partitions
	Held   int // exposures and feedback that wait for each other; default 12,500
	Halves int // answers that wait for the other answer of their pair; default 4,096
}

// Defaults and fixed bounds.
const (
	defaultUnits  = 200_000 / release.Partitions
	defaultHeld   = 200_000 / release.Partitions
	defaultHalves = 4096
	minLimit      = 16

	partBins     = release.Bins / release.Partitions
	maxMetrics   = 64   // of one model
	maxEvents    = 32   // metrics that count units: a unit holds one bit for each
	maxStrata    = 4096 // of one release
	maxDictNames = 64   // categories of one metric before its baseline
	maxSegments  = 8    // segments whose delayed metrics are shown
	maxSegValues = 32   // values of one segment; the rest is "other"
	maxTexts     = 256  // bytes of a category's name; longer ones are cut
	maxProducers = 4096
	maxEpoch     = 254
)

// Other is the name under which the categories are counted that are not in the dictionary.
const Other = "other"

func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
		*v = max(*v, minLimit)
	}
	def(&l.Units, defaultUnits)
	def(&l.Held, defaultHeld)
	def(&l.Halves, defaultHalves)
	return l
}

func (c Config) check() error {
	bad := func(format string, args ...any) error {
		return &release.Error{Kind: release.KindInvalid, Op: "open tally", Msg: fmt.Sprintf(format, args...)}
	}
	switch {
	case c.Model == nil:
		return bad("no model")
	case c.Number == 0:
		return bad("release numbers begin at 1")
	case c.Arms < 2 || c.Arms > release.MaxArms:
		return bad("%d arms, want 2 to %d", c.Arms, release.MaxArms)
	case c.Partition < 0 || c.Partition >= release.Partitions:
		return bad("partition %d, want 0 to %d", c.Partition, release.Partitions-1)
	case len(c.Model.Spec.Metrics) > maxMetrics:
		return bad("%d metrics, at most %d can be counted", len(c.Model.Spec.Metrics), maxMetrics)
	case c.Limits.Units > 1<<16-2:
		return bad("a unit set of %d, at most %d per partition", c.Limits.Units, 1<<16-2)
	}
	return nil
}
