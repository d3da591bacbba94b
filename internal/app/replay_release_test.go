package app

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"sluice.dev/sluice/internal/controller"
	"sluice.dev/sluice/internal/ingest"
	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/store"
)

const harmful = `
apiVersion: sluice.dev/v1alpha1
kind: Model
metadata: {name: credit}
spec:
  match: {path: /credit}
  dialect: json
  unit: {from: [header:X-User-Id]}
  versions:
    v1: {url: "http://127.0.0.1:9101"}
    v2: {url: "http://127.0.0.1:9102"}
  live: v1
  metrics:
    - {name: errors, source: error, direction: lower, margin: 0.5pp, role: guardrail}
  plan:
    steps:
      - canary: {shares: [50%], hold: 10m, deadline: 1h}
      - production: {watch: 1h}
`

type everywhere struct{}

func (everywhere) Served(string) uint64 { return 1 << 40 }

// TestReplayOfAStoredRelease lets a candidate that fails be rolled back through log, folder, controller and records, and judges the
// stored decision again.
func TestReplayOfAStoredRelease(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := store.NewMemory()
	r := records.New(s)
	m, faults := release.ParseModel("model.yaml", []byte(harmful))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	now, who := time.Now(), records.Who{Name: "ann", Role: "admin"}
	if _, _, err := r.PutModel(ctx, m.Normalise(), who, now); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Start(ctx, records.StartParams{Model: "credit", Candidate: "v2", Reason: "test", Who: who, Now: now, Salt: newSalt()}); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	both := &telemetryLog{store: s, records: r}
	p := ingest.NewPublisher(ingest.Options{Log: both, Producer: "gateway-1", Incarnation: 1, Logger: log})
	folder := ingest.NewFolder(both, log, time.Second)
	ended := make(chan error, 2)
	go func() { ended <- p.Run(ctx, time.Second) }()
	go func() { ended <- folder.Run(ctx) }()
	ctl := controller.New(controller.Options{
		Records: r, Evidence: &evidence{folder: folder, publisher: p, store: s}, Gateways: everywhere{}, Log: log, Lease: time.Minute,
	})
	lease, err := r.Lead(ctx, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	id := uint64(0)
	rolledBack := func() bool {
		rel, err := r.Release(ctx, "credit", 1)
		if err != nil {
			t.Fatal(err)
		}
		st := rel.State.Strata[len(rel.State.Strata)-1]
		for i := range uint64(400) {
			id++
			unit := id * 0x9e3779b97f4a7c15 // users who come once
			e := release.Exposure{
				ID: id, Unit: unit, Time: time.Now().UnixMilli(), Model: release.ModelKeyOf("credit"), Release: 1,
				Stratum: st.ID, Epoch: st.Epoch, Bin: uint16(unit >> 20 % release.Bins), Arm: uint8(i % 2), Kind: release.ExposureServe, N: 1,
			}
			if i%50 == 0 || i%2 == 1 && i%3 == 0 { // live fails in 4 %, the candidate in a third
				e.Fault = release.FaultUpstream
			}
			p.Record(&e)
		}
		now = now.Add(time.Second)
		if err := ctl.Tick(ctx, now, lease); err != nil {
			t.Fatal(err)
		}
		return rel.State.Phase.Ended()
	}
	for deadline := time.Now().Add(time.Minute); !rolledBack(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a third of the requests fail and nothing happens")
		}
	}
	cancel()
	for range 2 {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	all, err := replay(t.Context(), s, "credit", 1)
	if err != nil {
		t.Fatal(err)
	}
	judged := 0
	for _, x := range all {
		if x.Judged {
			judged++
		}
		if x.Same != x.Judged {
			t.Errorf("decision %d: %s", x.Number, x.Differs)
		}
	}
	if judged == 0 {
		t.Errorf("no decision rests on verdicts: %+v", all)
	}
}
