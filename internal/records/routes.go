package records

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/store"
)

// Publish brings the published routing up to date with the models and their running releases. Routing
// is a projection of what is stored, so publishing again is harmless and a lost publication is
// repaired by the next. It returns the generation that is published now.
func (r *Records) Publish(ctx context.Context, lease time.Duration) (uint64, error) {
	for {
		gen, err := r.publish(ctx, lease)
		if !isConflict(err) {
			return gen, err
		}
	}
}

func (r *Records) publish(ctx context.Context, lease time.Duration) (uint64, error) {
	spec, err := r.project(ctx)
	if err != nil {
		return 0, err
	}
	spec.Lease = lease.Milliseconds()
	old, rev, err := r.routes(ctx)
	if err != nil {
		return 0, err
	}
	spec.Generation = old.Generation
	if rev != 0 && sameRoutes(old, spec) {
		return old.Generation, nil
	}
	spec.Generation++
	data, err := assign.Encode(&spec)
	if err != nil {
		return 0, err
	}
	value, err := encode(bundleRecord{V: layout, Spec: data})
	if err != nil {
		return 0, err
	}
	_, err = r.store.Commit(ctx, store.Batch{Writes: []store.Write{{Key: routesKey, Value: value, Expect: rev}}})
	return spec.Generation, translate("publish routes", err)
}

// routes returns what is published now; revision 0 when nothing is.
func (r *Records) routes(ctx context.Context) (assign.Spec, store.Revision, error) {
	e, err := r.store.Get(ctx, routesKey)
	if errors.Is(err, store.ErrNotFound) {
		return assign.Spec{}, 0, nil
	}
	if err != nil {
		return assign.Spec{}, 0, translate("read routes", err)
	}
	spec, err := decodeRoutes(e)
	return spec, e.Revision, err
}

func decodeRoutes(e store.Entry) (assign.Spec, error) {
	var rec bundleRecord
	if err := decode(e, &rec); err != nil {
		return assign.Spec{}, err
	}
	spec, err := assign.Decode(rec.Spec)
	if err != nil {
		return assign.Spec{}, &release.Error{Kind: release.KindInternal, Op: "read routes", Msg: "the published routes are damaged", Cause: err}
	}
	return *spec, nil
}

// project computes the routing of all models from what is stored.
func (r *Records) project(ctx context.Context) (assign.Spec, error) {
	entries, err := r.store.List(ctx, "model/")
	if err != nil {
		return assign.Spec{}, translate("list models", err)
	}
	var spec assign.Spec
	for _, e := range entries {
		var m modelRecord
		if err := decode(e, &m); err != nil {
			return assign.Spec{}, err
		}
		route, err := r.projectModel(ctx, m)
		if err != nil {
			return assign.Spec{}, err
		}
		spec.Models = append(spec.Models, route)
	}
	return spec, nil
}

// projectModel returns a model's route: its running release's, or all units to the live version.
func (r *Records) projectModel(ctx context.Context, m modelRecord) (assign.RouteSpec, error) {
	n := m.Running
	if n == 0 && m.Last != 0 && m.Spec.Spec.Plan.KeepHoldback {
		n = m.Last // its hold-back stays until another release starts
	}
	route := outsideRoute(m)
	if n != 0 {
		rel, err := r.loadState(ctx, m.Spec.Metadata.Name, n)
		if err != nil {
			return assign.RouteSpec{}, err
		}
		if m.Running != 0 || m.public(0).Holds(&rel.State) {
			route = rel.State.Routing()
		}
	}
	route.Capture = m.Spec.Spec.Capture
	return route, nil
}

// outsideRoute serves everybody by the live version while no release runs.
func outsideRoute(m modelRecord) assign.RouteSpec {
	s := m.Spec.Spec
	return assign.RouteSpec{
		Model: m.Spec.Metadata.Name, Match: s.Match, Dialect: s.Dialect, Unit: s.Unit,
		Signals: m.Spec.Signals(), Limits: s.Limits, Horizon: s.Feedback.Horizon,
		Generation: m.Generation, Kind: release.ExposureOutside, Release: 0,
		Arms:  []assign.ArmSpec{{Version: m.Live, Spec: s.Versions[m.Live]}},
		Serve: assign.Initial(),
	}
}

// sameRoutes compares two specs but for their generation.
func sameRoutes(a, b assign.Spec) bool {
	a.Generation, b.Generation = 0, 0
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}

// Published returns the generation of the routing that is published now; 0: none is.
func (r *Records) Published(ctx context.Context) (uint64, error) {
	spec, _, err := r.routes(ctx)
	return spec.Generation, err
}
