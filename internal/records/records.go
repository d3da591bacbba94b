package records

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
)

// Records keeps models, releases, decisions, tokens and routes in a store. Safe for concurrent use,
// also by several processes on one store.
type Records struct {
	store store.Store

	mu      sync.Mutex
	working map[string]Release // the leader's latest view of running releases, by stateKey; see Working

	looks  recorder
	ledger ledger
}

// New returns the records kept in s.
func New(s store.Store) *Records {
	return &Records{store: s, working: map[string]Release{}, looks: recorder{open: map[string]*gathered{}}, ledger: ledger{books: map[string]*ledgerBook{}}}
}

// Model is what is known of one model.
type Model struct {
	Spec     release.Model
	Hash     string // of the file, canonical and normalised
	Applied  time.Time
	By       string
	Created  time.Time
	Live     string // the version that serves everybody outside a release
	Last     uint32 // number of the latest release; 0: none yet
	Running  uint32 // number of the running release; 0: none
	Success  uint32 // the release that undo would take back; 0: none
	Revision store.Revision
}

// Holds says whether a release of the model is over and its hold-back stays: it succeeded, no other has begun since, and
// the present file still asks for it.
func (m Model) Holds(s *rollout.State) bool {
	return m.Running == 0 && m.Last == s.Number && m.Spec.Spec.Plan.KeepHoldback && s.Holding()
}

// Release is a release's state and the revision under which it is stored.
type Release struct {
	State    rollout.State
	Revision store.Revision
}

// Who is a person (or token) and what they may do.
type Who struct {
	ID      string   `json:"id,omitempty"` // of the token; "" for whom an identity provider named
	Name    string   `json:"name"`
	Role    string   `json:"role"`
	Groups  []string `json:"groups,omitempty"`
	Address string   `json:"address,omitempty"`
}

// PutModel stores a Model file: the next release starts from it. The file must be normalised and valid.
// Storing the same file again changes nothing. The live version of an existing model is not moved by
// the file; a difference is told by Model.Live. Errors: KindInvalid for a key collision with another
// model or when the running release's versions vanish.
func (r *Records) PutModel(ctx context.Context, m *release.Model, who Who, now time.Time) (Model, bool, error) {
	return r.ApplyModel(ctx, m, Change{Who: who, Now: now})
}

// ApplyModel is PutModel with a reason and, if it is asked for, only if nothing has changed since it was looked at.
func (r *Records) ApplyModel(ctx context.Context, m *release.Model, c Change) (Model, bool, error) {
	_, hash := m.Canonical()
	for {
		old, rev, err := r.loadModel(ctx, m.Metadata.Name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return Model{}, false, err
		}
		if err := c.check("apply "+m.Metadata.Name, rev); err != nil {
			return Model{}, false, err
		}
		if rev != 0 && old.Hash == hash {
			return old.public(rev), false, nil
		}
		next := old
		if rev == 0 {
			if err := r.refuseCollision(ctx, m.Metadata.Name); err != nil {
				return Model{}, false, err
			}
			next = modelRecord{V: layout, Created: c.Now, Live: m.Spec.Live}
		}
		if _, ok := m.Spec.Versions[next.Live]; !ok {
			return Model{}, false, &release.Error{
				Kind: release.KindInvalid, Op: "apply " + m.Metadata.Name,
				Msg:    fmt.Sprintf("version %q is live now and not in the file", next.Live),
				Remedy: "keep it under spec.versions until another version is live",
			}
		}
		next.Spec, next.Hash, next.Applied, next.By = *m, hash, c.Now, c.Who.Name
		next.Generation++
		stored, err := r.commitModel(ctx, next, rev, c)
		if errors.Is(err, store.ErrConflict) {
			continue
		}
		return stored, err == nil, err
	}
}

