package records

import (
	"bytes"
	"cmp"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
)

// maxLedger bounds the decisions that are remembered, in bytes; the books used longest ago go first.
const maxLedger = 64 << 20

// ledger remembers decisions that were read, so that a page of a long log does not read all of it again.
// Entries of a log never change; whether there are new ones is one read. Verify does not use it.
type ledger struct {
	mu    sync.Mutex
	books map[string]*ledgerBook // by model
	bytes int
	clock uint64
}

type ledgerBook struct {
	rev     store.Revision // of the latest entry that was read
	entries []ledgerEntry
	bytes   int
	used    uint64
}

// ledgerEntry is one decision: what lists and filters show of it, and all of it, deflated.
type ledgerEntry struct {
	light  rollout.Decision // without verdicts and look
	packed []byte
}

func (e *ledgerEntry) full() (rollout.Decision, error) {
	raw, err := io.ReadAll(flate.NewReader(bytes.NewReader(e.packed)))
	if err != nil {
		return rollout.Decision{}, damaged("read a decision", err)
	}
	var d rollout.Decision
	if err := json.Unmarshal(raw, &d); err != nil {
		return d, damaged("read a decision", err)
	}
	return d, nil
}

// entries returns a model's decisions, oldest first. The slice is the caller's to read.
func (r *Records) entries(ctx context.Context, name string) ([]ledgerEntry, error) {
	l := &r.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.books[name]
	if b == nil {
		b = &ledgerBook{}
		l.books[name] = b
	}
	l.clock++
	b.used = l.clock
	rev, err := r.latest(ctx, logKey(name))
	if err != nil || rev == b.rev {
		return b.entries, err
	}
	list, err := r.store.History(ctx, logKey(name), b.rev)
	if err != nil {
		return nil, translate("read the decisions of "+name, err)
	}
	for _, e := range list {
		if err := l.add(b, e); err != nil {
			return nil, err
		}
	}
	out := b.entries
	l.trim()
	return out, nil
}

func (l *ledger) add(b *ledgerBook, e store.Entry) error {
	var rec logRecord
	if err := decode(e, &rec); err != nil {
		return err
	}
	for _, d := range rec.Decisions {
		packed, err := pack(d)
		if err != nil {
			return err
		}
		d.Verdicts, d.Look = nil, nil
		b.entries = append(b.entries, ledgerEntry{light: d, packed: packed})
		size := len(packed) + len(d.Reason) + 512
		b.bytes += size
		l.bytes += size
	}
	b.rev = e.Revision
	return nil
}

func pack(d rollout.Decision) ([]byte, error) {
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(raw)
	err = errors.Join(err, w.Close()) // before the bytes are taken
	return out.Bytes(), err
}

// trim forgets the books used longest ago.
func (l *ledger) trim() {
	for l.bytes > maxLedger && len(l.books) > 1 {
		oldest := ""
		for name, b := range l.books {
			if oldest == "" || b.used < l.books[oldest].used {
				oldest = name
			}
		}
		l.bytes -= l.books[oldest].bytes
		delete(l.books, oldest)
	}
}

