// Command creditserver answers POST /credit with one version of the credit model; see the README of the example.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"sluice.dev/sluice/examples/credit"
	"sluice.dev/sluice/examples/credit/scoring"
	"sluice.dev/sluice/examples/credit/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(os.Stderr, "creditserver: %v\n", err)
			os.Exit(1)
		}
	}
}

// run serves until ctx ends, then lets running requests finish for up to 5 s. It says on stderr where it listens.
func run(ctx context.Context, args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("creditserver", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var o server.Options
	listen := flags.String("listen", "127.0.0.1:9101", "address to listen on; port 0 picks a free one")
	file := flags.String("model", "", "file of a model to serve instead of the embedded one of --version")
	flags.StringVar(&o.Version, "version", "v1", "version to serve: v1, v2 or v3; with --model any name")
	flags.DurationVar(&o.Delay, "delay", 0, "median of the service delay, e.g. 3ms; log-normal")
	flags.Float64Var(&o.Sigma, "sigma", .25, "standard deviation of the logarithm of the delay")
	flags.Float64Var(&o.FailRate, "fail", 0, "share of requests, 0 to 1, that fail with 500: an injected fault")
	flags.Uint64Var(&o.Seed, "seed", 1, "seed of delays and failures")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: there are only flags, see --help", flags.Arg(0))
	}
	var err error
	if o.Model, err = model(o.Version, *file); err != nil {
		return err
	}
	handler, err := server.New(o)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return fmt.Errorf("%w (choose another address with --listen)", err)
	}
	fmt.Fprintf(stderr, "credit %s listens on http://%s\n", o.Version, l.Addr())
	return serve(ctx, server.HTTPServer(handler), l)
}

func model(version, file string) (*scoring.Model, error) {
	if file == "" {
		return credit.Load(version)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, scoring.MaxBytes+1))
	if err != nil {
		return nil, err
	}
	m, err := scoring.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return m, nil
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
