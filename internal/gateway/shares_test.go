package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
)

// A hundred changes of the share under 2,000 requests per second over sockets: no request fails, and each is served by the arm
// that the routes of its stratum give its unit. SLUICE_LONG=1 runs all of it, 50 s; otherwise 100 changes in a second.
func TestHundredShareChanges(t *testing.T) {
	const changes, clients, rate = 100, 32, 2000
	last := time.Second
	if long(t) {
		last = 50 * time.Second
	}
	specs := make([]*assign.Spec, changes+1)
	tables := make([]*assign.Routes, changes+1)
	for i := range specs {
		specs[i] = credit(release.Share(i)*release.Whole/changes, headerOnly, func(m *assign.RouteSpec) { m.Stratum = uint16(i) })
	}
	w := newWorldOn(t, &network{sockets: map[string]string{}}, specs[0])
	w.upstream("live", echo("v1"))
	w.upstream("candidate", echo("v2"))
	for i := range specs {
		w.serve(specs[i])
		tables[i] = w.routes.Load()
	}
	w.routes.Store(tables[0])
	begun := time.Now()
	var failed, wrong, asked atomic.Int64
	strata := sync.Map{}
	var group sync.WaitGroup
	var changed atomic.Bool
	first := make(chan struct{}, clients) // answers before any change
	group.Go(func() {
		<-first
		for i := 1; i <= changes; i++ {
			time.Sleep(time.Until(begun.Add(last * time.Duration(i) / (changes + 1))))
			w.routes.Store(tables[i])
		}
		changed.Store(true)
	})
	for c := range clients {
		group.Go(func() {
			for i, over := 0, false; !over; i++ { // at least once before the changes and once after them, on the slowest machine
				over = changed.Load() && time.Since(begun) >= last
				time.Sleep(time.Until(begun.Add(time.Duration(i*clients+c) * time.Second / rate)))
				unit := fmt.Sprintf("%d-%d", c, i%997)
				got, err := w.send(w.request(http.MethodGet, "/credit", "", "X-User-Id", unit))
				if asked.Add(1); i == 0 {
					first <- struct{}{}
				}
				if err != nil || got.err != nil || got.status != http.StatusOK {
					failed.Add(1)
					continue
				}
				token, err := w.keys.ParseToken(got.header.Get(HeaderID))
				if err != nil {
					failed.Add(1)
					continue
				}
				strata.Store(token.Stratum, true)
				want := tables[token.Stratum].All[0].Assign([]byte(unit))
				if token.Arm != want.Counted || !strings.Contains(got.body, []string{`"v1"`, `"v2"`}[want.Arm]) {
					wrong.Add(1)
				}
			}
		})
	}
	group.Wait()
	seen := 0
	strata.Range(func(any, any) bool { seen++; return true })
	t.Logf("%d requests in %v over %d of %d strata: %d failed, %d by a wrong arm", asked.Load(), time.Since(begun).Round(time.Second), seen, changes+1, failed.Load(), wrong.Load())
	if failed.Load() > 0 || wrong.Load() > 0 || seen < 2 {
		t.Error("a change of the share was felt")
	}
	exposures := w.sink.wait(t, int(asked.Load()))
	if len(exposures) != int(asked.Load()) {
		t.Errorf("%d exposures", len(exposures))
	}
}
