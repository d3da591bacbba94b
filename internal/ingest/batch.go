package ingest

import "sluice.dev/sluice/internal/release"

// maxDictBytes bounds the dictionary of one batch, so that it stays well below release.MaxBatchBytes
// whatever its exposures say.
const maxDictBytes = 96 << 10

// fill makes a batch of what waits: feedback and marks first, then exposures as they fit.
func (p *partition) fill(b *release.Batch) (told []*ask) {
	b.Exposures, b.Feedback, b.Marks = b.Exposures[:0], b.Feedback[:0], b.Marks[:0]
	b.Dict, b.Counts = b.Dict[:0], b.Counts[:0]
	clear(p.dict)
	clear(p.words)
	p.wordLen = 0
	told = p.takeAsks(b)
	if len(p.left) == 0 {
		n := p.ring.take(p.buf)
		p.left = p.buf[:n]
		p.taken.Store(p.ring.head)
	}
	for len(p.left) > 0 && len(b.Exposures)+len(b.Feedback) < release.MaxBatchEvents && p.wordLen < maxDictBytes {
		p.addExposure(b, &p.left[0])
		p.left = p.left[1:]
	}
	p.addDrops()
	if len(b.Exposures)+len(told) > 0 {
		p.addCounts(b)
	}
	return told
}

func (p *partition) addExposure(b *release.Batch, e *release.Exposure) {
	for i := range e.Values[:e.N] {
		if v := &e.Values[i]; v.Kind == release.ValueCategory {
			if v.Cat = p.local(b, v.Cat); v.Cat == noText {
				*v = release.Value{}
			}
		}
	}
	b.Exposures = append(b.Exposures, *e)
	if counted(e) {
		p.account(keyOf(e)).Seen++
	}
}

// noText stands for a number whose text was forgotten: the value is then absent.
const noText = 1<<32 - 1

// local returns the number of an interned text in this batch's dictionary.
func (p *partition) local(b *release.Batch, id uint32) uint32 {
	if n, ok := p.dict[id]; ok {
		return n
	}
	n := uint32(noText)
	if text, ok := p.o.Interner.text(id); ok {
		n = p.word(b, text)
	}
	p.dict[id] = n
	return n
}

func (p *partition) word(b *release.Batch, text string) uint32 {
	if n, ok := p.words[text]; ok {
		return n
	}
	n := uint32(len(b.Dict))
	b.Dict = append(b.Dict, text)
	p.words[text] = n
	p.wordLen += len(text) + 2
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

// lose accounts for the exposures of a batch that is given up; they were counted as seen.
func (p *partition) lose(b *release.Batch) {
	p.lost.Add(uint64(len(b.Exposures)))
	for i := range b.Exposures {
		if e := &b.Exposures[i]; counted(e) {
			p.account(keyOf(e)).Dropped++
		}
	}
}

func (p *partition) account(k armKey) *release.ArmCount {
	c := p.accounts[k]
	if c == nil {
		c = &release.ArmCount{Model: k.model, Release: k.release, Stratum: k.stratum, Arm: k.arm}
		p.accounts[k] = c
	}
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
	about := map[armKey]bool{}
	for i := range b.Exposures {
		if e := &b.Exposures[i]; counted(e) {
			about[keyOf(e)] = true
		}
	}
	for k, c := range p.accounts {
		if k.release != 0 && (about[k] || c.Dropped > 0) && len(b.Counts) < release.MaxBatchCounts {
			b.Counts = append(b.Counts, *c)
		}
	}
	if len(p.accounts) > maxAccounts {
		p.forget(about)
	}
}

// maxAccounts bounds the accounts of strata that are over.
const maxAccounts = 1024

func (p *partition) forget(about map[armKey]bool) {
	for k := range p.accounts {
		if !about[k] {
			delete(p.accounts, k)
		}
	}
}