// DecisionsOf returns the decisions of one release, oldest first.
func (r *Records) DecisionsOf(ctx context.Context, name string, n uint32) ([]rollout.Decision, error) {
	entries, err := r.entries(ctx, name)
	if err != nil {
		return nil, err
	}
	var out []rollout.Decision
	for i := range entries {
		if entries[i].light.Release != n {
			continue
		}
		d, err := entries[i].full()
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// DecisionQuery selects decisions. Zero fields select all.
type DecisionQuery struct {
	Model    string
	Release  uint32
	What, By string
	Text     string // part of the reason, the person or the model, in either case
	From, To time.Time
	After    DecisionKey // only those behind this one, in the order that is asked for
	Oldest   bool        // oldest first; otherwise the newest
	Limit    int         // 0: all
}

// DecisionKey is a decision's place in the order of time over all models.
type DecisionKey struct {
	Time    time.Time
	Model   string
	Release uint32
	Number  uint64
}

// KeyOf returns a decision's place.
func KeyOf(d rollout.Decision) DecisionKey {
	return DecisionKey{Time: d.Time, Model: d.Model, Release: d.Release, Number: d.Number}
}

func (k DecisionKey) compare(o DecisionKey) int {
	return cmp.Or(k.Time.Compare(o.Time), strings.Compare(k.Model, o.Model), cmp.Compare(k.Release, o.Release), cmp.Compare(k.Number, o.Number))
}

// FindDecisions returns the decisions that match, and whether there are more of them behind those. KindNotFound for a
// model that does not exist.
func (r *Records) FindDecisions(ctx context.Context, q DecisionQuery) ([]rollout.Decision, bool, error) {
	names, err := r.namesFor(ctx, q.Model)
	if err != nil {
		return nil, false, err
	}
	var found []ledgerEntry
	for _, name := range names {
		entries, err := r.entries(ctx, name)
		if err != nil {
			return nil, false, err
		}
		for i := range entries {
			if q.matches(&entries[i].light) {
				found = append(found, entries[i])
			}
		}
	}
	slices.SortFunc(found, func(a, b ledgerEntry) int {
		if q.Oldest {
			return KeyOf(a.light).compare(KeyOf(b.light))
		}
		return KeyOf(b.light).compare(KeyOf(a.light))
	})
	more := q.Limit > 0 && len(found) > q.Limit
	if more {
		found = found[:q.Limit]
	}
	out := make([]rollout.Decision, len(found))
	for i := range found {
		if out[i], err = found[i].full(); err != nil {
			return nil, false, err
		}
	}
	return out, more, nil
}

func (r *Records) namesFor(ctx context.Context, model string) ([]string, error) {
	if model != "" {
		_, _, err := r.loadModel(ctx, model)
		return []string{model}, err
	}
	models, err := r.Models(ctx)
	names := make([]string, len(models))
	for i := range models {
		names[i] = models[i].Spec.Metadata.Name
	}
	return names, err
}

func (q *DecisionQuery) matches(d *rollout.Decision) bool {
	switch {
	case q.Release != 0 && d.Release != q.Release,
		q.What != "" && string(d.What) != q.What,
		q.By != "" && d.By != q.By,
		!q.From.IsZero() && d.Time.Before(q.From),
		!q.To.IsZero() && d.Time.After(q.To):
		return false
	}
	if q.Text != "" && !containsFold(d.Reason, q.Text) && !containsFold(d.By, q.Text) && !containsFold(d.Model, q.Text) {
		return false
	}
	if q.After == (DecisionKey{}) {
		return true
	}
	order := KeyOf(*d).compare(q.After)
	return q.Oldest && order > 0 || !q.Oldest && order < 0
}

func containsFold(s, part string) bool {
	return strings.Contains(strings.ToLower(s), strings.ToLower(part))
}

// ReleaseQuery selects releases of a model by number.
type ReleaseQuery struct {
	After  uint32 // only numbers behind this one, in the order that is asked for; 0: from the beginning
	Newest bool   // newest first
	Limit  int
	Keep   func(rollout.State) bool // nil: all
}

// FindReleases returns the releases that match, and whether there may be more behind those. It reads no more than it
// looks at. KindNotFound for a model that does not exist.
func (r *Records) FindReleases(ctx context.Context, name string, q ReleaseQuery) ([]Release, bool, error) {
	m, _, err := r.loadModel(ctx, name)
	if err != nil {
		return nil, false, err
	}
	n, step := int64(q.After)+1, int64(1)
	if q.Newest {
		n, step = int64(m.Last), -1
		if q.After != 0 {
			n = min(n, int64(q.After)-1)
		}
	}
	var out []Release
	for ; n >= 1 && n <= int64(m.Last); n += step {
		if len(out) == q.Limit {
			return out, true, nil
		}
		rel, err := r.Release(ctx, name, uint32(n)) //nolint:gosec // 1 to Last
		if err != nil {
			return nil, false, err
		}
		if q.Keep == nil || q.Keep(rel.State) {
			out = append(out, rel)
		}
	}
	return out, false, nil
}

// DecisionHeads returns the decisions of one release without their verdicts and looks, oldest first.
func (r *Records) DecisionHeads(ctx context.Context, name string, n uint32) ([]rollout.Decision, error) {
	entries, err := r.entries(ctx, name)
	if err != nil {
		return nil, err
	}
	var out []rollout.Decision
	for i := range entries {
		if entries[i].light.Release == n {
			out = append(out, entries[i].light)
		}
	}
	return out, nil
}
