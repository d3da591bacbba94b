package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// figure is one number of one proxy.
type figure struct {
	proxy  string
	values []float64 // one per round
	rate   []float64 // requests or chunks per second on the clock
	failed int64
	note   string
}

func (f *figure) median() float64 { return median(f.values) }

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if len(s) == 0 {
		return 0
	}
	return s[len(s)/2]
}

// table is one measurement of all proxies.
type table struct {
	key, title, unit string
	rateName         string
	figures          []*figure
}

func (t *table) figure(name string) *figure {
	for _, f := range t.figures {
		if f.proxy == name {
			return f
		}
	}
	f := &figure{proxy: name}
	t.figures = append(t.figures, f)
	return f
}

func (t *table) print(out io.Writer) {
	fmt.Fprintf(out, "\n%s\n\n| proxy | %s | sluice is | %s | failed |\n|---|---|---|---|---|\n", t.title, t.unit, t.rateName)
	var own float64
	for _, f := range t.figures {
		if f.proxy == "sluice" {
			own = f.median()
		}
	}
	for _, f := range t.figures {
		switch {
		case f.note != "":
			fmt.Fprintf(out, "| %s | %s | | | |\n", f.proxy, f.note)
		default:
			ratio := "-"
			if m := f.median(); own > 0 && m > 0 {
				ratio = fmt.Sprintf("%.2f x", own/m)
			}
			fmt.Fprintf(out, "| %s | %.1f | %s | %.0f | %d |\n", f.proxy, f.median(), ratio, median(f.rate), f.failed)
		}
	}
}

// bench is a run.
type bench struct {
	settings
	out    io.Writer
	tables []*table
}

func measure(ctx context.Context, s settings, out io.Writer) error {
	if s.sluice == "" {
		s.sluice = filepath.Join(s.dir, "sluice")
		cmd := exec.CommandContext(ctx, "go", "build", "-tags", "grpcnotrace", "-trimpath", "-ldflags", "-s -w", "-o", s.sluice, "./cmd/sluice") // as make build
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if msg, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build: %w\n%s", err, msg)
		}
	}
	b := &bench{settings: s, out: out}
	fmt.Fprintf(out, "%s, %d cores, %s, %d rounds of %v; median of the rounds\n", time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), runtime.Version(), s.rounds, s.seconds)
	for _, m := range []struct {
		key string
		run func(context.Context) error
	}{
		{"http1", b.http1},
		{"h2c", b.http2},
		{"sse", b.events},
		{"streams", b.streams},
		{"idle", b.idle},
		{"p50", b.added},
		{"ring", b.record},
	} {
		if !s.only.MatchString(m.key) || ctx.Err() != nil {
			continue
		}
		if err := m.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", m.key, err)
		}
	}
	if s.plot != "" {
		return draw(b.tables, s.plot)
	}
	return ctx.Err()
}

// stage is the servers and the proxies that run for a measurement.
type stage struct {
	servers [2]*process
	proxies []*process
	missing []string
}

func (b *bench) stage(ctx context.Context, h2c bool) (*stage, error) {
	st := &stage{}
	for i := range st.servers {
		p, err := launchOwn(b.settings, false, fmt.Sprint("server", i), "role-server")
		if err != nil {
			return nil, errors.Join(err, st.stop())
		}
		st.servers[i] = p
	}
	for _, x := range proxies {
		if !b.peers.MatchString(x.name) && x.name != "sluice" {
			continue
		}
		p, err := x.start(ctx, b.settings, st.servers[0].addr, st.servers[1].addr, h2c)
		if errors.Is(err, errMissing) {
			st.missing = append(st.missing, x.name)
			continue
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", x.name, err), st.stop())
		}
		p.name = x.name
		st.proxies = append(st.proxies, p)
	}
	return st, nil
}

func (st *stage) stop() error {
	var faults []error
	for _, p := range append(slices.Clone(st.proxies), st.servers[:]...) {
		if p != nil {
			faults = append(faults, p.stop())
		}
	}
	return errors.Join(faults...)
}

func (st *stage) note(t *table) {
	for _, name := range st.missing {
		t.figure(name).note = "not installed"
	}
}

// load runs the load in a process of its own.
func (b *bench) load(ctx context.Context, to string, args ...string) (result, error) {
	self, err := os.Executable()
	if err != nil {
		return result{}, err
	}
	pinned := pin(false, self, append([]string{"role-load", "-to", to}, args...)...)
	cmd := exec.CommandContext(ctx, pinned.Path, pinned.Args[1:]...)
	var out, msg bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &msg
	if err := cmd.Run(); err != nil {
		return result{}, fmt.Errorf("load: %w\n%s", err, msg.String())
	}
	var r result
	return r, json.Unmarshal(out.Bytes(), &r)
}

// spent runs a load and returns the CPU time that the proxy spent during it.
func (b *bench) spent(ctx context.Context, p *process, args ...string) (time.Duration, result, error) {
	before, err := cpu(p.cmd.Process.Pid)
	if err != nil {
		return 0, result{}, err
	}
	r, err := b.load(ctx, p.addr, args...)
	if err != nil {
		return 0, r, err
	}
	after, err := cpu(p.cmd.Process.Pid)
	return after - before, r, err
}

