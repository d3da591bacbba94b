package ingest

import (
	"context"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// Evidence is what is known of one release at one moment.
type Evidence struct {
	View     *tally.View // nil: nothing arrived yet
	Hash     string      // of the view
	Arriving bool        // exposures arrived within the last few seconds
	Gap      string      // why the sums are incomplete; "" if they are not
	Rate     float64     // exposures per second of late
	UnitRate float64     // units seen for the first time, per second of late
}

// evidence is what is kept between two looks at a release.
type evidence struct {
	cache  tally.Cache
	seqs   [release.Partitions]uint64
	view   *tally.View
	hash   string
	rate   meter
	units  meter
	recent time.Time
}

// arriving is how recent the last exposure must be.
const arriving = 3 * time.Second

// View returns the merged sums of a release. What has not changed since the last look is not computed
// again. Safe for concurrent use; looks at the same folder wait for each other.
func (f *Folder) View(model string, number uint32, now time.Time) Evidence {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := ID{release.ModelKeyOf(model), number}
	e := f.views[id]
	if e == nil {
		e = &evidence{}
	}
	out := Evidence{}
	var count uint64
	changed, known := false, false
	for i, p := range f.parts {
		p.mu.Lock()
		if x := p.tallies[id]; x != nil {
			known = true
			if out.Gap == "" {
				out.Gap = x.now()
			}
			if e.seqs[i] != x.tally.Seq() {
				e.cache.Add(x.tally)
				e.seqs[i], changed = x.tally.Seq(), true
			}
			count += x.count
			if x.last.After(e.recent) {
				e.recent = x.last
			}
		}
		p.mu.Unlock()
	}
	if !known {
		return out
	}
	f.views[id] = e
	if changed || e.view == nil {
		e.view, e.hash = e.cache.View()
	}
	out.View, out.Hash = e.view, e.hash
	out.Arriving = now.Sub(e.recent) < arriving
	out.Rate = e.rate.at(now, float64(count))
	out.UnitRate = e.units.at(now, float64(newUnits(e.view)))
	return out
}

// newUnits counts the units that were seen for the first time since the release began.
func newUnits(v *tally.View) (n uint64) {
	for i := range v.Strata {
		for j := range v.Strata[i].Arms {
			n += v.Strata[i].Arms[j].NewUnits
		}
	}
	return n
}

// Final returns the snapshots of a release's tallies, by partition: what is kept of a release that has
// ended. Partitions without any have none.
func (f *Folder) Final(_ context.Context, model string, number uint32) (map[int][]byte, error) {
	id := ID{release.ModelKeyOf(model), number}
	out := map[int][]byte{}
	for i, p := range f.parts {
		data, err := p.final(id)
		if err != nil {
			return nil, err
		}
		if data != nil {
			out[i] = data
		}
	}
	return out, nil
}

func (p *folding) final(id ID) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x := p.tallies[id]; x != nil {
		return x.tally.AppendBinary(nil)
	}
	return nil, nil
}

// Forget drops a release's tallies.
func (f *Folder) Forget(model string, number uint32) {
	id := ID{release.ModelKeyOf(model), number}
	f.mu.Lock()
	delete(f.views, id)
	f.mu.Unlock()
	for _, p := range f.parts {
		p.mu.Lock()
		delete(p.tallies, id)
		p.mu.Unlock()
	}
}

// meter turns a growing count into a rate over the last several seconds.
type meter struct {
	time  time.Time
	count float64
	rate  float64
}

// at returns the rate: an exponentially weighted mean with a memory of about ten seconds.
func (m *meter) at(now time.Time, count float64) float64 {
	dt := now.Sub(m.time).Seconds()
	if m.time.IsZero() {
		m.time, m.count = now, count
		return 0
	}
	if dt < 0.5 {
		return m.rate
	}
	fresh := max(0, count-m.count) / dt
	weight := min(1, dt/10)
	if m.rate == 0 {
		weight = 1
	}
	m.rate += weight * (fresh - m.rate)
	m.time, m.count = now, count
	return m.rate
}

// Positions returns, by partition, the last entry of its log that was folded. Safe for concurrent use.
func (f *Folder) Positions() (out [release.Partitions]uint64) {
	for i, p := range f.parts {
		out[i] = p.position()
	}
	return out
}
