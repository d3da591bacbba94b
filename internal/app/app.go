// Package app joins the parts into one process: it opens the store, starts what runs, and stops it in
// the reverse order.
//
//	store <- records <- keeper  -> gateway (port) -> publisher -> store
//	                 <- controller -> judge, rollout
//	                 <- api (port)
//	store -> folder -> controller
//
// Every goroutine that it starts is stopped by Stop, within the time that Stop is given.
package app

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice.dev/sluice/internal/controller"
	"sluice.dev/sluice/internal/front"
	"sluice.dev/sluice/internal/gateway"
	"sluice.dev/sluice/internal/ingest"
	"sluice.dev/sluice/internal/natsstore"
	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
)

// Options of a process.
type Options struct {
	Config  *release.Config // normalised
	Log     *slog.Logger
	Version string
	// NewAdminToken makes an admin token also when there are tokens already: for whoever has lost the first
	// one, or whose process was killed between making and printing it.
	NewAdminToken bool
	// Waits is told of each wait for the embedded store's disk; see natsstore.Options. May be nil.
	Waits func() (done func())
	// Tell is called once at the end of the start, with the ports open and before the process says that it is ready: what it
	// prints is there for a script that waits for /readyz. May be nil.
	Tell func(*App)
}

// App is a running process.
type App struct {
	o        Options
	store    store.Store
	records  *records.Records
	keeper   *records.Keeper
	registry *prometheus.Registry
	gateway  *gateway.Gateway

	publisher              *ingest.Publisher
	folder                 *ingest.Folder
	evidence               *evidence
	controller             *controller.Controller
	started                time.Time
	gatewayPort, adminPort *port
	token                  string
	told                   atomic.Bool // Options.Tell has returned
	failed                 chan error
	stops                  []func(context.Context) error // in the order of the start
	once                   sync.Once
	stopErr                error
}

// Start starts a process. If it fails, what had been started is stopped again.
func Start(ctx context.Context, o Options) (*App, error) {
	if err := checkRole(o.Config); err != nil {
		return nil, err
	}
	a := &App{o: o, started: time.Now().UTC(), failed: make(chan error, 8), registry: prometheus.NewRegistry()}
	if err := a.start(ctx); err != nil {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return nil, errors.Join(err, a.Stop(stop))
	}
	if o.Tell != nil {
		o.Tell(a)
	}
	a.told.Store(true)
	return a, nil
}

// checkRole refuses what this build can't do, instead of doing half of it.
func checkRole(c *release.Config) error {
	if c.Spec.Role != release.RoleAll {
		return release.Invalid("start", "spec.role %q is not built yet", c.Spec.Role).Fix("use role: all; several processes on one cluster are on the way")
	}
	return nil
}

func (a *App) start(ctx context.Context) error {
	spec := a.o.Config.Spec
	if err := os.MkdirAll(spec.DataDir, 0o700); err != nil {
		return release.Invalid("start", "the data folder %s can't be made: %v", spec.DataDir, err).Fix("set spec.dataDir, or --data, to a folder that you may write")
	}
	if err := a.openStore(ctx); err != nil {
		return err
	}
	keys, err := loadKeyring(filepath.Join(spec.DataDir, "keyring.json"))
	if err != nil {
		return err
	}
	a.records = records.New(a.store)
	if err := a.firstToken(ctx); err != nil {
		return err
	}
	lease := time.Duration(spec.Gateway.Lease)
	if _, err := a.records.Publish(ctx, lease); err != nil {
		return err
	}
	a.keeper = records.NewKeeper(records.KeeperOptions{
		Records: a.records, Resolve: resolveSecret, File: filepath.Join(spec.DataDir, "routes.json"), Log: a.o.Log, Now: time.Now,
	})
	a.background("routes", a.keeper.Run)
	a.background("looks", a.keepLooks)
	publisher := a.startPublisher(spec)
	folder := a.startFolder()
	a.publisher, a.folder = publisher, folder
	a.evidence = &evidence{folder: folder, publisher: publisher, store: a.store}
	ctl, err := a.startController(lease)
	if err != nil {
		return err
	}
	if err := a.registerMetrics(append(ctl.Collectors(), publisher, processCollector{a})...); err != nil {
		return err
	}
	if err := a.startGateway(ctx, spec, keys, publisher, ctl); err != nil {
		return err
	}
	return a.startAdmin(spec)
}

