package main

import (
	"fmt"
	"math"
	"sort"

	"sluice.dev/sluice/internal/stats"
)

// crowd are users of unequal activity, each with a rate of its own.
type crowd struct {
	cum   []float64
	rate  []float64
	arm   []int
	fired []bool
}

func newCrowd(c chance, users int, zipf, concentration, p, share float64) *crowd {
	w := &crowd{cum: make([]float64, users), rate: make([]float64, users), arm: make([]int, users), fired: make([]bool, users)}
	sum := 0.0
	for i := range users {
		sum += math.Pow(float64(i+1), -zipf)
		w.cum[i], w.rate[i], w.arm[i] = sum, c.beta(p, concentration), hit(c.flip(share))
	}
	return w
}

// returningUsers is F6: E1 on users at their first event (R1) beside E1 on every request's event. decided is the share of runs in which
// a harm of 2 points is shown by the rule per user in the same time.
func returningUsers(c chance, n int) (out []row) {
	const requests, every = 20_000, 500
	for _, x := range []struct {
		users      int
		zipf, conc float64
		share      float64
	}{{300, 1.3, 3, .5}, {3000, 1.3, 3, .5}, {3000, 1.5, .5, .1}, {3000, 1.3, 50, .05}, {20000, 1.3, 3, .1}} {
		perUser, perRequest, power := 0, 0, 0
		for range n {
			u, r := crowdRun(c, newCrowd(c, x.users, x.zipf, x.conc, .02, x.share), x.share, 0, requests, every)
			perUser += hit(u)
			perRequest += hit(r)
			u, _ = crowdRun(c, newCrowd(c, x.users, x.zipf, x.conc, .02, x.share), x.share, .02, requests, every)
			power += hit(u)
		}
		what := fmt.Sprintf("identical, %d users, Zipf %g, concentration %g, share %g", x.users, x.zipf, x.conc, x.share)
		r := rate("F6", what, perUser, n, alpha)
		r.measured += fmt.Sprintf("; per request %.2f; power at +2 points %.2f", float64(perRequest)/float64(n), float64(power)/float64(n))
		out = append(out, r)
	}
	return out
}

func crowdRun(c chance, w *crowd, share, harm float64, requests, every int) (perUser, perRequest bool) {
	first, all := stats.LabelStratum{Rho: share}, stats.LabelStratum{Rho: share}
	for i := 1; i <= requests; i++ {
		u := sort.SearchFloat64s(w.cum, c.Float64()*w.cum[len(w.cum)-1])
		u = min(u, len(w.cum)-1)
		if c.flip(w.rate[u] + harm*float64(w.arm[u])) {
			count(&all, w.arm[u])
			if !w.fired[u] {
				w.fired[u] = true
				count(&first, w.arm[u])
			}
		}
		if i%every == 0 {
			perUser = perUser || label(.5, first).LnAbove(0) >= -math.Log(alpha)
			perRequest = perRequest || label(.5, all).LnAbove(0) >= -math.Log(alpha)
		}
	}
	return perUser, perRequest
}

func count(k *stats.LabelStratum, arm int) {
	if arm == 1 {
		k.KB++
		return
	}
	k.KA++
}
