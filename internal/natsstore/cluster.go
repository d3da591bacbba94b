package natsstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// OpenCluster opens the store on external servers, nats-server 2.12 or later with JetStream.
//
// It cannot see whether they sync before they answer (jetstream { sync: always }): without, what
// was acknowledged can be lost when all replicas lose power within two minutes.
func OpenCluster(ctx context.Context, o Options) (*Store, error) {
	o.Dir = ""
	o.defaults()
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("cluster store: %w", err)
	}
	if o.URLs == "" {
		return nil, errors.New("cluster store: it needs the URLs of its servers")
	}
	options := []nats.Option{
		nats.Name("sluice"),
		nats.Timeout(o.Timeout),
		nats.ReconnectBufSize(-1), // else publishes queue and are sent at a time not ours
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.PingInterval(5 * time.Second), // a dead connection is noticed within two of them
		nats.MaxPingsOutstanding(2),
	}
	if o.Creds != "" {
		options = append(options, nats.UserCredentials(o.Creds))
	}
	if o.CA != "" {
		options = append(options, nats.RootCAs(o.CA))
	}
	nc, err := nats.Connect(o.URLs, options...)
	if err != nil {
		return nil, fmt.Errorf("cluster store at %s: %w", o.URLs, err)
	}
	s, err := open(ctx, o, o.Replicas, nc, func() error { return nil })
	if err != nil {
		return nil, fmt.Errorf("cluster store at %s: %w", o.URLs, err)
	}
	return s, nil
}
