package rollout

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"sluice.dev/sluice/internal/release"
)

// actor is who decides.
type actor struct{ name, role, address string }

// sluice decides by evidence, time and plan.
var sluice = actor{name: "sluice"}

func person(c Command) actor { return actor{name: c.By, role: c.Role, address: c.Address} }

// mark remembers where a decision began.
type mark struct {
	step  release.StepKind
	share release.Share
}

func (t *turn) mark() mark { return mark{step: t.s.kind(), share: t.s.Share()} }

// record puts a decision on record after its changes were made, links it to the previous one, and has
// it told to whoever listens.
func (t *turn) record(m mark, what What, by actor, reason string) {
	d := Decision{
		Model: t.s.Model, Release: t.s.Number, Number: t.s.Decisions + 1, Time: t.now, Step: m.step,
		What: what, From: m.share, To: t.s.Share(), Phase: t.s.Phase,
		By: by.name, Role: by.role, Address: by.address, Reason: reason, Prev: t.s.LastHash,
	}
	if t.tk != nil && t.tk.Assessment != nil && what != Freeze && what != Note {
		d.Exposures, d.Verdicts, d.Tally = t.tk.Assessment.Exposures, t.tk.Assessment.Verdicts, t.tk.TallyHash
		d.Look = t.tk.Look
	}
	d = d.stored()
	d.Hash = d.ComputeHash()
	t.s.Decisions, t.s.LastHash = d.Number, d.Hash
	t.s.Reason = d.Reason
	t.out = append(t.out, d)
	if what != Note && what != Freeze {
		t.notify(d.Number)
	}
}

// stored is the decision as it will be read back, so that its hash is that of what is stored.
func (d Decision) stored() Decision {
	var back Decision
	if err := json.Unmarshal(d.canonical(), &back); err != nil {
		panic(fmt.Sprintf("rollout: a decision does not survive its own encoding: %v", err))
	}
	return back
}

// canonical is the JSON of all fields but Hash, in the order of the type, without escapes for HTML.
func (d Decision) canonical() []byte {
	d.Hash = ""
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(d); err != nil {
		// Numbers are made finite at the door, and nothing else in a decision can fail.
		panic(fmt.Sprintf("rollout: a decision cannot be encoded: %v", err))
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// ComputeHash returns what Hash must be: the SHA-256, in hex, of the decision's canonical JSON with an
// empty hash. The canonical JSON has the fields in the order of the type, no space, and the shortest
// decimal form of each number.
func (d Decision) ComputeHash() string {
	sum := sha256.Sum256(d.canonical())
	return hex.EncodeToString(sum[:])
}

// VerifyChain checks the decisions of one release, in order from its first: numbers without gaps,
// each linked to the one before (the first to prev) and unaltered. The error names the first record
// that is not what it was.
func VerifyChain(decisions []Decision, prev string) error {
	const op = "verify the audit chain"
	for i := range decisions {
		d := &decisions[i]
		at := fmt.Sprintf("decision %d of release %s/%d", i+1, d.Model, d.Release)
		switch {
		case d.Number != uint64(i)+1:
			return release.Invalid(op, "%s is missing: number %d follows", at, d.Number)
		case d.Model != decisions[0].Model || d.Release != decisions[0].Release:
			return release.Invalid(op, "%s stands among those of %s/%d", at, decisions[0].Model, decisions[0].Release)
		case d.Prev != prev:
			return release.Invalid(op, "%s follows another record than the one before it", at)
		case d.Hash != d.ComputeHash():
			return release.Invalid(op, "%s was altered: its hash does not fit", at)
		}
		prev = d.Hash
	}
	return nil
}
