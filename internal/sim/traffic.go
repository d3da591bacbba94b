package sim

import (
	"context"
	"fmt"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/ingest"
	"sluice.dev/sluice/internal/release"
)

// Truth is how a version really behaves.
type Truth struct {
	Errors float64 // share of requests that fail
	Liked  float64 // share of told outcomes that are good
}

// told is the share of exposures of which the application tells the outcome, and latest how late at most.
const (
	told    = 0.3
	latest  = 20 * time.Second
	perSec  = 30   // requests
	users   = 4000 // of which some return far more often than others
	latency = 80_000
)

// due is a feedback that the application will tell.
type due struct {
	at   time.Time
	item ingest.Feedback
}

// serve lets the users of one second make their requests.
func (w *world) serve() error {
	now := time.Now()
	for range perSec {
		x := w.rng.Float64()
		unit := fmt.Appendf(nil, "user-%d", int(x*x*users))
		g := w.gateways[w.rng.IntN(len(w.gateways))].Load()
		if g == nil {
			continue // nobody listens: the client meets a closed port
		}
		route := g.keeper.Routes().Model(modelName)
		if route == nil {
			continue
		}
		if err := w.request(g, route, unit, now); err != nil {
			return err
		}
	}
	return nil
}

// request serves one request as the gateway does and records it.
func (w *world) request(g *gatewayPart, route *assign.Route, unit []byte, now time.Time) error {
	a := route.Assign(unit)
	w.nonce++
	e := release.Exposure{
		ID: w.nonce, Unit: w.keys.UnitHash(unit), Time: now.UnixMilli(), Model: route.Key, Release: route.Release,
		Stratum: route.Stratum, Epoch: route.Epoch, Kind: route.Kind, Bin: a.Bin, Arm: a.Counted, Status: 200,
		Latency: uint32(latency * (0.5 + w.rng.Float64())),
	}
	arm := a.Arm
	if lease := w.leaseOf(g); arm != 0 && now.After(lease) {
		arm, e.Flags = 0, e.Flags|release.FlagLease
	}
	version := route.Arms[arm].Version
	w.answer(&e, version)
	if a.Mirrored && len(route.Arms) > 1 {
		e.Flags |= release.FlagMirrored
		c := e
		c.Arm, c.Kind, c.Fault, c.Status = 1, release.ExposureCopy, release.FaultNone, 200
		w.answer(&c, route.Arms[1].Version)
		defer g.publisher.Record(&c)
	}
	g.publisher.Record(&e)
	w.tellLater(&e, version, now)
	return w.served(route, version, arm, now)
}

func (w *world) leaseOf(g *gatewayPart) time.Time {
	return g.keeper.Renewed().Add(g.keeper.Routes().Lease)
}

func (w *world) answer(e *release.Exposure, version string) {
	if w.rng.Float64() < w.o.Truth[version].Errors {
		e.Status, e.Fault = 503, release.FaultUpstream
	}
}

func (w *world) tellLater(e *release.Exposure, version string, now time.Time) {
	draw, late, liked := w.rng.Float64(), w.rng.Float64(), w.rng.Float64()
	if draw >= told || e.Release == 0 {
		return
	}
	f := release.Feedback{
		Exposure: e.ID, Unit: e.Unit, Exposed: e.Time, Model: e.Model, Release: e.Release, Stratum: e.Stratum,
		Bin: e.Bin, Epoch: e.Epoch, Arm: e.Arm, Kind: e.Kind, Value: release.Value{Kind: release.ValueNumber},
	}
	if liked < w.o.Truth[version].Liked {
		f.Value.Num = 1
	}
	w.dues = append(w.dues, due{now.Add(time.Duration(late * float64(latest))), ingest.Feedback{Feedback: f, Name: "liked"}})
}

// tell sends the feedback that is due. What is refused is sent again later, as the application should.
func (w *world) tell() {
	now := time.Now()
	var items []due
	left := w.dues[:0]
	for _, d := range w.dues {
		if d.at.After(now) {
			left = append(left, d)
			continue
		}
		d.item.Feedback.Time = now.UnixMilli()
		items = append(items, d)
	}
	w.dues = left
	g := w.gateways[w.rng.IntN(len(w.gateways))].Load()
	if len(items) == 0 {
		return
	}
	if g == nil {
		w.dues = append(w.dues, items...)
		return
	}
	batch := make([]ingest.Feedback, len(items))
	for i := range items {
		batch[i] = items[i].item
	}
	w.telling.Go(func() {
		if g.publisher.Accept(context.Background(), batch) != nil {
			w.mu.Lock()
			w.refused = append(w.refused, items...)
			w.mu.Unlock()
		}
	})
}
