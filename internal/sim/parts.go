package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"sluice.dev/sluice/internal/controller"
	"sluice.dev/sluice/internal/ingest"
	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
)

// Periods, as in a real process or longer where only the simulation's speed asks for it.
const (
	tickEvery    = 5 * time.Second // the longest that a tick still counts in full
	publishEvery = 2 * time.Second
	saveEvery    = 20 * time.Second
	suiteTakes   = 7 * time.Second
	drain        = 3 * time.Second
)

func quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError}))
}

// gatewayPart is a running gateway: what it serves from and where its exposures go.
type gatewayPart struct {
	keeper    *records.Keeper
	publisher *ingest.Publisher
}

func (w *world) gateway(i int) func(context.Context, *store.Memory) error {
	return func(ctx context.Context, s *store.Memory) error {
		r := records.New(s)
		g := &gatewayPart{
			keeper: records.NewKeeper(records.KeeperOptions{Records: r, Resolve: noSecrets, Log: quiet(), Now: time.Now}),
			publisher: ingest.NewPublisher(ingest.Options{
				Log: &logPart{s, r}, Producer: fmt.Sprintf("gateway-%d", i), Incarnation: uint64(time.Now().UnixNano()),
				Ring: 256, Every: publishEvery,
			}),
		}
		w.gateways[i].Store(g)
		defer w.gateways[i].Store(nil)
		var both sync.WaitGroup
		both.Go(func() { _ = g.keeper.Run(ctx) }) // ends with ctx only
		err := g.publisher.Run(ctx, drain)
		both.Wait()
		return err
	}
}

func noSecrets(release.Secret) (string, error) { return "", nil }

func (w *world) folderPart(ctx context.Context, s *store.Memory) error {
	f := ingest.NewFolder(&logPart{s, records.New(s)}, quiet(), saveEvery)
	w.folder.Store(f)
	defer w.folder.Store(nil)
	return f.Run(ctx)
}

func (w *world) controllerPart(ctx context.Context, s *store.Memory) error {
	return controller.New(controller.Options{
		Records: records.New(s), Evidence: &evidencePart{w, s}, Gateways: servedPart{w}, Suites: suitePart{}, Notifier: w,
		Log: quiet(), Lease: routesLease, Every: tickEvery,
	}).Run(ctx)
}

// evidencePart joins a controller to the folder and a gateway that run now; they may be away.
type evidencePart struct {
	w       *world
	session *store.Memory
}

var errAway = errors.New("the part is away")

func (e *evidencePart) View(model string, number uint32) (controller.Evident, error) {
	f := e.w.folder.Load()
	if f == nil {
		return controller.Evident{}, release.Unavailable("view", errAway, "no folder")
	}
	v := f.View(model, number, time.Now())
	return controller.Evident{View: v.View, Hash: v.Hash, Arriving: v.Arriving, Gap: v.Gap, Rate: v.Rate, UnitRate: v.UnitRate}, nil
}

func (e *evidencePart) Mark(ctx context.Context, m release.Mark) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for i := range e.w.gateways {
		if g := e.w.gateways[i].Load(); g != nil {
			return g.publisher.Mark(ctx, m)
		}
	}
	return release.Unavailable("mark", errAway, "no gateway")
}

func (e *evidencePart) Ended(ctx context.Context, model string, number uint32, holding bool) error {
	f := e.w.folder.Load()
	if f == nil {
		return release.Unavailable("end", errAway, "no folder")
	}
	final, err := f.Final(ctx, model, number)
	if err != nil {
		return err
	}
	for p, data := range final {
		_, err := e.session.PutBlob(ctx, finalName(model, number, p), data, 0)
		if err != nil && !records.IsConflict(err) {
			return err
		}
	}
	if !holding {
		f.Forget(model, number)
	}
	return nil
}

func finalName(model string, number uint32, p int) string {
	return fmt.Sprintf("final/%s/%09d/%d", model, number, p)
}

// servedPart tells the lowest generation of all gateways that run.
type servedPart struct{ w *world }

func (s servedPart) Served(model string) uint64 {
	lowest, any := uint64(0), false
	for i := range s.w.gateways {
		g := s.w.gateways[i].Load()
		if g == nil {
			continue
		}
		generation := uint64(0)
		if route := g.keeper.Routes().Model(model); route != nil {
			generation = route.Generation
		}
		if !any || generation < lowest {
			lowest, any = generation, true
		}
	}
	return lowest
}

// suitePart is a test environment in which every case passes, after a while.
type suitePart struct{}

func (suitePart) Run(ctx context.Context, _, _ string, _ release.Model, _ string) (rollout.TestOutcome, error) {
	select {
	case <-ctx.Done():
		return rollout.TestOutcome{}, ctx.Err()
	case <-time.After(suiteTakes):
	}
	return rollout.TestOutcome{Passed: true, Required: 3, Summary: "3 of 3 passed", Finished: time.Now()}, nil
}

// logPart joins ingest to a session, as app does.
type logPart struct {
	store   *store.Memory
	records *records.Records
}

func logName(p int) string      { return strconv.Itoa(p) }
func snapshotName(p int) string { return fmt.Sprintf("tally/%d", p) }

func (l *logPart) Append(ctx context.Context, p int, id string, data []byte) error {
	_, err := l.store.Append(ctx, logName(p), id, data)
	return err
}

func (l *logPart) Read(ctx context.Context, p int, after uint64) iter.Seq2[ingest.Entry, error] {
	return func(yield func(ingest.Entry, error) bool) {
		for r, err := range l.store.Read(ctx, logName(p), store.Seq(after), true) {
			if errors.Is(err, store.ErrGap) {
				err = errors.Join(ingest.ErrGap, err)
			}
			if !yield(ingest.Entry{Seq: uint64(r.Seq), Data: r.Data, Time: r.Time}, err) {
				return
			}
		}
	}
}

func (l *logPart) First(ctx context.Context, p int) (uint64, error) {
	first, _, err := l.store.Bounds(ctx, logName(p))
	return uint64(first), err
}

func (l *logPart) Snapshot(ctx context.Context, p int) ([]byte, uint64, error) {
	data, rev, err := l.store.GetBlob(ctx, snapshotName(p))
	if errors.Is(err, store.ErrNotFound) {
		err = errors.Join(ingest.ErrNoSnapshot, err)
	}
	return data, uint64(rev), err
}

func (l *logPart) PutSnapshot(ctx context.Context, p int, data []byte, expect uint64) (uint64, error) {
	rev, err := l.store.PutBlob(ctx, snapshotName(p), data, store.Revision(expect))
	if errors.Is(err, store.ErrConflict) {
		err = errors.Join(ingest.ErrConflict, err)
	}
	return uint64(rev), err
}

func (l *logPart) Release(ctx context.Context, key release.ModelKey, n uint32) (*release.Model, int, bool, error) {
	return l.records.Counted(ctx, key, n)
}
