package judge

import (
	"strconv"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
	"sluice.dev/sluice/internal/tally"
)

// Stratum is a period with one constant set of shares, as judge needs it.
type Stratum struct {
	ID     uint16
	Epoch  uint8
	Kind   release.ExposureKind // ExposureServe or ExposureWouldBe
	Shares []release.Share      // by arm
}

// share returns an arm's share, 0 for an arm that did not exist yet.
func (s *Stratum) share(arm int) float64 {
	if arm >= len(s.Shares) {
		return 0
	}
	return float64(s.Shares[arm])
}

// versus is one stratum as a comparison of live with one candidate.
type versus struct {
	id         uint16
	rho        float64 // probability that a unit of either arm is the candidate's
	order      int     // position among the strata of its kind, from 0
	epoch      int     // position of its epoch among the epochs of its kind, from 0
	present    bool    // the last stratum
	fell       bool    // the candidate's share of the pair fell before or with this stratum (R1)
	live, cand *tally.ArmView
	before     []*tally.StratumView // would-be strata with the same shares: the same users on the same arms (see covariate)
	arm        int
}

// metric returns both arms' sums of one metric; nil where nothing is there.
func (v *versus) metric(i int) (live, cand *tally.MetricView) {
	return metricOf(v.live, i), metricOf(v.cand, i)
}

func metricOf(a *tally.ArmView, i int) *tally.MetricView {
	if a == nil || i >= len(a.Metrics) {
		return nil
	}
	return &a.Metrics[i]
}

// versuses lists the strata of one kind in which live and the arm could both have units. Order and epoch are counted
// over all strata of the kind, so that the weights that depend on them never change afterwards.
func (j *judging) versuses(kind release.ExposureKind, arm int) []versus {
	var out []versus
	order, epoch, last := -1, -1, -1
	fell, rho := false, 0.0
	for i := range j.in.Strata {
		s := &j.in.Strata[i]
		if s.Kind != kind {
			continue
		}
		order++
		if int(s.Epoch) != last {
			epoch++
			last = int(s.Epoch)
		}
		a, b := s.share(0), s.share(arm)
		was := rho
		if rho = 0; a+b > 0 {
			rho = b / (a + b)
		}
		fell = fell || rho < was
		if rho == 0 || rho == 1 {
			continue
		}
		v := versus{id: s.ID, rho: rho, order: order, epoch: epoch, fell: fell, present: i == len(j.in.Strata)-1}
		if sv := j.view(s.ID); sv != nil {
			v.live, v.cand = armOf(sv, 0), armOf(sv, arm)
		}
		if kind == release.ExposureServe {
			v.before, v.arm = j.wouldBes(s), arm
		}
		out = append(out, v)
	}
	return out
}

func armOf(s *tally.StratumView, arm int) *tally.ArmView {
	if arm >= len(s.Arms) {
		return nil
	}
	return &s.Arms[arm]
}

// view returns a stratum's sums, nil if nothing was folded for it.
func (j *judging) view(id uint16) *tally.StratumView {
	if j.in.View == nil {
		return nil
	}
	strata := j.in.View.Strata
	lo, hi := 0, len(strata) // ascending by ID
	for lo < hi {
		if mid := (lo + hi) / 2; strata[mid].ID < id {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(strata) && strata[lo].ID == id {
		return &strata[lo]
	}
	return nil
}

// stepStrata returns the strata of the present step: those that share the last one's epoch and kind.
func (j *judging) stepStrata() []*Stratum {
	n := len(j.in.Strata)
	if n == 0 {
		return nil
	}
	last := &j.in.Strata[n-1]
	var out []*Stratum
	for i := range j.in.Strata {
		if s := &j.in.Strata[i]; s.Epoch == last.Epoch && s.Kind == last.Kind {
			out = append(out, s)
		}
	}
	return out
}

// process is one evidence process of an engine: all strata of a release, or those of one epoch, with its weight (R1, R9).
type process struct {
	name   string
	weight float64
	comp   comp // what its sums are cached under
	vs     []versus
}

// longWeight is the part of a route's alpha that the release-long process has; the epochs after the first share the rest.
// Two thirds: against halves with a process of the first epoch's own, harm in the first epoch takes 0.1 nats more, harm
// that begins in the second 0.7 fewer, in the third 0.3.
const longWeight = 2. / 3

// plainWeight is longWeight where every request is a unit of its own: an incident spends nobody, so that the later epochs are only
// there for a release-long process which is drowned in a long healthy history.
const plainWeight = 7. / 8

// epochWeight is the weight of the process of epoch e = 1, 2, ... beside a release-long one of weight long: those of all
// epochs add up to 1 - long.
func epochWeight(e int, long float64) float64 { return (1 - long) * stats.StartWeight(e-1) }

// processes lists those that can still grow: the release-long one with weight long and, from the second epoch on, the
// present epoch's (the e-th, from 0) with (1 - long)/(e(e+1)), a mixture over the time at which harm begins. The first
// epoch's process is the release-long one until then, so that it needs no weight of its own: one process that is
// compared with 1/(long alpha) at all times crosses with probability long alpha at most. Earlier epochs' suprema are in Memory already.
func processes(vs []versus, long float64) []process {
	n := len(vs)
	if n == 0 {
		return nil
	}
	e := vs[n-1].epoch
	from := n - 1
	for from > 0 && vs[from-1].epoch == e {
		from--
	}
	if from == 0 {
		return []process{{"first", long, 0, vs}}
	}
	return []process{{"long", long, 0, vs}, {"epoch" + strconv.Itoa(e), epochWeight(e, long), compEpoch, vs[from:]}}
}
