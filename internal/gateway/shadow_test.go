package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
)

func decision(m *assign.RouteSpec) {
	m.Signals = []release.Signal{{From: release.FromAnswer, Selector: "json:decision"}}
}

// byKind sorts exposures.
func byKind(all []release.Exposure) (primary, copies []release.Exposure) {
	for _, e := range all {
		if e.Kind == release.ExposureCopy {
			copies = append(copies, e)
		} else {
			primary = append(primary, e)
		}
	}
	return primary, copies
}

// 3.5: the copy is the whole request, its answer is recorded as the other half of the pair and
// reaches nobody.
func TestWire3_5_ShadowPair(t *testing.T) {
	w := newWorld(t, credit(0, shadowed(release.Whole), decision))
	w.upstream("live", echo("v1"))
	type seen struct{ body, shadow, user string }
	copied := make(chan seen, 1)
	w.upstream("candidate", func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		copied <- seen{string(b), r.Header.Get(HeaderShadow), r.Header.Get("X-User-Id")}
		_, _ = io.WriteString(rw, `{"decision":"decline"}`)
	})
	route := w.routes.Load().All[0]
	unit := ""
	for i := 0; unit == "" || route.WouldBe([]byte(unit)) != 0; i++ { // one whose own arm is live: the copy's is not
		unit = fmt.Sprint("u", i)
	}
	body := `{"applicant":{"id":"u"},"more":"` + strings.Repeat("x", 100<<10) + `"}`
	got := w.do("POST", "/credit", body, "X-User-Id", unit)
	if got.status != 200 || !strings.Contains(got.body, "v1") {
		t.Errorf("got %+v", got)
	}
	if c := <-copied; c.body != body || c.shadow != "true" || c.user != unit {
		t.Errorf("the copy had %d bytes, %+v", len(c.body), seen{"", c.shadow, c.user})
	}
	primary, copies := byKind(w.sink.wait(t, 2))
	if len(primary) != 1 || len(copies) != 1 {
		t.Fatalf("%d and %d exposures", len(primary), len(copies))
	}
	p, c := primary[0], copies[0]
	if p.Flags != release.FlagMirrored || p.Kind != release.ExposureWouldBe || w.sink.word(p.Values[0]) != "approve" {
		t.Errorf("primary %+v", p)
	}
	if c.ID != p.ID || c.Unit != p.Unit || c.Bin != p.Bin || c.Stratum != p.Stratum || c.Epoch != p.Epoch || c.Release != p.Release ||
		c.Time != p.Time || c.Arm != 1 || c.Flags != 0 || w.sink.word(c.Values[0]) != "decline" || c.ReqLen != p.ReqLen {
		t.Errorf("copy %+v of %+v", c, p)
	}
}

// 3.5: a copy neither delays the primary nor dies with its client, and its failure is its own.
func TestWire3_5_ShadowHasItsOwnLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, credit(0, shadowed(release.Whole), func(m *assign.RouteSpec) { m.Arms[1].Spec.Timeout = release.Duration(5 * time.Second) }))
		w.upstream("live", echo("v1"))
		w.upstream("candidate", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		begun := time.Now()
		conn := w.dial(t)
		go fmt.Fprint(conn, "GET /credit HTTP/1.1\r\nHost: gateway\r\nX-User-Id: u\r\nConnection: close\r\n\r\n")
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
		if since := time.Since(begun); since != 0 {
			t.Errorf("the primary took %v", since)
		}
		_ = conn.Close()
		primary, copies := byKind(w.sink.wait(t, 2))
		if since := time.Since(begun); since != 5*time.Second {
			t.Errorf("the copy ended after %v, its timeout is 5s", since)
		}
		if primary[0].Fault != release.FaultNone || copies[0].Fault != release.FaultTimeout || copies[0].Latency != 5_000_000 {
			t.Errorf("primary %+v, copy %+v", primary[0], copies[0])
		}
	})
}

func TestShadowCandidateDown(t *testing.T) {
	w := newWorld(t, credit(0, shadowed(release.Whole)))
	w.upstream("live", echo("v1"))
	if got := w.do("GET", "/credit", "", "X-User-Id", "u"); got.status != 200 {
		t.Errorf("got %+v", got)
	}
	if _, copies := byKind(w.sink.wait(t, 2)); len(copies) != 1 || copies[0].Fault != release.FaultUpstream {
		t.Errorf("copies %+v", copies)
	}
}

