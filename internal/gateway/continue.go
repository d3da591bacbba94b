package gateway

import (
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
)

// maxContinued is for how long a conversation may stay where it began.
const maxContinued = 24 * time.Hour

// finishes lets a conversation that began before the last change of shares end with the version that it began with, if its
// client says so by the exposure id of its beginning: a version in the middle of another's conversation has not its prompt in
// the cache and is held to what it did not say. Such requests are in no arm of the analysis, whether they would have moved or
// not: an arm must not consist more of new conversations than the other. The id is the proof that the unit was served so; one
// of another unit, release or model, an altered or an old one, changes nothing.
func (x *exchange) finishes(a assign.Assignment) bool {
	id := x.r.Header[HeaderContinue]
	if len(id) == 0 || a.Mirrored || x.m.Kind != release.ExposureServe {
		return false
	}
	t, err := x.g.opts.Keyring().ParseToken(id[0])
	e := &x.e
	switch {
	case err != nil || t.Kind != release.ExposureServe:
		return false
	case t.Model != e.Model || t.Release != e.Release || t.Unit != e.Unit || t.Stratum == e.Stratum:
		return false
	case int(t.Arm) >= len(x.m.arms) || e.Time-t.Time > maxContinued.Milliseconds():
		return false
	}
	x.served, x.count = int(t.Arm), false
	x.m.metrics.continued.Inc()
	return true
}
