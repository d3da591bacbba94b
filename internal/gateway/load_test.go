package gateway

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/expfmt"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
)

// Changes of the share drop no request, and each is accounted to the arm that the routes of its
// stratum give its unit.
func TestSharesChangeUnderLoad(t *testing.T) {
	const clients, each, changes = 8, 60, 50
	specs := make([]*assign.Spec, changes+1)
	for i := range specs {
		specs[i] = credit(release.Share(i)*release.Whole/changes, headerOnly, func(m *assign.RouteSpec) { m.Stratum = uint16(i) })
	}
	w := newWorld(t, specs[0])
	w.upstream("live", echo("v1"))
	w.upstream("candidate", echo("v2"))
	stop := make(chan struct{})
	var changer, group sync.WaitGroup
	changer.Go(func() {
		for i := 1; ; i = i%changes + 1 {
			select {
			case <-stop:
				return
			default:
				w.serve(specs[i])
			}
		}
	})
	for c := range clients {
		group.Go(func() {
			for i := range each {
				r := w.request("GET", "/credit", "", "X-User-Id", fmt.Sprintf("%d-%d", c, i))
				if got, err := w.send(r); err != nil || got.status != 200 || got.err != nil {
					t.Errorf("got %+v, %v", got, err)
				}
			}
		})
	}
	group.Wait()
	close(stop)
	changer.Wait()
	units := map[uint64][]byte{}
	for c := range clients {
		for i := range each {
			u := []byte(fmt.Sprintf("%d-%d", c, i))
			units[w.keys.UnitHash(u)] = u
		}
	}
	strata := map[uint16]bool{}
	for _, e := range w.sink.wait(t, clients*each) {
		strata[e.Stratum] = true
		w.serve(specs[e.Stratum])
		if want := w.routes.Load().All[0].Assign(units[e.Unit]).Counted; e.Arm != want {
			t.Fatalf("unit %s in stratum %d: arm %d, want %d", units[e.Unit], e.Stratum, e.Arm, want)
		}
	}
	if len(strata) < 2 {
		t.Error("the routes did not change under way")
	}
}

// Unit ids, bodies and keys leave neither by logs nor metrics nor the gateway's own answers.
func TestNothingPrivateLeaves(t *testing.T) {
	const unit, prompt, secret, query = "planted-unit", "planted-prompt", "planted-secret", "planted-query"
	w := newWorld(t, credit(release.Whole, func(m *assign.RouteSpec) {
		m.Arms[1].Spec.Headers = map[string]release.Secret{"Authorization": secret}
		m.Breaker = assign.BreakerSpec{MaxFailureRate: 0.01}
	}))
	w.feedback.err = io.ErrUnexpectedEOF
	var out strings.Builder
	for i := range 10 {
		got := w.do("POST", "/credit?"+query, prompt, "X-User-Id", fmt.Sprint(unit, i), HeaderKey, secret)
		fmt.Fprintln(&out, got)
	}
	fmt.Fprintln(&out, w.do("POST", "/-/sluice/feedback", `{"model":"credit","unit":"`+unit+`","metric":"m","value":"`+prompt+`"}`))
	fmt.Fprintln(&out, w.do("POST", "/-/sluice/feedback", `{"model":"credit","unit":"`+unit+`","metric":"m","value":"`+prompt+`","x":1}`))
	fmt.Fprintln(&out, w.do("GET", "/-/sluice/healthz", ""))
	exposures := w.sink.wait(t, 10) // all that is done for a request is done by then
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&out, f); err != nil {
			t.Fatal(err)
		}
	}
	w.logMu.Lock()
	out.Write(w.log.Bytes())
	w.logMu.Unlock()
	w.tripMu.Lock()
	trips := len(w.trips)
	w.tripMu.Unlock()
	if trips == 0 || !strings.Contains(out.String(), "breaker") {
		t.Error("the breaker did not open, so its log line was not seen")
	}
	fmt.Fprintf(&out, "%+v", exposures)
	for _, planted := range []string{unit, prompt, secret, query} {
		if i := strings.Index(out.String(), planted); i >= 0 {
			t.Errorf("%s left: %s", planted, out.String()[max(0, i-200):min(out.Len(), i+100)])
		}
	}
}

// Slow heads and slow rests of bodies hold a connection for seconds, not for ever.
func TestSlowloris(t *testing.T) {
	for _, c := range []struct {
		name, send string
		within     time.Duration
	}{
		{"head", "GET /credit HTTP/1.1\r\nHost: gateway\r\n", 10 * time.Second},
		{"body of a refused request", "POST /nowhere HTTP/1.1\r\nHost: gateway\r\nContent-Length: 100\r\n\r\n", leftoverTime},
		{"small body", "POST /credit HTTP/1.1\r\nHost: gateway\r\nX-User-Id: u\r\nContent-Length: 100\r\n\r\n", 30*time.Second + leftoverTime},
		{"body of an answered request", "POST /credit HTTP/1.1\r\nHost: gateway\r\nX-User-Id: u\r\nContent-Length: 100000\r\n\r\n", leftoverTime},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, credit(0, headerOnly))
				w.upstream("live", func(rw http.ResponseWriter, _ *http.Request) {
					_ = http.NewResponseController(rw).EnableFullDuplex()
					rw.WriteHeader(http.StatusOK)
				})
				conn := w.dial(t)
				begun, sent := time.Now(), make(chan struct{})
				defer func() { _ = conn.Close(); <-sent }()
				go func() {
					defer close(sent)
					if _, err := io.WriteString(conn, c.send); err != nil {
						return
					}
					for range 50 {
						time.Sleep(2 * time.Second)
						if _, err := conn.Write([]byte("x")); err != nil {
							return
						}
					}
				}()
				_, err := io.Copy(io.Discard, conn)
				if since := time.Since(begun); err != nil || since > c.within+time.Second {
					t.Errorf("closed after %v: %v", since, err)
				}
			})
		})
	}
}
