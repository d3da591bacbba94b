package simulate

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// Run simulates the plan and reports its operating characteristics. The report depends on the options alone, not on the number of
// workers. It ends early with ctx's error. Options outside their domain are errors of kind release.KindInvalid. It may be called
// concurrently.
func Run(ctx context.Context, o Options) (*Report, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	outcomes, err := play(ctx, []scene{{&o, newPopulation(&o)}}, o.Runs, o.Workers, o.Progress)
	if err != nil {
		return nil, err
	}
	return newReport(&o, outcomes[0]), nil
}

// scene is one truth that is simulated.
type scene struct {
	o   *Options
	pop *population
}

// play runs each scene that often. Its outcomes are listed by scene and run. Run i of every scene has the same chance, so that scenes differ by
// their truths alone. Cut short by ctx, it returns the rounds that were finished beside ctx's error.
func play(ctx context.Context, scenes []scene, runs, workers int, progress func(int)) ([][]outcome, error) {
	outcomes := make([][]outcome, len(scenes))
	for s := range outcomes {
		outcomes[s] = make([]outcome, runs)
	}
	finished := make([]bool, len(scenes)*runs)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var next, done atomic.Int64
	var wg sync.WaitGroup
	for range min(workers, len(finished)) {
		wg.Go(func() {
			mem := newMemory()
			for {
				task := int(next.Add(1)) - 1
				if task >= len(finished) || ctx.Err() != nil {
					return
				}
				s, i := task%len(scenes), task/len(scenes)
				one, err := simulateOne(ctx, scenes[s], uint64(i), mem)
				switch {
				case err != nil && ctx.Err() != nil:
					return
				case err != nil:
					cancel(fmt.Errorf("run %d of seed %d: %w", i, scenes[s].o.Seed, err))
					return
				}
				outcomes[s][i], finished[task] = one, true
				if n := done.Add(1); progress != nil {
					progress(int(n))
				}
			}
		})
	}
	wg.Wait()
	if ctx.Err() == nil {
		return outcomes, nil
	}
	rounds := 0
	for rounds < runs && all(finished[rounds*len(scenes):(rounds+1)*len(scenes)]) {
		rounds++
	}
	for s := range outcomes {
		outcomes[s] = outcomes[s][:rounds]
	}
	if rounds == runs {
		return outcomes, nil
	}
	return outcomes, context.Cause(ctx)
}

func all(done []bool) bool {
	for _, d := range done {
		if !d {
			return false
		}
	}
	return true
}

// cut says whether a deadline ended play after some rounds: what there is can be reported.
func cut(outcomes [][]outcome, err error) bool {
	return errors.Is(err, context.DeadlineExceeded) && len(outcomes[0]) > 0
}

// simulateOne is run i of a scene: the same whoever does it.
func simulateOne(ctx context.Context, s scene, i uint64, mem *memory) (outcome, error) {
	c := newChance(s.o.Seed, i+1)
	r := run{o: s.o}
	if s.o.Exact {
		src, err := newExact(s.o, s.pop, c)
		if err != nil {
			return outcome{}, err
		}
		r.src = src
	} else {
		r.src = newSampled(s.o, s.pop, c, mem)
	}
	return r.do(ctx)
}
