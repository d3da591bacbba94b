package tally

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"sluice.dev/sluice/internal/release"
)

// A snapshot is everything that a tally knows, in one canonical form: equal states have equal bytes,
// whatever way led to them. Layout of version 2, in order: version, what it counts (fingerprint of the
// metrics, model, release, arms, partition), position and clock, counters, producers, baseline,
// dictionaries, segments, strata, units with their open records, what waits. Unsigned and signed
// numbers are LEB128, hashes and sums 8 bytes little-endian, lists have their length in front. Version 1 kept segments
// without strata, which can't be taken apart again: it is refused, and whoever holds the log folds it anew.
const codecVersion = 2

// Bounds of what a snapshot may claim.
const (
	maxBaseline = 1 << 20
	maxQueue    = 1 << 24
	maxEntries  = 1 << 20
)

// AppendBinary appends the snapshot to dst. It implements encoding.BinaryAppender and never fails.
func (t *Tally) AppendBinary(dst []byte) ([]byte, error) {
	w := writer{dst}
	w.byte(codecVersion)
	w.fixed(t.prog.print)
	w.uint(uint64(t.cfg.Key))
	w.uint(uint64(t.cfg.Number))
	w.byte(byte(t.cfg.Arms))
	w.byte(byte(t.cfg.Partition))
	w.uint(t.seq)
	w.int(t.clock)
	for _, c := range t.counters.list() {
		w.uint(*c)
	}
	w.producers(&t.producers)
	w.baseline(t.baseline)
	for _, s := range t.since {
		w.int(s)
	}
	for i := range t.dicts {
		w.texts(t.dicts[i].names)
	}
	for i := range t.segments {
		w.texts(t.segments[i].names)
	}
	w.len(len(t.strata))
	for _, s := range t.strata {
		w.stratum(s)
	}
	w.units(&t.units)
	w.waiting(&t.held)
	w.waiting(&t.halves)
	return w.b, nil
}

// UnmarshalBinary replaces the state of a tally, made by New for the same release, partition and
// metrics, by a snapshot. It implements encoding.BinaryUnmarshaler. The error is of kind invalid; the
// tally is then unusable.
func (t *Tally) UnmarshalBinary(data []byte) error {
	r := reader{b: data}
	if err := t.readHead(&r); err != nil {
		return err
	}
	t.seq = r.uint()
	t.clock = r.int()
	for _, c := range t.counters.list() {
		*c = r.uint()
	}
	r.producers(&t.producers)
	if err := t.readBaseline(&r); err != nil {
		return err
	}
	for i := range t.since {
		t.since[i] = r.int()
		if t.since[i] >= 0 && t.prog.metrics[i].event < 0 {
			r.fail()
		}
	}
	t.readDicts(&r)
	for i := range t.segments {
		t.segments[i] = growingDictionary(&r, r.texts(maxSegValues), maxSegValues)
	}
	t.readStrata(&r)
	t.readUnits(&r)
	t.readWaiting(&r, &t.held, true)
	t.readWaiting(&r, &t.halves, false)
	if !r.bad && len(r.b) > 0 {
		return badSnapshot("%d bytes follow its end", len(r.b))
	}
	if r.bad {
		return badSnapshot("it ends early or holds a number out of its range")
	}
	return nil
}

func badSnapshot(format string, args ...any) error {
	return &release.Error{
		Kind: release.KindInvalid, Op: "read tally", Msg: fmt.Sprintf(format, args...),
		Remedy: "the tally can be rebuilt from the log: remove the snapshot",
	}
}

func (t *Tally) readHead(r *reader) error {
	if v := r.byte(); v != codecVersion {
		return badSnapshot("version %d, this build reads %d", v, codecVersion)
	}
	if r.fixed() != t.prog.print {
		return badSnapshot("it belongs to other metrics")
	}
	key, number, arms, partition := r.uint(), r.uint(), r.byte(), r.byte()
	if key != uint64(t.cfg.Key) || number != uint64(t.cfg.Number) || int(arms) != t.cfg.Arms || int(partition) != t.cfg.Partition {
		return badSnapshot("it is of model key %d, release %d with %d arms in partition %d", key, number, arms, partition)
	}
	return nil
}

func (c *Counters) list() []*uint64 {
	return []*uint64{
		&c.Duplicates, &c.MissingBatch, &c.Malformed, &c.LateFeedback, &c.LateExposures,
		&c.Repeated, &c.Ignored, &c.Thinned, &c.Unpaired,
	}
}

