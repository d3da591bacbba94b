package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"sluice.dev/sluice/internal/ingest"
	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
)

const (
	modelName   = "credit"
	routesLease = time.Minute

	folderNumber = 2 // of the folder among the processes
)

// Options of a run.
type Options struct {
	Seed       uint64
	Model      *release.Model   // normalised; its name is "credit"
	Truth      map[string]Truth // by version
	Candidates []string         // released one after the other
	Faults     float64          // share of the store's operations that fail, 0 to 1
	Restarts   float64          // chance per second that some process ends
	Commands   float64          // chance per second that a person does something
	Most       time.Duration    // virtual time for one release; then a person aborts it
	Settle     func()           // waits until every goroutine of the bubble is blocked: synctest.Wait
}

// Result is what became of a run.
type Result struct {
	Releases  []Outcome
	Decisions int
	Recounts  int           // tallies that were compared with the log
	Exposures uint64        // that those tallies held
	Restarts  int           // of processes
	Took      time.Duration // virtual
	Head      string        // of the audit chain: equal for equal runs
}

// Outcome is the end of one release.
type Outcome struct {
	Candidate string
	Phase     rollout.Phase
	Reason    string
	Meddled   bool // a person aborted or promoted
}

// world is one run. Its fields belong to the goroutine that calls Run, but for those of sync and atomic types and
// what mu guards.
type world struct {
	o         Options
	rng       *rand.Rand
	clean     *store.Memory    // a session without faults, for looking
	look      *records.Records // on clean
	hand      *records.Records // a person's: faults, too
	published *records.Keeper  // on clean: what is published
	keys      *release.Keyring
	calm      atomic.Bool // no faults now

	processes []*process
	gateways  [2]atomic.Pointer[gatewayPart]
	folder    atomic.Pointer[ingest.Folder]
	nonce     uint64
	dues      []due
	telling   sync.WaitGroup

	mu       sync.Mutex
	refused  []due
	notified map[string]uint64 // by effect key, the decision

	checks checks
	result Result
}

// Run simulates the releases of o.Candidates. Its error names what happened that never may. It must run inside a
// bubble of testing/synctest.
func Run(ctx context.Context, o Options) (Result, error) {
	w, err := newWorld(ctx, o)
	if err != nil {
		return Result{}, err
	}
	watching, stop := context.WithCancel(ctx)
	w.telling.Go(func() { _ = w.published.Run(watching) }) // ends with its context only
	for _, p := range w.processes {
		p.start(w)
	}
	begin := time.Now()
	for _, candidate := range o.Candidates {
		if err = w.release(ctx, candidate); err != nil {
			break
		}
	}
	for _, p := range w.processes {
		err = errors.Join(err, p.stop(false))
	}
	stop()
	w.telling.Wait()
	w.result.Took = time.Since(begin)
	return w.result, err
}

func newWorld(ctx context.Context, o Options) (*world, error) {
	random := make([]byte, release.NewKeyringLen)
	for i := range random {
		random[i] = byte(i * 7)
	}
	keys, err := release.NewKeyring(random)
	if err != nil {
		return nil, err
	}
	w := &world{
		o: o, rng: rand.New(rand.NewPCG(o.Seed, 0x51)), clean: store.NewMemory(), keys: keys, notified: map[string]uint64{},
	}
	w.look = records.New(w.clean)
	w.hand = records.New(w.clean.Session(w.faults("person")))
	w.published = records.NewKeeper(records.KeeperOptions{Records: w.look, Resolve: noSecrets, Log: quiet(), Now: time.Now})
	w.checks.init()
	if _, _, err := w.look.PutModel(ctx, o.Model, person, time.Now()); err != nil {
		return nil, err
	}
	for _, p := range []*process{
		{name: "gateway-0", run: w.gateway(0)},
		{name: "gateway-1", run: w.gateway(1)},
		{name: "folder", run: w.folderPart},
		{name: "controller-0", run: w.controllerPart},
		{name: "controller-1", run: w.controllerPart},
	} {
		p.number = len(w.processes)
		w.processes = append(w.processes, p)
	}
	return w, nil
}

// faults returns an injector that is silent while the world is calm.
func (w *world) faults(name string) store.Injector {
	inject := chaos(w.o.Seed, name, w.o.Faults)
	return func(op store.Op) store.Fault {
		if w.calm.Load() {
			return store.None
		}
		return inject(op)
	}
}