func (r *Records) commitModel(ctx context.Context, next modelRecord, rev store.Revision, c Change) (Model, error) {
	name := next.Spec.Metadata.Name
	value, err := encode(next)
	if err != nil {
		return Model{}, err
	}
	file, err := encode(fileRecord{V: layout, Time: c.Now, By: c.Who.Name, Hash: next.Hash, Spec: next.Spec})
	if err != nil {
		return Model{}, err
	}
	fileRev, err := r.latest(ctx, fileKey(name))
	if err != nil {
		return Model{}, err
	}
	act, err := r.act(ctx, c, "apply", name, "file "+next.Hash[:12])
	if err != nil {
		return Model{}, err
	}
	revs, err := r.store.Commit(ctx, store.Batch{Writes: []store.Write{
		{Key: modelKey(name), Value: value, Expect: rev},
		{Key: fileKey(name), Value: file, Expect: fileRev, Append: true},
		act,
	}})
	if err != nil {
		return Model{}, translate("apply "+name, err)
	}
	return next.public(revs[0]), nil
}

// refuseCollision makes the compact model key unambiguous: it travels in events instead of the name.
func (r *Records) refuseCollision(ctx context.Context, name string) error {
	models, err := r.Models(ctx)
	if err != nil {
		return err
	}
	for _, m := range models {
		other := m.Spec.Metadata.Name
		if other != name && release.ModelKeyOf(other) == release.ModelKeyOf(name) {
			return &release.Error{
				Kind: release.KindInvalid, Op: "apply " + name,
				Msg:    fmt.Sprintf("the name's 32-bit key is the same as that of model %q", other),
				Remedy: "choose another metadata.name",
			}
		}
	}
	return nil
}

// Model returns one model, KindNotFound if there is none of that name.
func (r *Records) Model(ctx context.Context, name string) (Model, error) {
	rec, rev, err := r.loadModel(ctx, name)
	if err != nil {
		return Model{}, err
	}
	return rec.public(rev), nil
}

// Models returns all models, sorted by name.
func (r *Records) Models(ctx context.Context) ([]Model, error) {
	entries, err := r.store.List(ctx, "model/")
	if err != nil {
		return nil, translate("list models", err)
	}
	models := make([]Model, 0, len(entries))
	for _, e := range entries {
		var rec modelRecord
		if err := decode(e, &rec); err != nil {
			return nil, err
		}
		models = append(models, rec.public(e.Revision))
	}
	return models, nil
}