func (w *writer) producers(p *producers) {
	w.len(len(p.all))
	for i := range p.all {
		x := &p.all[i]
		w.text(x.name)
		w.uint(x.incarnation)
		w.uint(x.seq)
		w.int(x.at)
		w.len(len(x.accounts))
		for _, a := range x.accounts {
			w.uint(uint64(a.stratum))
			w.byte(a.arm)
			w.uint(a.seen)
			w.uint(a.dropped)
		}
	}
}

func (r *reader) producers(p *producers) {
	*p = producers{all: make([]producer, r.len(maxProducers, 5))}
	for i := range p.all {
		x := &p.all[i]
		x.name, x.incarnation, x.seq, x.at = r.text(release.MaxProducerLen), r.uint(), r.uint(), r.int()
		x.accounts = make([]account, r.len(maxStrata*release.MaxArms, 4))
		for j := range x.accounts {
			x.accounts[j] = account{uint16(r.atMost(1<<16 - 1)), r.byte(), r.uint(), r.uint()}
		}
		if i > 0 && (p.all[i-1].name > x.name || p.all[i-1].name == x.name && p.all[i-1].incarnation >= x.incarnation) {
			r.fail()
		}
	}
}

func (w *writer) baseline(b *release.Baseline) {
	if b == nil {
		w.text("")
		return
	}
	data, err := json.Marshal(b)
	if err != nil {
		panic("tally: a baseline that was taken over has no JSON form: " + err.Error())
	}
	w.text(string(data))
}

func (t *Tally) readBaseline(r *reader) error {
	text := r.text(maxBaseline)
	if text == "" {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	var b release.Baseline
	if err := d.Decode(&b); err != nil {
		return badSnapshot("its baseline is malformed: %v", err)
	}
	if canonical, err := json.Marshal(&b); err != nil || !bytes.Equal(canonical, []byte(text)) {
		return badSnapshot("its baseline is not in canonical form")
	}
	t.setBaseline(&b)
	return nil
}

func (w *writer) texts(names []string) {
	w.len(len(names))
	for _, n := range names {
		w.text(n)
	}
}

func (t *Tally) readDicts(r *reader) {
	for i := range t.prog.metrics {
		m := &t.prog.metrics[i]
		if m.cat < 0 {
			continue
		}
		names := r.texts(max(maxDictNames, maxFrozen))
		if t.baseline != nil {
			if b, ok := t.baseline.Metrics[m.name]; ok {
				t.dicts[m.cat] = frozenDictionary(clipAll(b.Categories))
				if !slices.Equal(names, t.dicts[m.cat].names) {
					r.fail()
				}
				continue
			}
		}
		t.dicts[m.cat] = growingDictionary(r, names, maxDictNames)
	}
}

// maxFrozen bounds the names of a frozen dictionary.
const maxFrozen = 4096

func growingDictionary(r *reader, names []string, most int) dictionary {
	d := newDictionary(most)
	for i, n := range names {
		if d.of(n) != i {
			r.fail()
		}
	}
	return d
}

func (r *reader) texts(most int) []string {
	names := make([]string, r.len(most, 1))
	for i := range names {
		names[i] = r.text(maxTexts)
	}
	return names
}

func (w *writer) segments(all []segmentRows) {
	w.bool(all != nil)
	for _, rows := range all {
		w.bool(rows != nil)
		for _, arms := range rows {
			w.bool(arms != nil)
			for a := range arms {
				r := &arms[a]
				w.uint(r.exposures)
				for m := range r.n {
					w.uint(r.n[m])
					if r.n[m] > 0 {
						w.float(r.y[m])
						w.float(r.q[m])
					}
				}
			}
		}
	}
}

func (t *Tally) readSegments(r *reader) []segmentRows {
	if !r.bool() || len(t.segments) == 0 {
		return nil
	}
	all := make([]segmentRows, len(t.segments))
	for i := range all {
		if !r.bool() {
			continue
		}
		all[i] = make(segmentRows, t.segments[i].rows())
		for v := range all[i] {
			if !r.bool() {
				continue
			}
			all[i][v] = newSegmentRows(t.cfg.Arms, len(t.prog.metrics))
			for a := range all[i][v] {
				x := &all[i][v][a]
				x.exposures = r.uint()
				for m := range x.n {
					if x.n[m] = r.uint(); x.n[m] > 0 {
						x.y[m], x.q[m] = r.float(), r.float()
					}
				}
			}
		}
	}
	return all
}