func (a *App) openStore(ctx context.Context) error {
	spec := a.o.Config.Spec
	o := natsstore.Options{Namespace: spec.Namespace, Logger: a.o.Log.With("part", "store")}
	var err error
	if spec.Store.Address == release.StoreEmbedded {
		o.Dir, o.Waits = filepath.Join(spec.DataDir, "store"), a.o.Waits
		a.store, err = natsstore.OpenEmbedded(ctx, o)
	} else {
		o.URLs, o.Creds, o.CA, o.Replicas = spec.Store.Address, spec.Store.Credentials, spec.Store.CA, spec.Store.Replicas
		a.store, err = natsstore.OpenCluster(ctx, o)
	}
	switch {
	case errors.Is(err, store.ErrLocked):
		return release.Conflict("open the store", "%v", err).Fix("stop the other process, or give this one a folder of its own (--data)")
	case err != nil:
		return release.Unavailable("open the store", err, "it does not start")
	}
	a.stops = append(a.stops, func(context.Context) error { return a.store.Close() })
	return nil
}

// firstToken makes an admin token if there are no tokens at all, or if one is asked for: whoever may start
// a process on the data folder owns what is in it.
func (a *App) firstToken(ctx context.Context) error {
	tokens, err := a.records.Tokens(ctx)
	if err != nil || len(tokens) > 0 && !a.o.NewAdminToken {
		return err
	}
	_, a.token, err = a.records.CreateToken(ctx, records.Token{Name: "admin", Role: records.Admin, By: "start"}, time.Now())
	return err
}

func (a *App) startPublisher(spec release.ConfigSpec) *ingest.Publisher {
	p := ingest.NewPublisher(ingest.Options{
		Log: &telemetryLog{store: a.store, records: a.records}, Producer: "gateway-1", Incarnation: randomNumber(),
		Logger: a.o.Log, Ring: spec.Telemetry.Ring / release.Partitions,
		SpoolDir: spoolDir(spec), SpoolBytes: int64(spec.Telemetry.SpoolSize),
	})
	a.background("telemetry", func(ctx context.Context) error { return p.Run(ctx, 5*time.Second) })
	return p
}

// spoolDir is where telemetry waits for a store that is away.
func spoolDir(spec release.ConfigSpec) string {
	if spec.Telemetry.SpoolDir != "" {
		return spec.Telemetry.SpoolDir
	}
	return filepath.Join(spec.DataDir, "spool")
}

// snapshotEvery bounds how much of the log is folded again after a crash, long snapshots apart, which wait longer: at 20,000 requests/s
// some 200,000 events, which take tens of milliseconds. Each of the sixteen snapshots is made durable, which costs far more than that when it is done often.
const snapshotEvery = 10 * time.Second

func (a *App) startFolder() *ingest.Folder {
	f := ingest.NewFolder(&telemetryLog{store: a.store, records: a.records}, a.o.Log, snapshotEvery)
	a.background("folder", f.Run)
	return f
}

func (a *App) startController(lease time.Duration) (*controller.Controller, error) {
	tell, err := newNotifier(a.o.Config.Spec.Notify, a.o.Log)
	if err != nil {
		return nil, err
	}
	a.controller = controller.New(controller.Options{
		Records: a.records, Evidence: a.evidence,
		Gateways: gateways{a.keeper}, Suites: &suites{records: a.records, log: a.o.Log}, Notifier: tell, Log: a.o.Log, Lease: lease,
	})
	a.background("controller", a.controller.Run)
	return a.controller, nil
}

func (a *App) startGateway(ctx context.Context, spec release.ConfigSpec, keys *release.Keyring, p *ingest.Publisher, ctl *controller.Controller) error {
	apiKeys, err := readAPIKeys(spec.Gateway.APIKeyFiles)
	if err != nil {
		return err
	}
	tracer, err := a.startTracer(ctx, spec.OTLP)
	if err != nil {
		return err
	}
	captures, err := a.startCaptures(&spec)
	if err != nil {
		return err
	}
	s := sink{p}
	trips := make(chan gateway.Trip, 64)
	a.gateway, err = gateway.New(gateway.Options{
		Routes: a.keeper.Routes, Renewed: a.keeper.Renewed, Sink: s, SinkState: s.state, Feedback: s,
		Keyring: func() *release.Keyring { return keys }, Metrics: a.registry, Logger: a.o.Log, APIKeys: apiKeys,
		Tracer: tracer, Captures: captures,
		Limits: gateway.Limits{
			Header: int(spec.Gateway.Limits.Header), Body: int64(spec.Gateway.Limits.Body), BodyTime: time.Duration(spec.Gateway.Limits.BodyTimeout),
		},
		Trips: func(t gateway.Trip) {
			select {
			case trips <- t:
			default: // the breaker works without being on record
			}
		},
	})
	if err != nil {
		return err
	}
	a.stops = append(a.stops, a.gateway.Close)
	a.background("breaker reports", func(ctx context.Context) error { return a.reportTrips(ctx, trips, ctl) })
	evaluation := a.startOFREP(s, keys, apiKeys)
	a.gatewayPort, err = a.listen("gateway", spec.Gateway.Listen, spec.Gateway.TLS, spec.Gateway.Limits, beside(evaluation, a.gateway), a.inFront)
	a.stops = append(a.stops, stopStreams(evaluation))
	return err
}

