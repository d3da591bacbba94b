package natsstore

import (
	"context"
	"errors"
	"time"
)

// patience is for how long a question is waited for before it is put again. A cluster answers within milliseconds; a server that
// stops, or ceases to lead, in the wrong moment never does.
const patience = 5 * time.Second

// ask puts a question until it is answered or ctx ends. Only what changes nothing, or is the same when it is done twice, may be
// asked like this.
func ask[T any](ctx context.Context, question func(ctx context.Context) (T, error)) (T, error) {
	for {
		once, stop := context.WithTimeout(ctx, patience)
		answer, err := question(once)
		unanswered := once.Err() != nil && errors.Is(err, context.DeadlineExceeded)
		stop()
		if !unanswered || ctx.Err() != nil {
			return answer, err
		}
	}
}
