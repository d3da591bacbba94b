package sim

import (
	"context"
	"fmt"
	"time"

	"sluice.dev/sluice/internal/store"
)

// process is a part that can die at any moment. The world's goroutine alone starts and ends it.
type process struct {
	name   string
	number int // makes its instants its own
	run    func(ctx context.Context, s *store.Memory) error

	session *store.Memory // nil while it is down
	cancel  context.CancelFunc
	done    chan error
	starts  int
	back    time.Time // when it comes back
}

// offset keeps the instants of processes apart: their periods are whole tenths of a second, so that two of them, or
// one and the traffic, never act at once.
func (p *process) offset() time.Duration {
	return time.Duration(p.number+1)*1009*time.Microsecond + time.Duration(p.starts%97)*time.Microsecond
}

func (p *process) start(w *world) {
	p.starts++
	p.session = w.clean.Session(w.faults(fmt.Sprintf("%s/%d", p.name, p.starts)))
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.done = cancel, make(chan error, 1)
	session, offset := p.session, p.offset()
	go func() {
		time.Sleep(offset)
		p.done <- p.run(ctx, session)
	}()
}

// stop ends the process: killed, so that not one write more of it succeeds, or asked to end. A part that ends with
// an error, or had ended by itself, is a fault.
func (p *process) stop(kill bool) error {
	if p.session == nil {
		return nil
	}
	early := error(nil)
	select {
	case err := <-p.done:
		early = fmt.Errorf("%s ended by itself: %w", p.name, err)
	default:
		if kill {
			_ = p.session.Close() // never fails
		}
		p.cancel()
		if err := <-p.done; err != nil && !kill {
			early = fmt.Errorf("%s ended with: %w", p.name, err)
		}
	}
	p.cancel()
	_ = p.session.Close() // never fails
	p.session = nil
	return early
}
