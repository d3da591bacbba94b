// Command gateway measures what a request costs in Sluice's gateway and in other proxies, in one run on one machine.
//
//	go run ./bench/gateway                 everything, as a table on standard output
//	go run ./bench/gateway -only http1 -seconds 2 -rounds 1
//	go run ./bench/gateway -plot cost.png  and a picture
//
// The figure is CPU time per request of the proxy's processes, user and system, from /proc/PID/stat: on a machine
// that others use, time on the clock says little. The proxy runs on the first core alone, the load and the model servers are
// processes of their own on the others. Each proxy splits the users by their X-User-Id, 20 % to the second server.
// Sluice runs a release with all that it records: exposures into the embedded store, folded into tallies, judged each second.
//
// Peers are taken from PATH (Debian: apt install nginx-light haproxy caddy; traefik is not in Debian: put a build of it
// into PATH); one that is missing is left out and named. reverseproxy is net/http/httputil's, with the same split, from this program.
//
// Linux only: it reads /proc and pins processes by taskset.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		if role, ok := roles[os.Args[1]]; ok { // this program is also the load, the servers and one of the proxies
			exit(role(os.Args[2:], os.Stdout))
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(command(ctx, os.Args[1:], os.Stdout))
}

func exit(err error) {
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	default:
		fmt.Fprintln(os.Stderr, "bench/gateway:", err)
		os.Exit(1)
	}
}

// roles are the processes of a run.
var roles = map[string]func(args []string, out io.Writer) error{
	"role-server":       runServer,
	"role-reverseproxy": runReverseProxy,
	"role-load":         runLoad,
	"role-ring":         runRing,
}

// settings of a run.
type settings struct {
	seconds time.Duration
	rounds  int
	only    *regexp.Regexp
	peers   *regexp.Regexp
	plot    string
	sluice  string
	dir     string
	ring    time.Duration

	accessLog bool // of proxies that have one
}

func command(ctx context.Context, args []string, out io.Writer) error {
	var s settings
	var only, peers string
	var seconds, ring int
	f := flag.NewFlagSet("gateway", flag.ContinueOnError)
	f.IntVar(&seconds, "seconds", 4, "of each measurement")
	f.IntVar(&s.rounds, "rounds", 3, "through all proxies; the median counts")
	f.StringVar(&only, "only", ".", "measurements: http1, h2c, sse, streams, idle, p50, ring")
	f.StringVar(&peers, "peers", ".", "proxies to measure")
	f.StringVar(&s.plot, "plot", "", "file for the picture: .png or .svg")
	f.StringVar(&s.sluice, "sluice", "", "the binary (default: built from this tree)")
	f.IntVar(&ring, "ring", 60, "seconds of the ring's measurement")
	if err := f.Parse(args); err != nil {
		return err
	}
	var err error
	if s.only, err = regexp.Compile(only); err != nil {
		return err
	}
	if s.peers, err = regexp.Compile(peers); err != nil {
		return err
	}
	s.seconds, s.ring = time.Duration(seconds)*time.Second, time.Duration(ring)*time.Second
	if s.dir, err = os.MkdirTemp("", "sluice-bench"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(s.dir) }()
	return measure(ctx, s, out)
}
