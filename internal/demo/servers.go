package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"sluice.dev/sluice/examples/web"
)

// Service delay of the model servers: it is the same for all versions and dominates the microseconds
// that the trees need, as a network and a feature store would.
const (
	serviceDelay = 4 * time.Millisecond
	serviceSigma = 0.25
)

// modelServers are the versions' servers.
type modelServers struct {
	urls    map[string]string // by version
	servers []*http.Server
}

// startModels starts one server per version.
func startModels(s *Scenario, seed uint64) (*modelServers, error) {
	m := &modelServers{urls: map[string]string{}}
	for i, version := range s.versions {
		if err := m.start(s, version, seed+uint64(i)); err != nil {
			return nil, errors.Join(err, m.stop(context.Background()))
		}
	}
	return m, nil
}

func (m *modelServers) start(s *Scenario, version string, seed uint64) error {
	handler, err := s.handler(version, seed)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("model server %s: %w", version, err)
	}
	srv := web.HTTPServer(handler)
	go func() { _ = srv.Serve(l) }() // ends by Shutdown, with http.ErrServerClosed
	m.servers = append(m.servers, srv)
	m.urls[version] = "http://" + l.Addr().String()
	return nil
}

func (m *modelServers) stop(ctx context.Context) error {
	var faults []error
	for _, s := range m.servers {
		faults = append(faults, s.Shutdown(ctx))
	}
	return errors.Join(faults...)
}