var person = records.Who{Name: "ada", Role: records.Operator, Groups: []string{"release-managers"}}

// release runs one release to its end, and then looks whether all that must follow does.
func (w *world) release(ctx context.Context, candidate string) error {
	number, err := w.begin(ctx, candidate)
	if err != nil {
		return err
	}
	out := Outcome{Candidate: candidate}
	began := time.Now()
	for {
		if err := w.second(ctx); err != nil {
			return err
		}
		s := w.checks.release(number)
		if s.Phase.Ended() {
			break
		}
		if w.meddle(ctx, s, time.Since(began) > w.o.Most) {
			out.Meddled = true
		}
	}
	if err := w.epilogue(ctx, number); err != nil {
		return err
	}
	s := w.checks.release(number)
	out.Phase, out.Reason = s.Phase, s.Reason
	w.result.Releases = append(w.result.Releases, out)
	return nil
}

// begin starts a release as a person does: again, until it is there.
func (w *world) begin(ctx context.Context, candidate string) (uint32, error) {
	for range 100 {
		_, _, _ = w.hand.Start(ctx, records.StartParams{ // what counts is what is stored
			Model: modelName, Candidate: candidate, Reason: "try it", Who: person, Now: time.Now(),
			Salt: fmt.Sprintf("salt-%d-%d", w.o.Seed, w.rng.Uint64()),
		})
		m, err := w.look.Model(ctx, modelName)
		if err != nil {
			return 0, err
		}
		if m.Running != 0 {
			return m.Running, nil
		}
		if err := w.second(ctx); err != nil {
			return 0, err
		}
	}
	return 0, errors.New("a release can't be started in 100 seconds")
}

// second lets one second pass.
func (w *world) second(ctx context.Context) error {
	time.Sleep(250 * time.Millisecond)
	if err := w.serve(); err != nil {
		return err
	}
	time.Sleep(250 * time.Millisecond)
	w.tell()
	if w.rng.Float64() < 0.2 {
		w.clean.Land()
	}
	time.Sleep(500 * time.Millisecond)
	w.o.Settle()
	w.mu.Lock()
	w.dues, w.refused = append(w.dues, w.refused...), nil
	w.mu.Unlock()
	if err := w.restart(); err != nil {
		return err
	}
	return w.check(ctx)
}

// restart ends a process now and then, and brings back those whose time has come.
func (w *world) restart() error {
	draw, which, kill, away := w.rng.Float64(), w.rng.IntN(len(w.processes)), w.rng.IntN(2) == 0, w.rng.IntN(15)
	now := time.Now()
	if p := w.processes[which]; draw < w.o.Restarts && p.session != nil && !w.calm.Load() {
		if err := p.stop(kill); err != nil {
			return err
		}
		p.back = now.Add(time.Duration(away) * time.Second)
		w.result.Restarts++
	}
	for _, p := range w.processes {
		if p.session == nil && !now.Before(p.back) {
			p.start(w)
		}
	}
	return nil
}

// meddle lets a person do something now and then; it says whether it moved the release by itself. The answer may be
// lost, and the wish refused: what counts is what is stored.
func (w *world) meddle(ctx context.Context, s rollout.State, late bool) bool {
	draw, which := w.rng.Float64(), w.rng.IntN(10)
	var kind rollout.CommandKind
	switch {
	case late:
		kind = rollout.CmdAbort
	case s.Phase == rollout.Paused && draw < 0.05:
		kind = rollout.CmdResume
	case draw >= w.o.Commands:
		return false
	case which == 0:
		kind = rollout.CmdAbort
	case which < 5:
		kind = rollout.CmdPause
	default:
		kind = rollout.CmdResume
	}
	cmd := rollout.Command{Kind: kind, By: person.Name, Role: person.Role, Roles: person.Groups, Reason: "because"}
	_, _, err := w.hand.Apply(ctx, modelName, s.Number, rollout.Input{Now: time.Now(), Command: &cmd}, nil)
	return kind == rollout.CmdAbort && (err == nil || release.KindOf(err) != release.KindConflict)
}

// Notify implements controller.Notifier.
func (w *world) Notify(_ context.Context, key string, d rollout.Decision) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n, ok := w.notified[key]; ok && n != d.Number {
		return fmt.Errorf("key %s was about decision %d and is now about %d", key, n, d.Number)
	}
	w.notified[key] = d.Number
	return nil
}
