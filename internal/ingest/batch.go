package ingest

import "sluice.dev/sluice/internal/release"

// Bounds of what goes into one batch, in encoded bytes at most, so that with its counts it stays below release.MaxBatchBytes
// whatever its events say.
const (
	maxFillBytes     = 192 << 10 // events and dictionary
	maxDictBytes     = 96 << 10  // the part of it that exposures' texts may take
	exposureBytes    = 77        // of one exposure without its values
	valueBytes       = 8         // of one value
	feedbackBytes    = 65        // of one feedback without its texts
	markBytes        = 13        // of one mark without its baseline
	dictionaryExtra  = 2         // of one text besides its bytes
	maxFeedbackBytes = 96 << 10  // of the feedback that is told at once
	maxMarkBytes     = 128 << 10 // of a mark's baseline
)

// builder is what a batch is made in. It is free again as soon as the batch is encoded, so a few serve all partitions.
type builder struct {
	batch release.Batch
	dict  map[uint32]uint32 // interned number -> number in the batch; see noText
	words map[string]uint32
	size  int // bytes at most of events and dictionary
	texts int // of the dictionary alone
}

func newBuilder() *builder {
	return &builder{dict: map[uint32]uint32{}, words: map[string]uint32{}}
}

func (w *builder) reset() {
	b := &w.batch
	b.Exposures, b.Feedback, b.Marks = b.Exposures[:0], b.Feedback[:0], b.Marks[:0]
	b.Dict, b.Counts = b.Dict[:0], b.Counts[:0]
	clear(w.dict)
	clear(w.words)
	w.size, w.texts = 0, 0
}

// builders lends builders: a new one when all are lent.
type builders chan *builder

func (c builders) get() *builder {
	select {
	case w := <-c:
		return w
	default:
		return newBuilder()
	}
}

func (c builders) put(w *builder) {
	select {
	case c <- w:
	default:
	}
}

// fill makes a batch of what waits: feedback and marks first, then exposures as they fit.
func (p *partition) fill(w *builder) (told []*ask) {
	w.reset()
	for _, c := range p.accounts {
		c.batch = 0
	}
	b := &w.batch
	told = p.takeAsks(w)
	for w.room() {
		b.Exposures = extend(b.Exposures)
		e := &b.Exposures[len(b.Exposures)-1]
		if !p.ring.next(e) {
			b.Exposures = b.Exposures[:len(b.Exposures)-1]
			break
		}
		p.addExposure(w, e)
	}
	p.taken.Store(p.ring.head)
	p.addDrops()
	if len(b.Exposures)+len(told) > 0 {
		p.addCounts(b)
	}
	return told
}

// room says whether one more exposure fits, whatever it says.
func (w *builder) room() bool {
	return len(w.batch.Exposures)+len(w.batch.Feedback) < release.MaxBatchEvents &&
		w.texts < maxDictBytes && len(w.batch.Dict) <= release.MaxBatchDict-release.MaxSignals &&
		w.size <= maxFillBytes-(exposureBytes+release.MaxSignals*(valueBytes+release.MaxDictLen+dictionaryExtra))
}

// extend makes s longer by one without touching what was there before.
func extend(s []release.Exposure) []release.Exposure {
	if len(s) < cap(s) {
		return s[:len(s)+1]
	}
	return append(s, release.Exposure{})
}

func (p *partition) addExposure(w *builder, e *release.Exposure) {
	w.size += exposureBytes + valueBytes*int(e.N)
	for i := range e.Values[:min(e.N, release.MaxSignals)] {
		if v := &e.Values[i]; v.Kind == release.ValueCategory {
			if v.Cat = w.local(p.o.Interner, v.Cat); v.Cat == noText {
				*v = release.Value{}
			}
		}
	}
	if counted(e) {
		c := p.account(keyOf(e))
		c.Seen++
		c.batch++
	}
}

// noText stands for a number whose text was forgotten: the value is then absent.
const noText = 1<<32 - 1

// local returns the number of an interned text in this batch's dictionary.
func (w *builder) local(texts *Interner, id uint32) uint32 {
	if n, ok := w.dict[id]; ok {
		return n
	}
	n := uint32(noText)
	if text, ok := texts.text(id); ok {
		n = w.word(text)
	}
	w.dict[id] = n
	return n
}

func (w *builder) word(text string) uint32 {
	if n, ok := w.words[text]; ok {
		return n
	}
	n := uint32(len(w.batch.Dict))
	w.batch.Dict = append(w.batch.Dict, text)
	w.words[text] = n
	w.texts += len(text) + dictionaryExtra
	w.size += len(text) + dictionaryExtra
	return n
}

// armKey names the arm of a stratum that a gateway keeps an account of.
type armKey struct {
	model   release.ModelKey
	release uint32
	stratum uint16
	arm     uint8
}

func keyOf(e *release.Exposure) armKey { return armKey{e.Model, e.Release, e.Stratum, e.Arm} }

// counted says whether an exposure is one of its arm's account: a mirrored copy is not, it is the other
// half of one that is.
func counted(e *release.Exposure) bool {
	return e.Kind == release.ExposureServe || e.Kind == release.ExposureWouldBe
}

func (p *partition) drop(e *release.Exposure) {
	if !counted(e) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drops[keyOf(e)]++
}

// account is what a gateway tells of one arm.
type account struct {
	release.ArmCount
	batch uint64 // of Seen: those that the present batch brings
}

// lose accounts for the exposures of the present batch, which is given up; they were counted as seen.
func (p *partition) lose() {
	p.lost.Add(uint64(p.exposures))
	for _, c := range p.accounts {
		c.Dropped += c.batch
	}
}

// account returns the account of an arm. Neighbouring exposures are often of one arm.
func (p *partition) account(k armKey) *account {
	if p.latest != nil && p.latestKey == k {
		return p.latest
	}
	c := p.accounts[k]
	if c == nil {
		c = &account{ArmCount: release.ArmCount{Model: k.model, Release: k.release, Stratum: k.stratum, Arm: k.arm}}
		p.accounts[k] = c
	}
	p.latest, p.latestKey = c, k
	return c
}

// addDrops moves what was dropped since the last batch into the cumulative accounts.
func (p *partition) addDrops() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, n := range p.drops {
		c := p.account(k)
		c.Seen += n
		c.Dropped += n
		delete(p.drops, k)
	}
}

// addCounts tells the accounts of the arms that this batch is about, and of those that lost something:
// their losses must be known even if nothing of theirs arrives any more.
func (p *partition) addCounts(b *release.Batch) {
	for k, c := range p.accounts {
		if k.release != 0 && (c.batch > 0 || c.Dropped > 0) && len(b.Counts) < release.MaxBatchCounts {
			b.Counts = append(b.Counts, c.ArmCount)
		}
	}
	if len(p.accounts) > maxAccounts {
		p.forget()
	}
}

// maxAccounts bounds the accounts of strata that are over.
const maxAccounts = 1024

func (p *partition) forget() {
	p.latest = nil
	for k, c := range p.accounts {
		if c.batch == 0 {
			delete(p.accounts, k)
		}
	}
}
