package app

import (
	"context"
	"time"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/release"
)

// keepLooksEvery is how often the history of looks is written: two small writes per running release.
const keepLooksEvery = 10 * time.Second

// keepLooks stores what the looks at running releases said, until ctx ends and once more then.
func (a *App) keepLooks(ctx context.Context) error {
	ticker := time.NewTicker(keepLooksEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			if err := a.records.KeepLooks(last); err != nil {
				a.o.Log.Warn("the latest looks are not kept", "error", err)
			}
			return nil
		case <-ticker.C:
			if err := a.records.KeepLooks(ctx); err != nil && ctx.Err() == nil {
				a.o.Log.Warn("looks wait to be kept", "error", err)
			}
		}
	}
}

// status fills in what the process knows of itself.
func (a *App) status(ctx context.Context, out *api.Status) {
	spec := a.o.Config.Spec
	out.Namespace, out.ProcessRole, out.Started = spec.Namespace, string(spec.Role), a.started
	out.Store.Kind, out.Store.Address = "cluster", spec.Store.Address // a config with credentials in it is refused
	if spec.Store.Address == release.StoreEmbedded {
		out.Store.Kind, out.Store.Address = "embedded", ""
	}
	if u, ok := a.store.(interface {
		Usage(context.Context) (used, free uint64, err error)
	}); ok {
		var err error
		if out.Store.Bytes, out.Store.Free, err = u.Usage(ctx); err != nil {
			out.Store.Fault = err.Error()
		}
	}
	out.Leader.Leading = a.controller.Leading()
	a.partitions(ctx, out)
	a.gatewayStatus(ctx, out)
	st := a.publisher.State()
	out.Telemetry = api.TelemetryStatus{Queued: st.Queued, Capacity: st.Capacity, Dropped: st.Dropped, Spooled: uint64(max(st.Spooled, 0))}
}

// partitions says how far the counting is behind what is stored.
func (a *App) partitions(ctx context.Context, out *api.Status) {
	folded := a.folder.Positions()
	for p, at := range folded {
		part := api.PartitionStatus{Partition: p, Folded: at}
		_, last, err := a.store.Bounds(ctx, logName(p))
		if err != nil {
			out.Store.Healthy, out.Store.Fault = false, err.Error()
		}
		part.Last = uint64(last)
		if part.Last > at {
			out.Store.Lag += part.Last - at
		}
		out.Store.Partitions = append(out.Store.Partitions, part)
	}
}

func (a *App) gatewayStatus(ctx context.Context, out *api.Status) {
	g := api.GatewayStatus{Name: "gateway-1", Generation: a.keeper.Routes().Generation, Seen: a.keeper.Renewed()}
	g.Alive = time.Since(g.Seen) < gatewayPatience
	var err error
	if g.Published, err = a.records.Published(ctx); err != nil {
		out.Store.Healthy, out.Store.Fault = false, err.Error()
	}
	out.Gateways = append(out.Gateways, g)
}

// gatewayPatience is after how long without a renewal, which comes every two seconds, a gateway is taken for dead.
const gatewayPatience = 6 * time.Second

// traffic is the rate that the controller saw at its latest look.
func (e *evidence) traffic(model string) (float64, bool) {
	rate, ok := e.rates.Load(model)
	if !ok {
		return 0, false
	}
	return rate.(float64), true //nolint:forcetypeassert // only float64 are stored
}