// reportTrips puts what the gateway's breakers did on the releases' records.
func (a *App) reportTrips(ctx context.Context, trips <-chan gateway.Trip, ctl *controller.Controller) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case t := <-trips:
			trip := rollout.BreakerTrip{Gateway: "gateway-1", Reason: tripReason(t), Closed: t.Closed}
			if err := ctl.Trip(ctx, t.Model, t.Release, trip); err != nil && ctx.Err() == nil {
				a.o.Log.Warn("a breaker's report is not on record", "model", t.Model, "error", err)
			}
		}
	}
}

func tripReason(t gateway.Trip) string {
	if t.Closed {
		return t.Version + " answers again"
	}
	return fmt.Sprintf("%d of the last %d requests to %s failed", t.Failures, t.Requests, t.Version)
}

// background runs a part until it is stopped; an error that ends it earlier stops the process.
func (a *App) background(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil && ctx.Err() == nil {
			a.o.Log.Error("a part has ended", "part", name, "error", err)
			select {
			case a.failed <- err:
			default: // one reason to stop is enough
			}
		}
	}()
	a.stops = append(a.stops, func(stop context.Context) error {
		cancel()
		select {
		case <-done:
			return nil
		case <-stop.Done():
			return release.Internal("stop", stop.Err(), "the part %q does not end", name)
		}
	})
}

// Stop stops everything in the reverse order of the start: first the ports, so that requests under
// way finish, then telemetry is written down, last the store. Calling it again changes nothing.
func (a *App) Stop(ctx context.Context) error {
	a.once.Do(func() {
		var faults []error
		for i := len(a.stops) - 1; i >= 0; i-- {
			faults = append(faults, a.stops[i](ctx))
		}
		a.stopErr = errors.Join(faults...)
	})
	return a.stopErr
}

// GatewayURL is where clients of the models send their requests.
func (a *App) GatewayURL() string { return a.gatewayPort.url }

// AdminURL is where the API listens.
func (a *App) AdminURL() string { return a.adminPort.url }

// Token is the admin token that was made at this start; "" if none was.
func (a *App) Token() string { return a.token }

// Failed receives the error of a part that has ended by itself: the process should stop.
func (a *App) Failed() <-chan error { return a.failed }

// port is a listening HTTP server.
type port struct {
	url string
}

// server is what serves a port: net/http's, or the one before it.
type server interface {
	Serve(l net.Listener) error
	Shutdown(ctx context.Context) error
	Close() error
}

// inFront serves what is usual without net/http's server; asIs by it alone.
func (a *App) inFront(s *http.Server) server {
	f := front.New(s)
	f.Log = a.o.Log
	return f
}

func asIs(s *http.Server) server { return s }

// secure is an http.Server behind TLS.
type secure struct{ *http.Server }

func (s secure) Serve(l net.Listener) error { return s.ServeTLS(l, "", "") }

func (a *App) listen(name, address string, tlsFiles *release.TLSConfig, limits release.ServerLimits, h http.Handler, by func(*http.Server) server) (*port, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, release.Unavailable("listen", err, "the %s port can't be opened at %s", name, address).Fix("is another process using it? set spec.%s.listen, or --%s", name, name)
	}
	scheme := "http"
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: time.Duration(limits.HeaderTimeout), IdleTimeout: time.Duration(limits.IdleTimeout),
		MaxHeaderBytes: int(limits.Header), ErrorLog: slog.NewLogLogger(a.o.Log.Handler(), slog.LevelDebug),
	}
	gateway.Speak(srv)
	if limits.Connections > 0 {
		l = gateway.Bound(l, limits.Connections)
	}
	serves := by(srv)
	if tlsFiles != nil {
		serves = secure{srv}
		if srv.TLSConfig, err = tlsConfig(tlsFiles); err != nil {
			return nil, errors.Join(err, l.Close())
		}
		scheme = "https"
	}
	p := &port{url: scheme + "://" + l.Addr().String()}
	go func() {
		if err := serves.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.failed <- release.Internal("serve", err, "the %s port has ended", name)
		}
	}()
	a.stops = append(a.stops, func(ctx context.Context) error {
		if err := serves.Shutdown(ctx); err != nil {
			return errors.Join(err, serves.Close())
		}
		return nil
	})
	return p, nil
}

func readAPIKeys(files []string) ([][32]byte, error) {
	var out [][32]byte
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return nil, release.Invalid("read API keys", "%v", err).Fix("check spec.gateway.apiKeyFiles")
		}
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				out = append(out, hashKey(line))
			}
		}
	}
	if len(files) > 0 && len(out) == 0 {
		return nil, release.Invalid("read API keys", "the files hold no key").Fix("write one key per line")
	}
	return out, nil
}

func randomNumber() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return binary.LittleEndian.Uint64(b[:])
}

// newSalt returns a fresh salt for a release.
func newSalt() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b[:])
}
