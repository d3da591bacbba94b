package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// result is what a load saw.
type result struct {
	Requests int64         `json:"requests"`
	Failed   int64         `json:"failed"`
	Chunks   int64         `json:"chunks"`
	Elapsed  time.Duration `json:"elapsed"`
	P50      time.Duration `json:"p50"`
	P99      time.Duration `json:"p99"`
	Fault    string        `json:"fault,omitempty"` // the first one
}

// load is one kind of traffic against one address.
type load struct {
	to      string
	clients int
	time    time.Duration
	rate    int  // requests per second, open loop; 0: each client sends its next when it has its answer
	h2c     bool // by HTTP/2
	events  string
	idle    bool // one request per client, then nothing until the time is over

	requests, failed, chunks atomic.Int64
	mu                       sync.Mutex
	took                     []time.Duration
	fault                    error
}

func runLoad(args []string, out io.Writer) error {
	l := &load{}
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.StringVar(&l.to, "to", "", "")
	f.IntVar(&l.clients, "clients", 64, "")
	f.DurationVar(&l.time, "time", 4*time.Second, "")
	f.IntVar(&l.rate, "rate", 0, "")
	f.BoolVar(&l.h2c, "h2c", false, "")
	f.StringVar(&l.events, "events", "", "")
	f.BoolVar(&l.idle, "idle", false, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(l.run())
}

func (l *load) run() result {
	ctx, cancel := context.WithTimeout(context.Background(), l.time)
	defer cancel()
	begun := time.Now()
	one := l.closedLoop
	switch {
	case l.h2c:
		one = l.overHTTP2
	case l.events != "":
		one = l.streams
	case l.rate > 0:
		one = l.paced
	case l.idle:
		one = l.idling
	}
	var group sync.WaitGroup
	for i := range l.clients {
		group.Go(func() {
			if err := one(ctx, i); err != nil && ctx.Err() == nil {
				l.failed.Add(1)
				l.mu.Lock()
				if l.fault == nil {
					l.fault = err
				}
				l.mu.Unlock()
			}
		})
	}
	group.Wait()
	r := result{Requests: l.requests.Load(), Failed: l.failed.Load(), Chunks: l.chunks.Load(), Elapsed: time.Since(begun)}
	if l.fault != nil {
		r.Fault = l.fault.Error()
	}
	if slices.Sort(l.took); len(l.took) > 0 {
		r.P50, r.P99 = l.took[len(l.took)/2], l.took[len(l.took)*99/100]
	}
	return r
}

var requestBody = bytes.Repeat([]byte{'y'}, 500)

func request(target, user string, body []byte) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: model.test\r\nContent-Type: application/json\r\nAccept: */*\r\nUser-Agent: bench\r\nX-User-Id: %s\r\nContent-Length: %d\r\n\r\n%s",
		target, user, len(body), body)
}

// user changes per request without an allocation: nine digits at a fixed place.
func setUser(req []byte, at int, n int64) {
	for i := range 9 {
		req[at+8-i] = byte('0' + n%10)
		n /= 10
	}
}

const anyUser = "000000000"

var users atomic.Int64

// closedLoop asks by HTTP/1.1 as fast as it is answered.
func (l *load) closedLoop(ctx context.Context, _ int) error {
	c, err := net.Dial("tcp", l.to)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	req := request("/credit", anyUser, requestBody)
	at := bytes.Index(req, []byte(anyUser))
	next := func() error {
		setUser(req, at, users.Add(1))
		_, err := c.Write(req)
		return err
	}
	if err := next(); err != nil {
		return err
	}
	return newMessages(c).each(func(m message) (bool, error) {
		if err := good(m); err != nil {
			return false, err
		}
		l.requests.Add(1)
		return true, next()
	})
}

// paced asks at a fixed rate, whatever the answers take: a client that is late does not wait for its next turn. The time counts from
// when the request is sent, so that it is the proxy's and not that of the timer that woke the client.
func (l *load) paced(ctx context.Context, i int) error {
	c, err := net.Dial("tcp", l.to)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	req := request("/credit", anyUser, requestBody)
	at := bytes.Index(req, []byte(anyUser))
	in := newMessages(c)
	gap := time.Duration(l.clients) * time.Second / time.Duration(l.rate)
	due := time.Now().Add(gap * time.Duration(i) / time.Duration(l.clients))
	var took []time.Duration
	for ctx.Err() == nil {
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		begun := time.Now()
		setUser(req, at, users.Add(1))
		if err := in.ask(c, req); err != nil {
			return err
		}
		took = append(took, time.Since(begun))
		l.requests.Add(1)
		due = due.Add(gap)
	}
	l.mu.Lock()
	l.took = append(l.took, took...)
	l.mu.Unlock()
	return nil
}

// idling asks once and holds its connection.
func (l *load) idling(ctx context.Context, _ int) error {
	c, err := net.Dial("tcp", l.to)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := newMessages(c).ask(c, request("/credit", "u", requestBody)); err != nil {
		return err
	}
	l.requests.Add(1)
	<-ctx.Done()
	return nil
}

// streams reads one stream of events after the other and counts what arrives.
func (l *load) streams(ctx context.Context, _ int) error {
	c, err := net.Dial("tcp", l.to)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	r := bufio.NewReaderSize(c, 4<<10)
	for ctx.Err() == nil {
		if _, err := c.Write(request("/credit?events="+l.events, fmt.Sprint(users.Add(1)), nil)); err != nil {
			return err
		}
		resp, err := http.ReadResponse(r, nil) //nolint:bodyclose // it is read to its end, on a connection of its own
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		lines := bufio.NewReaderSize(resp.Body, 1<<10)
		for {
			line, err := lines.ReadSlice('\n')
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if bytes.HasPrefix(line, []byte("data:")) {
				l.chunks.Add(1)
			}
		}
		l.requests.Add(1)
	}
	return nil
}

// overHTTP2 asks by HTTP/2 without TLS, eight clients to a connection.
func (l *load) overHTTP2(ctx context.Context, i int) error {
	client := h2Clients.get(i / 8)
	for ctx.Err() == nil {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+l.to+"/credit", strings.NewReader(string(requestBody)))
		if err != nil {
			return err
		}
		r.Header.Set("X-User-Id", fmt.Sprint(users.Add(1)))
		resp, err := client.Do(r)
		if err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK || n != answerSize {
			return fmt.Errorf("%s, %d bytes", resp.Status, n)
		}
		l.requests.Add(1)
	}
	return nil
}

type clients struct {
	mu  sync.Mutex
	all map[int]*http.Client
}

var h2Clients = clients{all: map[int]*http.Client{}}

func (c *clients) get(i int) *http.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all[i] == nil {
		t := &http.Transport{Protocols: new(http.Protocols)}
		t.Protocols.SetUnencryptedHTTP2(true)
		c.all[i] = &http.Client{Transport: t}
	}
	return c.all[i]
}
