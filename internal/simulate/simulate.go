package simulate

import (
	"context"
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
	if o.Exact {
		if err := exactly(&o); err != nil {
			return nil, err
		}
	}
	pop := newPopulation(&o)
	outcomes := make([]outcome, o.Runs)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var next, done atomic.Int64
	var wg sync.WaitGroup
	for range min(workers, o.Runs) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= o.Runs {
					return
				}
				one, err := simulateOne(&o, pop, uint64(i))
				if err != nil {
					cancel(fmt.Errorf("run %d of seed %d: %w", i, o.Seed, err))
					return
				}
				outcomes[i] = one
				if n := done.Add(1); o.Progress != nil {
					o.Progress(int(n))
				}
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return newReport(&o, outcomes), nil
}

// simulateOne is run i of the seed: the same whoever does it.
func simulateOne(o *Options, pop *population, i uint64) (outcome, error) {
	c := newChance(o.Seed, i+1)
	r := run{o: o}
	if o.Exact {
		src, err := newExact(o, pop, c)
		if err != nil {
			return outcome{}, err
		}
		r.src = src
	} else {
		r.src = newSampled(o, pop, c)
	}
	return r.do()
}
