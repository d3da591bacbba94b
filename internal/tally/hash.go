package tally

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
)

// Hash identifies the evidence: the SHA-256, in hex, of everything in the view that a verdict may rest
// on, in the order of the fields, numbers as 8 bytes little-endian. Positions and counters are left
// out: what is judged does not depend on them.
func (v *View) Hash() string {
	digests := make([][32]byte, len(v.Strata))
	for i := range v.Strata {
		digests[i] = v.Strata[i].digest()
	}
	return v.hashWith(digests)
}

func (v *View) hashWith(strata [][32]byte) string {
	d := newDigest()
	d.text("sluice view 2")
	d.int(uint64(v.LogTime))
	d.bool(v.Baseline)
	d.int(uint64(len(v.Categories)))
	for _, names := range v.Categories {
		d.int(uint64(len(names)))
		for _, n := range names {
			d.text(n)
		}
	}
	d.int(uint64(len(strata)))
	for i := range strata {
		d.flush()
		d.h.Write(strata[i][:])
	}
	sum := d.sum()
	return hex.EncodeToString(sum[:])
}

func (s *StratumView) digest() [32]byte {
	d := newDigest()
	d.int(uint64(s.ID)<<32 | uint64(s.Epoch)<<8 | uint64(s.Kind))
	d.int(uint64(len(s.Arms)))
	for i := range s.Arms {
		d.arm(&s.Arms[i])
	}
	d.bool(s.Pairs != nil)
	if s.Pairs != nil {
		d.int(s.Pairs.Complete)
		d.int(s.Pairs.Scored)
		for i := range s.Pairs.Metrics {
			d.pair(&s.Pairs.Metrics[i])
		}
	}
	d.segments(s.Segments)
	return d.sum()
}

// digest writes numbers into a hash through a buffer: a view has hundreds of thousands of them.
type digest struct {
	h   hash.Hash
	buf []byte
}

func newDigest() *digest { return &digest{h: sha256.New(), buf: make([]byte, 0, 4096)} }

func (d *digest) flush() {
	d.h.Write(d.buf)
	d.buf = d.buf[:0]
}

func (d *digest) sum() (out [32]byte) {
	d.flush()
	d.h.Sum(out[:0])
	return out
}

func (d *digest) int(v uint64) {
	if len(d.buf)+8 > cap(d.buf) {
		d.flush()
	}
	d.buf = binary.LittleEndian.AppendUint64(d.buf, v)
}

func (d *digest) bool(b bool) { d.int(uint64(indicator(b))) }

func (d *digest) text(s string) {
	d.int(uint64(len(s)))
	d.flush()
	d.h.Write([]byte(s))
}

func (d *digest) floats(f []float64) {
	d.int(uint64(len(f)))
	for _, x := range f {
		d.int(math.Float64bits(x))
	}
}

func (d *digest) rows(rows [][]float64) {
	d.int(uint64(len(rows)))
	for _, r := range rows {
		d.floats(r)
	}
}

func (d *digest) arm(a *ArmView) {
	for _, n := range [...]uint64{a.Exposures, a.Units, a.NewUnits, a.Outcomes, a.Seen, a.Dropped} {
		d.int(n)
	}
	d.int(uint64(len(a.Metrics)))
	for i := range a.Metrics {
		m := &a.Metrics[i]
		d.floats(m.N)
		d.floats(m.Y)
		d.int(math.Float64bits(m.SumSq))
		d.int(m.RawN)
		d.int(math.Float64bits(m.RawY))
		for _, n := range [...]uint64{m.Event.First, m.Event.Ever, m.Event.Closed, m.Event.With} {
			d.int(n)
		}
		d.rows(m.Over)
		d.rows(m.OverMargin)
		d.floats(m.OverLive)
		d.rows(m.Category)
		d.counts(m.Hist)
	}
}

func (d *digest) counts(cs []uint64) {
	d.int(uint64(len(cs)))
	for _, c := range cs {
		d.int(c)
	}
}

func (d *digest) segments(all []SegmentView) {
	d.int(uint64(len(all)))
	for i := range all {
		s := &all[i]
		d.text(s.Name)
		d.text(s.Value)
		d.int(uint64(len(s.Arms)))
		for j := range s.Arms {
			d.int(s.Arms[j].Exposures)
			d.floats(s.Arms[j].N)
			d.floats(s.Arms[j].Y)
			d.floats(s.Arms[j].Q)
		}
	}
}

func (d *digest) pair(p *PairMetricView) {
	d.floats(p.N)
	d.floats(p.D)
	for _, x := range [...]float64{p.SumSq, p.LiveY, p.CandY, p.LiveSumSq} {
		d.int(math.Float64bits(x))
	}
	d.int(p.LiveOnly)
	d.int(p.CandOnly)
	d.rows(p.Over)
	d.rows(p.OverMargin)
	d.floats(p.OverLive)
	d.counts(p.LiveHist)
	d.counts(p.CandHist)
	d.rows(p.Live)
	d.rows(p.Cand)
}
