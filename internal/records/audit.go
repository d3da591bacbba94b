package records

import (
	"context"
	"fmt"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
)

// Decisions returns a model's decisions of all releases, oldest first, after the given store
// revision of the log (0: all), and the revision up to which it read.
func (r *Records) Decisions(ctx context.Context, name string, after store.Revision) ([]rollout.Decision, store.Revision, error) {
	entries, err := r.store.History(ctx, logKey(name), after)
	if err != nil {
		return nil, after, translate("read the decisions of "+name, err)
	}
	var out []rollout.Decision
	for _, e := range entries {
		var rec logRecord
		if err := decode(e, &rec); err != nil {
			return nil, after, err
		}
		out = append(out, rec.Decisions...)
		after = e.Revision
	}
	return out, after, nil
}

// Audit is the result of verifying a model's chain of decisions.
type Audit struct {
	Model     string `json:"model"`
	Decisions int    `json:"decisions"`
	Releases  int    `json:"releases"`
	Head      string `json:"head"` // hash of the latest decision; keep it elsewhere to prove later that nothing was cut off
	OK        bool   `json:"ok"`
	Fault     string `json:"fault,omitempty"` // the first broken link, in words
}

// Verify recomputes a model's chain of decisions from its first to its last link, and checks that
// the states of its releases end where the chain does, so that neither a changed, nor a missing, nor
// a cut-off record goes unnoticed.
func (r *Records) Verify(ctx context.Context, name string) (Audit, error) {
	if _, _, err := r.loadModel(ctx, name); err != nil {
		return Audit{}, err
	}
	decisions, _, err := r.Decisions(ctx, name, 0)
	if err != nil {
		return Audit{}, err
	}
	a := Audit{Model: name, Decisions: len(decisions)}
	if err := verifyChain(decisions); err != nil {
		a.Fault = err.Error()
		return a, nil //nolint:nilerr // a broken chain is the answer
	}
	if n := len(decisions); n > 0 {
		a.Head = decisions[n-1].Hash
	}
	a.Fault, a.Releases, err = r.compareStates(ctx, name, decisions)
	a.OK = a.Fault == "" && err == nil
	return a, err
}

// verifyChain checks all links of a model: each release's by itself, and that each release begins where
// the one before it ended.
func verifyChain(decisions []rollout.Decision) error {
	prev := ""
	for begin := 0; begin < len(decisions); {
		end := begin
		for end < len(decisions) && decisions[end].Release == decisions[begin].Release {
			end++
		}
		if err := rollout.VerifyChain(decisions[begin:end], prev); err != nil {
			return err
		}
		prev, begin = decisions[end-1].Hash, end
	}
	return nil
}

// compareStates checks each release's state against the last link of its part of the chain.
func (r *Records) compareStates(ctx context.Context, name string, decisions []rollout.Decision) (string, int, error) {
	last := map[uint32]rollout.Decision{}
	for _, d := range decisions {
		last[d.Release] = d
	}
	releases, err := r.Releases(ctx, name)
	if err != nil {
		return "", 0, err
	}
	for _, rel := range releases {
		d, ok := last[rel.State.Number]
		switch {
		case !ok:
			return fmt.Sprintf("release %d has a state but no decision in the log", rel.State.Number), len(releases), nil
		case d.Hash != rel.State.LastHash:
			return fmt.Sprintf("release %d: its state follows decision %d (%.12s), the log ends with decision %d (%.12s)",
				rel.State.Number, rel.State.Decisions, rel.State.LastHash, d.Number, d.Hash), len(releases), nil
		}
		delete(last, rel.State.Number)
	}
	for n := range last {
		return fmt.Sprintf("the log has decisions of release %d, whose state is missing", n), len(releases), nil
	}
	return "", len(releases), nil
}

// PutReport stores a test report under its hash and GetReport returns it.
func (r *Records) PutReport(ctx context.Context, hash string, report []byte) error {
	_, err := r.store.PutBlob(ctx, "report/"+hash, report, 0)
	if isConflict(err) {
		return nil // the same content is there already
	}
	return translate("store the test report", err)
}

// GetReport returns a stored test report.
func (r *Records) GetReport(ctx context.Context, hash string) ([]byte, error) {
	b, _, err := r.store.GetBlob(ctx, "report/"+hash)
	if err != nil {
		return nil, translate("read the test report", err)
	}
	return b, nil
}

// errNoRole is what a token without the needed role meets.
func errNoRole(need string) error {
	return &release.Error{Kind: release.KindDenied, Op: "check the token", Msg: "this needs the role " + need, Remedy: "ask an admin for a token with that role (sluice token create --role " + need + ")"}
}

// PutFile stores a file that a model refers to, under its SHA-256 in hex, and GetFile returns it.
func (r *Records) PutFile(ctx context.Context, hash string, content []byte) error {
	_, err := r.store.PutBlob(ctx, "file/"+hash, content, 0)
	if isConflict(err) {
		return nil // the same content is there already
	}
	return translate("store an attached file", err)
}

// GetFile returns a file that was stored by PutFile.
func (r *Records) GetFile(ctx context.Context, hash string) ([]byte, error) {
	b, _, err := r.store.GetBlob(ctx, "file/"+hash)
	if err != nil {
		return nil, translate("read an attached file", err)
	}
	return b, nil
}
