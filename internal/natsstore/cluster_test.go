package natsstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"sluice.dev/sluice/internal/store"
	"sluice.dev/sluice/internal/store/storetest"
)

// cluster is three servers in this process. They listen on loopback: a server without a client
// listener never opens its routes.
type cluster struct {
	servers []*server.Server
	urls    string
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	for range 3 { // a port that was free may be taken before the server listens
		if c := tryCluster(t); c != nil {
			return c
		}
	}
	t.Fatal("no cluster of three could be started")
	return nil
}

func tryCluster(t *testing.T) *cluster {
	dir := t.TempDir()
	var routes []*url.URL
	var ports []int
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // all three are reserved until all are chosen
		port := l.Addr().(*net.TCPAddr).Port
		ports = append(ports, port)
		routes = append(routes, &url.URL{Scheme: "nats", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))})
		l.Close()
	}
	c := &cluster{}
	var urls []string
	for i, port := range ports {
		o := serverOptions(Options{Dir: filepath.Join(dir, strconv.Itoa(i)), MaxStore: 1 << 30})
		o.ServerName = fmt.Sprint("node", i)
		o.SyncAlways = false // three times on one disk; nothing here depends on it
		o.DontListen, o.Host, o.Port = false, "127.0.0.1", server.RANDOM_PORT
		o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: port}
		o.Routes = routes
		srv, err := server.NewServer(o)
		if err != nil {
			t.Fatal(err)
		}
		log := newServerLog(slog.New(slog.DiscardHandler))
		srv.SetLoggerV2(log, false, false, false)
		go srv.Start()
		t.Cleanup(func() { stopServer(srv) })
		c.servers = append(c.servers, srv)
		if !srv.ReadyForConnections(20*time.Second) || log.err() != nil {
			t.Logf("node %d: %v", i, log.err())
			return nil
		}
		urls = append(urls, srv.ClientURL())
	}
	c.urls = strings.Join(urls, ",")
	deadline := time.Now().Add(time.Minute)
	for !c.ready() {
		if time.Now().After(deadline) {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return c
}

// ready says whether the servers have a leader who knows all three.
func (c *cluster) ready() bool {
	for _, s := range c.servers {
		if s.JetStreamIsLeader() {
			return len(s.JetStreamClusterPeers()) == len(c.servers) && s.JetStreamIsCurrent()
		}
	}
	return false
}

// open returns a store in a namespace of its own whose streams go when the test ends.
func (c *cluster) open(t *testing.T, ns string) *Store {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	s, err := OpenCluster(ctx, Options{URLs: c.urls, Namespace: ns, Replicas: 3, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers")
	}
	c := startCluster(t)
	var n atomic.Int64
	t.Run("contract", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store {
			return trimmed{c.open(t, fmt.Sprint("run", n.Add(1)))}
		})
	})
	t.Run("reopen", func(t *testing.T) {
		storetest.RunReopen(t, func(t *testing.T) (store.Store, func() store.Store) {
			ns := fmt.Sprint("run", n.Add(1))
			s := c.open(t, ns)
			return s, func() store.Store {
				s.Close()
				s = c.open(t, ns)
				return s
			}
		})
	})
}

// TestClusterNodeStops stops the server that leads CTRL while a writer counts. What was acknowledged stays,
// and the writer goes on with the two that are left.
func TestClusterNodeStops(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers")
	}
	c := startCluster(t)
	s := c.open(t, "stop")
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var acked, until atomic.Int64
	until.Store(1 << 40)
	done := make(chan error, 1)
	go func() { done <- count(ctx, s, &until, &acked) }()
	for acked.Load() < 10 {
		if ctx.Err() != nil {
			t.Fatal("the writer does not write")
		}
		time.Sleep(time.Millisecond)
	}
	info, err := s.ctrl.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, srv := range c.servers {
		if srv.Name() == info.Cluster.Leader {
			if err := stopServer(srv); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := acked.Load()
	until.Store(before + 20)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	list, err := s.History(ctx, "log", 0)
	if err != nil || len(list) < int(before)+20 || len(list) < int(acked.Load()) {
		t.Fatalf("%d entries, %d acknowledged, %d before the node stopped: %v", len(list), acked.Load(), before, err)
	}
	for i, e := range list {
		if string(e.Value) != strconv.Itoa(i+1) {
			t.Fatalf("entry %d says %q", i, e.Value)
		}
	}
}

// count appends 1, 2, ... up to until, each exactly once, whatever the store answers in between.
func count(ctx context.Context, s *Store, until, acked *atomic.Int64) error {
	for ctx.Err() == nil {
		look, cancel := context.WithTimeout(ctx, 2*time.Second)
		last, err := s.Get(look, "log")
		cancel()
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		have, _ := strconv.Atoi(string(last.Value)) // empty at first
		if int64(have) >= until.Load() {
			return nil
		}
		next := strconv.Itoa(have + 1)
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err = s.Commit(try, store.Batch{Writes: []store.Write{{Key: "log", Value: []byte(next), Expect: last.Revision, Append: true}}})
		cancel()
		switch {
		case err == nil:
			acked.Add(1)
		case errors.Is(err, store.ErrUnknown), errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrConflict):
		default:
			return err
		}
	}
	return ctx.Err()
}