// 3.5: copies are bounded; what finds no room is dropped, counted and not flagged.
func TestWire3_5_ShadowIsBounded(t *testing.T) {
	w := newWorld(t, credit(0, shadowed(release.Whole)), func(o *Options) { o.Limits.Mirrors = 2 })
	w.upstream("live", echo("v1"))
	open := make(chan struct{})
	w.upstream("candidate", func(http.ResponseWriter, *http.Request) { <-open })
	for i := range 10 {
		w.do("GET", "/credit", "", "X-User-Id", fmt.Sprint(i))
	}
	flagged := 0
	for _, e := range w.sink.wait(t, 10)[:10] {
		if e.Flags == release.FlagMirrored {
			flagged++
		}
	}
	if sent, dropped := w.counter(nameMirror, "result", "sent"), w.counter(nameMirror, "result", "dropped"); flagged != 2 || sent != 2 || dropped != 8 {
		t.Errorf("%d flagged, %v sent, %v dropped", flagged, sent, dropped)
	}
	close(open)
	w.sink.wait(t, 12)
}

// Copies are sampled by unit: the share is realised, and the same unit is always in or out.
func TestShadowIsSampledByUnit(t *testing.T) {
	const units, share = 1000, 0.1
	w := newWorld(t, credit(0, shadowed(100_000)), func(o *Options) { o.Limits.Mirrors = 10_000 })
	w.upstream("live", echo("v1"))
	var copied atomic.Int64
	w.upstream("candidate", func(http.ResponseWriter, *http.Request) { copied.Add(1) })
	flagged := map[uint64]int{}
	for range 2 {
		for i := range units {
			w.do("GET", "/credit", "", "X-User-Id", fmt.Sprint(i))
		}
	}
	primary, _ := byKind(w.sink.wait(t, 2*units))
	for _, e := range primary {
		if e.Flags == release.FlagMirrored {
			flagged[e.Unit]++
		}
	}
	for u, n := range flagged {
		if n != 2 && len(primary) == 2*units {
			t.Fatalf("unit %x was copied %d times of 2", u, n)
		}
	}
	if sd := math.Sqrt(units * share * (1 - share)); math.Abs(float64(len(flagged))-units*share) > 4*sd {
		t.Errorf("%d of %d units", len(flagged), units)
	}
	w.sink.wait(t, 2*units+2*len(flagged))
	if int(copied.Load()) != 2*len(flagged) {
		t.Errorf("%d copies", copied.Load())
	}
}

// The candidate's slots bound copies too, and closing ends them.
func TestCloseEndsCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, credit(0, shadowed(release.Whole), func(m *assign.RouteSpec) { m.Arms[1].Spec.Timeout = release.Duration(time.Hour) }))
		w.upstream("live", echo("v1"))
		w.upstream("candidate", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		w.do("GET", "/credit", "", "X-User-Id", "u")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if err := w.gateway.Close(ctx); err == nil || time.Since(begun) != time.Second {
			t.Errorf("closed after %v: %v", time.Since(begun), err)
		}
		_, copies := byKind(w.sink.wait(t, 2))
		if copies[0].Fault != release.FaultGateway {
			t.Errorf("recorded %+v", copies[0])
		}
		w.do("GET", "/credit", "", "X-User-Id", "u")
		if primary, _ := byKind(w.sink.wait(t, 3)); primary[1].Flags != 0 {
			t.Error("a copy was begun after Close")
		}
	})
}

// A connection that switches protocols can't be had twice: its request is not mirrored, and counted as dropped.
func TestUpgradesAreNotMirrored(t *testing.T) {
	w := newWorld(t, credit(0, shadowed(release.Whole)))
	w.rawUpstream("live", switching("websocket"))
	w.upstream("candidate", func(http.ResponseWriter, *http.Request) { t.Error("the candidate got a copy") })
	conn := w.dial(t)
	defer func() { _ = conn.Close() }()
	fmt.Fprint(conn, upgradeRequest)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%+v, %v", resp, err)
	}
	if e := w.sink.wait(t, 1)[0]; e.Flags&release.FlagMirrored != 0 || e.Status != 101 {
		t.Errorf("recorded %+v", e)
	}
}
