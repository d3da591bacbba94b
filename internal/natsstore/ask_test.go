package natsstore

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// A question that is not answered is put again within the caller's time; any other fault is told at once.
func TestAskAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		fault := errors.New("no")
		for _, c := range []struct {
			silent int // questions that nobody answers
			fault  error
			want   error
			after  time.Duration
		}{{0, nil, nil, 0}, {2, nil, nil, 2 * patience}, {1, fault, fault, patience}, {100, nil, context.DeadlineExceeded, time.Minute - 3*patience}} {
			put, begun := 0, time.Now()
			_, err := ask(ctx, func(ctx context.Context) (int, error) {
				if put++; put <= c.silent {
					<-ctx.Done()
					return 0, ctx.Err()
				}
				return 1, c.fault
			})
			if !errors.Is(err, c.want) || time.Since(begun) != c.after {
				t.Errorf("%d silent: %v after %v, want %v after %v", c.silent, err, time.Since(begun), c.want, c.after)
			}
		}
	})
}
