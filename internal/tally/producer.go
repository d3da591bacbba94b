package tally

import (
	"slices"
	"strings"

	"sluice.dev/sluice/internal/release"
)

// producer is what is known of one incarnation of one producer in this partition's log.
type producer struct {
	name        string
	incarnation uint64
	seq         uint64 // highest that was folded
	at          int64  // the log's time of its latest batch, ms
	// accounts are its latest cumulative counts of this release, by (stratum, arm) ascending.
	accounts []account
}

type account struct {
	stratum       uint16
	arm           uint8
	seen, dropped uint64
}

// producers are ascending by name and incarnation. The one of the last batch is remembered: batches
// of one producer come in runs.
type producers struct {
	all  []producer
	last int
}

// forget is how long after its latest batch an incarnation may be forgotten when there are too many,
// in ms: the log itself keeps nothing longer (feedback's horizon and a day).
const forget = 96 * 3600 * 1000

func (p *producers) find(name string, incarnation uint64) (int, bool) {
	if p.last < len(p.all) && p.all[p.last].incarnation == incarnation && p.all[p.last].name == name {
		return p.last, true
	}
	return slices.BinarySearchFunc(p.all, incarnation, func(x producer, inc uint64) int {
		if c := strings.Compare(x.name, name); c != 0 {
			return c
		}
		switch {
		case x.incarnation < inc:
			return -1
		case x.incarnation > inc:
			return 1
		}
		return 0
	})
}

// admit says whether the batch is new, and how many batches of its producer are missing before it.
// The first batch that a tally sees of an incarnation says nothing about those before it.
func (p *producers) admit(b *release.Batch, now int64) (fresh bool, missing uint64) {
	i, ok := p.find(b.Producer, b.Incarnation)
	if !ok {
		if len(p.all) >= maxProducers {
			p.forgetOldest(now)
			i, _ = p.find(b.Producer, b.Incarnation)
		}
		p.all = slices.Insert(p.all, i, producer{name: strings.Clone(b.Producer), incarnation: b.Incarnation, seq: b.Seq - 1})
	}
	p.last = i
	x := &p.all[i]
	if b.Seq <= x.seq {
		return false, 0
	}
	missing = b.Seq - x.seq - 1
	x.seq, x.at = b.Seq, now
	return true, missing
}

// forgetOldest makes room: all that are too old to come back, or else the one that is silent longest.
func (p *producers) forgetOldest(now int64) {
	oldest := 0
	for i := range p.all {
		if p.all[i].at < p.all[oldest].at {
			oldest = i
		}
	}
	n := len(p.all)
	p.all = slices.DeleteFunc(p.all, func(x producer) bool { return x.at < now-forget })
	if len(p.all) == n {
		p.all = slices.Delete(p.all, oldest, oldest+1)
	}
	p.last = 0
}

// count takes over a producer's cumulative account: what was added since its last one.
func (p *producer) count(c *release.ArmCount) (seen, dropped uint64) {
	i, ok := slices.BinarySearchFunc(p.accounts, c, func(a account, c *release.ArmCount) int {
		if a.stratum != c.Stratum {
			return int(a.stratum) - int(c.Stratum)
		}
		return int(a.arm) - int(c.Arm)
	})
	if !ok {
		p.accounts = slices.Insert(p.accounts, i, account{stratum: c.Stratum, arm: c.Arm})
	}
	a := &p.accounts[i]
	seen, dropped = c.Seen-min(a.seen, c.Seen), c.Dropped-min(a.dropped, c.Dropped)
	a.seen, a.dropped = max(a.seen, c.Seen), max(a.dropped, c.Dropped)
	return seen, dropped
}
