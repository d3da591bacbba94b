package web

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// Delay is a service time: log-normal with the median Median and a standard deviation of its logarithm of 0.25. It
// waits on a timer and uses no CPU. The zero value waits for nothing. It is safe for concurrent use.
type Delay struct {
	median time.Duration
	mu     sync.Mutex
	rng    *rand.Rand // guarded by mu
}

// maxDelay is the longest median, and where a draw is cut.
const maxDelay = time.Minute

// NewDelay returns a delay; two with the same seed draw the same sequence. The median is 0 to 1 min.
func NewDelay(median time.Duration, seed uint64) (*Delay, error) {
	if median < 0 || median > maxDelay {
		return nil, fmt.Errorf("delay %v, want 0 to %v", median, maxDelay)
	}
	return &Delay{median: median, rng: rand.New(rand.NewPCG(seed, 0x64656c6179))}, nil
}

// Wait passes one draw and says whether ctx lasted that long.
func (d *Delay) Wait(ctx context.Context) bool {
	if d == nil || d.median == 0 {
		return ctx.Err() == nil
	}
	d.mu.Lock()
	z := d.rng.NormFloat64()
	d.mu.Unlock()
	t := time.NewTimer(min(time.Duration(float64(d.median)*math.Exp(.25*z)), maxDelay))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// HTTPServer returns a server for h with limits on what a slow or hostile client can hold: 5 s for the headers of a
// request, 10 s for all of it, 30 s to its answer more than the longest delay, 32 KiB of headers.
func HTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      maxDelay + 30*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
	}
}

// Flags are the flags of an example's server.
type Flags struct {
	Version string
	Delay   time.Duration
	Seed    uint64
}

// Main is the main function of a server: it reads the flags, makes the handler, serves until SIGINT or SIGTERM and
// exits. name is the program's, like "diagnosisserver", address where it listens unless told otherwise.
func Main(name, address string, handler func(Flags) (http.Handler, error)) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := Run(ctx, name, address, os.Args[1:], os.Stderr, handler); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// Run is Main until ctx ends, without the process around it. It says on stderr where it listens.
func Run(ctx context.Context, name, address string, args []string, stderr io.Writer, handler func(Flags) (http.Handler, error)) error {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	var f Flags
	listen := flags.String("listen", address, "address to listen on; port 0 picks a free one")
	flags.StringVar(&f.Version, "version", "v1", "version to serve")
	flags.DurationVar(&f.Delay, "delay", 0, "median of a service delay, e.g. 3ms; log-normal")
	flags.Uint64Var(&f.Seed, "seed", 1, "seed of the delays")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: there are only flags, see --help", flags.Arg(0))
	}
	h, err := handler(f)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return fmt.Errorf("%w (choose another address with --listen)", err)
	}
	fmt.Fprintf(stderr, "%s %s listens on http://%s\n", name, f.Version, l.Addr())
	return serve(ctx, HTTPServer(h), l)
}

func serve(ctx context.Context, s *http.Server, l net.Listener) error {
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }() // ends by Shutdown or by its own error
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// The parent context is over already: the grace period needs one of its own.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := s.Shutdown(grace)
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
