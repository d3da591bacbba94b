package app

import (
	"context"
	"sync"
	"time"

	"sluice.dev/sluice/internal/controller"
	"sluice.dev/sluice/internal/gateway"
	"sluice.dev/sluice/internal/ingest"
	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/store"
)

// evidence joins the controller to what ingest has counted.
type evidence struct {
	folder    *ingest.Folder
	publisher *ingest.Publisher
	store     store.Store
	rates     sync.Map // by model, requests per second at the latest look
}

// View implements controller.Evidence.
func (e *evidence) View(model string, number uint32) (controller.Evident, error) {
	v := e.folder.View(model, number, time.Now())
	e.rates.Store(model, v.Rate)
	return controller.Evident{
		View: v.View, Hash: v.Hash, Arriving: v.Arriving, Gap: v.Gap, Rate: v.Rate, UnitRate: v.UnitRate,
	}, nil
}

// Mark implements controller.Evidence.
func (e *evidence) Mark(ctx context.Context, m release.Mark) error { return e.publisher.Mark(ctx, m) }

// Ended keeps the final tallies of a release, one blob per partition, and forgets them unless its hold-back stays. A
// partition that was kept before is not written again.
func (e *evidence) Ended(ctx context.Context, model string, number uint32, holding bool) error {
	final, err := e.folder.Final(ctx, model, number)
	if err != nil {
		return err
	}
	for p, data := range final {
		_, err := e.store.PutBlob(ctx, finalBlob(model, number, p), data, 0)
		if err != nil && !records.IsConflict(err) {
			return release.Unavailable("keep the final tally", err, "partition %d of release %s/%d", p, model, number)
		}
	}
	if holding {
		return nil
	}
	e.folder.Forget(model, number)
	e.rates.Delete(model)
	return nil
}

// sink joins the gateway's exposures and feedback to the publisher.
type sink struct{ *ingest.Publisher }

// Accept implements gateway.FeedbackSink.
func (s sink) Accept(ctx context.Context, items []gateway.FeedbackItem) error {
	out := make([]ingest.Feedback, len(items))
	for i, it := range items {
		out[i] = ingest.Feedback{Feedback: it.Feedback, Name: it.Name, Text: it.Text}
	}
	return s.Publisher.Accept(ctx, out)
}

func (s sink) state() gateway.SinkState {
	st := s.State()
	return gateway.SinkState{Queued: st.Queued, Capacity: st.Capacity, Dropped: st.Dropped}
}

// gateways says what the gateways serve. In one process there is one: this one.
type gateways struct{ keeper *records.Keeper }

// Served implements controller.Gateways.
func (g gateways) Served(model string) uint64 {
	route := g.keeper.Routes().Model(model)
	if route == nil {
		return 0
	}
	return route.Generation
}