// Release returns release n of a model: the leader's working view of it where this process has one
// of the same revision, else what is stored. n = 0 asks for the latest.
func (r *Records) Release(ctx context.Context, name string, n uint32) (Release, error) {
	if n == 0 {
		m, _, err := r.loadModel(ctx, name)
		if err != nil {
			return Release{}, err
		}
		if m.Last == 0 {
			return Release{}, &release.Error{
				Kind: release.KindNotFound, Op: "find release", Msg: fmt.Sprintf("model %q has had no release yet", name),
				Remedy: fmt.Sprintf("start one: sluice release %s --to VERSION", name),
			}
		}
		n = m.Last
	}
	rel, err := r.loadState(ctx, name, n)
	if err != nil {
		return Release{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if w, ok := r.working[stateKey(name, n)]; ok && w.Revision == rel.Revision {
		return w, nil
	}
	return rel, nil
}

// Releases returns all releases of a model, oldest first.
func (r *Records) Releases(ctx context.Context, name string) ([]Release, error) {
	entries, err := r.store.List(ctx, "state/"+name+"/")
	if err != nil {
		return nil, translate("list releases of "+name, err)
	}
	releases := make([]Release, 0, len(entries))
	for _, e := range entries {
		var rec stateRecord
		if err := decode(e, &rec); err != nil {
			return nil, err
		}
		releases = append(releases, Release{State: rec.State, Revision: e.Revision})
	}
	return releases, nil
}

// SetWorking publishes the leader's view of a running release within this process: the step's clock
// and the latest assessment move every second and are not worth a write each.
func (r *Records) SetWorking(rel Release) {
	key := stateKey(rel.State.Model, rel.State.Number)
	r.mu.Lock()
	defer r.mu.Unlock()
	if rel.State.Phase.Ended() {
		delete(r.working, key)
		return
	}
	r.working[key] = rel
}

func (r *Records) loadModel(ctx context.Context, name string) (modelRecord, store.Revision, error) {
	var rec modelRecord
	e, err := r.store.Get(ctx, modelKey(name))
	if errors.Is(err, store.ErrNotFound) {
		return rec, 0, &release.Error{
			Kind: release.KindNotFound, Op: "find model", Msg: fmt.Sprintf("there is no model %q", name),
			Remedy: "sluice list shows the models; sluice apply -f FILE adds one", Cause: err,
		}
	}
	if err != nil {
		return rec, 0, translate("find model "+name, err)
	}
	return rec, e.Revision, decode(e, &rec)
}

func (r *Records) loadState(ctx context.Context, name string, n uint32) (Release, error) {
	e, err := r.store.Get(ctx, stateKey(name, n))
	if errors.Is(err, store.ErrNotFound) {
		return Release{}, &release.Error{
			Kind: release.KindNotFound, Op: "find release", Msg: fmt.Sprintf("model %q has no release %d", name, n),
			Remedy: "sluice get " + name + " shows its releases", Cause: err,
		}
	}
	if err != nil {
		return Release{}, translate(fmt.Sprintf("find release %s/%d", name, n), err)
	}
	var rec stateRecord
	if err := decode(e, &rec); err != nil {
		return Release{}, err
	}
	rel := Release{State: rec.State, Revision: e.Revision}
	return rel, r.overlayClock(ctx, &rel.State)
}

// latest returns the revision of a key's latest value; 0 if it has none.
func (r *Records) latest(ctx context.Context, key string) (store.Revision, error) {
	e, err := r.store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, translate("read "+key, err)
	}
	return e.Revision, nil
}

func (m modelRecord) public(rev store.Revision) Model {
	return Model{
		Spec: m.Spec, Hash: m.Hash, Applied: m.Applied, By: m.By, Created: m.Created, Live: m.Live,
		Last: m.Last, Running: m.Running, Success: m.Success, Revision: rev,
	}
}

// translate turns a store's error into the vocabulary's, once and only here. ErrConflict and
// ErrFenced stay visible through the chain: Apply branches on them.
func translate(op string, err error) error {
	var already *release.Error
	if err == nil || errors.As(err, &already) || errors.Is(err, context.Canceled) {
		return err
	}
	kind, remedy := release.KindInternal, ""
	switch {
	case errors.Is(err, store.ErrNotFound):
		kind = release.KindNotFound
	case errors.Is(err, store.ErrConflict):
		kind, remedy = release.KindConflict, "somebody else changed it at the same moment: try again"
	case errors.Is(err, store.ErrFull):
		kind, remedy = release.KindUnavailable, "free some disk space, then try again"
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrUnknown), errors.Is(err, store.ErrFenced),
		errors.Is(err, context.DeadlineExceeded):
		kind, remedy = release.KindUnavailable, "try again in a few seconds"
	}
	return &release.Error{Kind: kind, Op: op, Msg: "the store did not answer as it should", Remedy: remedy, Cause: err}
}

// Counted returns the frozen model and the number of arms of a running release, by the compact key
// under which events name it. ok is false for a release that is not known or has ended, but for one that keeps its hold-back.
func (r *Records) Counted(ctx context.Context, key release.ModelKey, number uint32) (m *release.Model, arms int, ok bool, err error) {
	entries, err := r.store.List(ctx, "model/")
	if err != nil {
		return nil, 0, false, translate("list models", err)
	}
	for _, e := range entries {
		name := strings.TrimPrefix(e.Key, "model/")
		if release.ModelKeyOf(name) != key {
			continue
		}
		rel, err := r.loadState(ctx, name, number)
		if release.KindOf(err) == release.KindNotFound && err != nil {
			return nil, 0, false, nil //nolint:nilerr // a release that is not known is an answer
		}
		if err != nil {
			return nil, 0, false, err
		}
		var m modelRecord
		if err := decode(e, &m); err != nil {
			return nil, 0, false, err
		}
		return &rel.State.Spec, 2, !rel.State.Phase.Ended() || m.public(0).Holds(&rel.State), nil
	}
	return nil, 0, false, nil
}