// perUnit measures CPU time per request, or per chunk, of all proxies in turn.
func (b *bench) perUnit(ctx context.Context, t *table, h2c bool, count func(result) int64, args ...string) error {
	st, err := b.stage(ctx, h2c)
	if err != nil {
		return err
	}
	for round := range b.rounds + 1 {
		for _, p := range st.proxies {
			last := b.seconds
			if round == 0 {
				last = time.Second // to warm up
			}
			used, r, err := b.spent(ctx, p, append([]string{"-time", last.String()}, args...)...)
			if err != nil {
				return errors.Join(err, st.stop())
			}
			f := t.figure(p.name)
			if f.failed += r.Failed; r.Failed > 0 {
				fmt.Fprintf(b.out, "%s: %d failed, first: %s\n", p.name, r.Failed, r.Fault)
			}
			if n := count(r); round > 0 && n > 0 {
				f.values = append(f.values, float64(used.Microseconds())/float64(n))
				f.rate = append(f.rate, float64(n)/r.Elapsed.Seconds())
			}
		}
	}
	st.note(t)
	t.print(b.out)
	b.tables = append(b.tables, t)
	return st.stop()
}

func requests(r result) int64 { return r.Requests }

func (b *bench) http1(ctx context.Context) error {
	t := &table{key: "http1", title: "HTTP/1.1, 500 B in, 1.1 KB out, 64 clients, saturated", unit: "CPU µs/request", rateName: "requests/s"}
	return b.perUnit(ctx, t, false, requests, "-clients", "64")
}

func (b *bench) http2(ctx context.Context) error {
	t := &table{key: "h2c", title: "HTTP/2 without TLS from the clients, HTTP/1.1 to the servers, 500 B in, 1.1 KB out, 64 streams on 8 connections, saturated", unit: "CPU µs/request", rateName: "requests/s"}
	return b.perUnit(ctx, t, true, requests, "-clients", "64", "-h2c")
}

func (b *bench) events(ctx context.Context) error {
	t := &table{key: "sse", title: "Server-sent events, 100 streams, one event each 5 ms", unit: "CPU µs/event", rateName: "events/s"}
	return b.perUnit(ctx, t, false, func(r result) int64 { return r.Chunks }, "-clients", "100", "-events", "1000000,5ms")
}

// memory measures the resident memory of each proxy while a load holds its connections.
func (b *bench) memory(ctx context.Context, t *table, per float64, args ...string) error {
	st, err := b.stage(ctx, false)
	if err != nil {
		return err
	}
	for _, p := range st.proxies {
		before, err := resident(p.cmd.Process.Pid)
		if err != nil {
			return errors.Join(err, st.stop())
		}
		hold := b.seconds + 10*time.Second
		ended := make(chan error, 1)
		go func() {
			r, err := b.load(ctx, p.addr, append([]string{"-time", hold.String()}, args...)...)
			if err == nil && r.Failed > 0 {
				err = fmt.Errorf("%d failed: %s", r.Failed, r.Fault)
			}
			ended <- err
		}()
		time.Sleep(hold - 2*time.Second)
		during, err := resident(p.cmd.Process.Pid)
		if err = errors.Join(err, <-ended); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", p.name, err), st.stop())
		}
		f := t.figure(p.name)
		if per > 0 {
			f.values = append(f.values, float64(during-before)/per/1024)
		} else {
			f.values = append(f.values, float64(during)/(1<<20))
		}
		f.rate = append(f.rate, float64(before)/(1<<20))
	}
	st.note(t)
	t.print(b.out)
	b.tables = append(b.tables, t)
	return st.stop()
}

func (b *bench) streams(ctx context.Context) error {
	t := &table{key: "streams", title: "1,000 streams, an event each 100 ms", unit: "resident MiB", rateName: "MiB before"}
	return b.memory(ctx, t, 0, "-clients", "1000", "-events", "1000000,100ms")
}

func (b *bench) idle(ctx context.Context) error {
	const clients = 10_000
	t := &table{key: "idle", title: "10,000 connections that have asked once and wait", unit: "KiB per connection", rateName: "MiB before"}
	return b.memory(ctx, t, clients, "-clients", fmt.Sprint(clients), "-idle")
}

// added measures what a proxy adds to the median of 2,000 requests per second.
func (b *bench) added(ctx context.Context) error {
	t := &table{key: "p50", title: "2,000 requests/s from 32 clients: what a proxy adds to the median", unit: "added p50 µs", rateName: "p99 µs"}
	st, err := b.stage(ctx, false)
	if err != nil {
		return err
	}
	args := []string{"-clients", "32", "-rate", "2000"}
	for round := range b.rounds + 1 {
		time := append([]string{"-time", b.seconds.String()}, args...)
		direct, err := b.load(ctx, st.servers[0].addr, time...)
		if err != nil {
			return errors.Join(err, st.stop())
		}
		for _, p := range st.proxies {
			r, err := b.load(ctx, p.addr, time...)
			if err != nil {
				return errors.Join(err, st.stop())
			}
			if f := t.figure(p.name); round > 0 {
				f.failed += r.Failed
				f.values = append(f.values, float64((r.P50-direct.P50).Nanoseconds())/1000)
				f.rate = append(f.rate, float64(r.P99.Nanoseconds())/1000)
			}
		}
	}
	st.note(t)
	t.print(b.out)
	b.tables = append(b.tables, t)
	return st.stop()
}

func (b *bench) record(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, self, "role-ring", "-time", b.ring.String()).Output()
	if err != nil {
		return err
	}
	var r ringResult
	if err := json.Unmarshal(out, &r); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "\nThe record ring at 50,000 exposures/s for %v, embedded store behind it: %d recorded, %d lost, %d batches stored\n", r.Elapsed.Round(time.Second), r.Recorded, r.Dropped, r.Stored)
	if r.Dropped > 0 {
		return errors.New("the ring lost exposures")
	}
	return nil
}
