package records

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/store"
)

// Revision is the revision under which a record is stored.
type Revision = store.Revision

// ErrMoved is in the chain of the error that answers a change which was meant for an earlier revision.
var ErrMoved = errors.New("changed meanwhile")

// Change says who changes something, when and why, and, if At is set, which revision of it they have seen; 0: that
// there is none yet.
type Change struct {
	Who    Who
	Now    time.Time
	Reason string
	At     *Revision
}

// check refuses a change of another revision than the one that was seen.
func (c Change) check(op string, now Revision) error {
	if c.At == nil || *c.At == now {
		return nil
	}
	return &release.Error{
		Kind: release.KindConflict, Op: op, Msg: "it has changed since it was read", Cause: ErrMoved,
		Remedy: "read it again, look at what is different, and repeat the change if it is still wanted",
	}
}

// Act is one thing that a person did and that is no decision on a release: a file was applied, a token was made,
// rotated or revoked. Acts are a chain: each names the hash of the one before.
type Act struct {
	Time    time.Time `json:"time"`
	By      string    `json:"by"`
	Role    string    `json:"role,omitempty"`
	Address string    `json:"address,omitempty"`
	What    string    `json:"what"`    // apply, token.create, token.rotate, token.revoke
	Subject string    `json:"subject"` // the model, or the token's id and name
	Detail  string    `json:"detail,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Prev    string    `json:"prev"` // hash of the act before; "" for the first
	Hash    string    `json:"hash"` // SHA-256 of the JSON of all fields above
}

// actRecord is one entry of acts.
type actRecord struct {
	V   int `json:"v"`
	Act Act `json:"act"`
}

func (a Act) sum() (string, error) {
	a.Hash = ""
	b, err := encode(a)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// act is the write that puts an act on record, in the same batch as what was done.
func (r *Records) act(ctx context.Context, c Change, what, subject, detail string) (store.Write, error) {
	a := Act{
		Time: c.Now.UTC(), By: c.Who.Name, Role: c.Who.Role, Address: c.Who.Address, What: what, Subject: subject, Detail: detail, Reason: c.Reason,
	}
	w := store.Write{Key: actsKey, Append: true}
	e, err := r.store.Get(ctx, actsKey)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return w, translate("read the acts", err)
	default:
		var last actRecord
		if err := decode(e, &last); err != nil {
			return w, err
		}
		a.Prev, w.Expect = last.Act.Hash, e.Revision
	}
	if a.Hash, err = a.sum(); err != nil {
		return w, err
	}
	w.Value, err = encode(actRecord{V: layout, Act: a})
	return w, err
}

// Acts returns all acts, oldest first.
func (r *Records) Acts(ctx context.Context) ([]Act, error) {
	entries, err := r.store.History(ctx, actsKey, 0)
	if err != nil {
		return nil, translate("read the acts", err)
	}
	out := make([]Act, 0, len(entries))
	for _, e := range entries {
		var rec actRecord
		if err := decode(e, &rec); err != nil {
			return nil, err
		}
		out = append(out, rec.Act)
	}
	return out, nil
}

// VerifyActs recomputes a chain of acts; the error names the first broken link.
func VerifyActs(all []Act) error {
	prev := ""
	for i, a := range all {
		sum, err := a.sum()
		if err != nil {
			return err
		}
		if a.Prev != prev || a.Hash != sum {
			return fmt.Errorf("act %d (%s %s, by %s) does not follow from the one before", i+1, a.What, a.Subject, a.By)
		}
		prev = a.Hash
	}
	return nil
}
