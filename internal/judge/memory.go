package judge

import (
	"maps"
	"math"
	"strconv"
)

// remembered is the Memory of one look: a copy that the look may raise.
type remembered struct{ m Memory }

func remember(m Memory) remembered {
	return remembered{Memory{Sup: maps.Clone(m.Sup), Harm: maps.Clone(m.Harm)}}
}

// key names a metric of a candidate in Memory.Harm; Memory.Sup has "/" and the component behind it. Metric names contain no "/".
func key(metric string, arm int) string { return metric + "/" + strconv.Itoa(arm) }

// raise keeps the supremum of a component's evidence and returns it; every e-process starts at ln 1 = 0.
func (r *remembered) raise(k string, ln float64) float64 {
	if math.IsNaN(ln) {
		ln = 0
	}
	ln = clampLn(ln)
	was := r.m.Sup[k]
	if ln <= was {
		return was
	}
	if r.m.Sup == nil {
		r.m.Sup = map[string]float64{}
	}
	r.m.Sup[k] = ln
	return ln
}

// latch remembers that harm was shown.
func (r *remembered) latch(k string) {
	if r.m.Harm == nil {
		r.m.Harm = map[string]bool{}
	}
	r.m.Harm[k] = true
}

// harm decides R5 for one subject: the largest ln(weight x share) + sup ln E over its components, and by which. It is
// 0 for a metric that decides nothing. Harm once shown stays.
func (r *remembered) harm(s *subject, components []component) (ln float64, by string, shown bool) {
	if !s.decides() {
		return 0, "", false
	}
	k := key(s.metric.Name, s.arm)
	ln = math.Inf(-1)
	for _, c := range components {
		v := r.raise(k+"/"+c.name, c.ln) + math.Log(s.weight*c.share)
		if v > ln {
			ln, by = v, c.name
		}
	}
	if ln >= -math.Log(s.alpha) {
		r.latch(k)
	}
	if math.IsInf(ln, -1) {
		ln = math.Log(s.weight)
	}
	return clampLn(ln), by, r.m.Harm[k]
}
