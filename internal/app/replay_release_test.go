package app

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sluice.dev/sluice/internal/controller"
	"sluice.dev/sluice/internal/ingest"
	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
	"sluice.dev/sluice/internal/tally"
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
	underAnotherPlan(t, s, m)
	for p := range release.Partitions {
		if err := s.Trim(t.Context(), logName(p), 5); err != nil {
			t.Fatal(err)
		}
	}
	const gone = "the log does not reach back to the beginning of the release"
	if _, err := rejudge(t.Context(), s, "credit", 1, m); err == nil || !strings.Contains(err.Error(), gone) {
		t.Errorf("under another plan, from a log that was cut: %v", err)
	}
	all, err = replay(t.Context(), s, "credit", 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range all {
		if x.Judged && !strings.Contains(x.Differs, gone) {
			t.Errorf("decision %d from a log that was cut: %+v", x.Number, x)
		}
	}
}

// underAnotherPlan judges the release, in which a third of the candidate's requests failed, under other margins.
func underAnotherPlan(t *testing.T, s store.Store, m *release.Model) {
	t.Helper()
	same, err := rejudge(t.Context(), s, "credit", 1, m)
	if err != nil {
		t.Fatal(err)
	}
	last := same.Looks[len(same.Looks)-1]
	if same.Harm == nil || same.Harm.HarmBy != "errors" || !last.Harm || last.Recorded != rollout.RollBack || last.Shown {
		t.Errorf("under its own plan: %+v", same)
	}
	if same.Harm != nil && same.Harm.Time.After(last.Time) {
		t.Errorf("harm at %v, the last look at %v", same.Harm.Time, last.Time)
	}
	loose := m.Normalise()
	loose.Spec.Metrics[0].Margin, loose.Spec.Metrics[0].Tolerate = release.Margin{Value: 50, Unit: release.Points}, release.Margin{Value: 49, Unit: release.Points}
	if r, err := rejudge(t.Context(), s, "credit", 1, loose); err != nil || r.Harm != nil || r.Looks[len(r.Looks)-1].Verdicts[0].State != judge.Undecided { // the users' windows are open
		t.Errorf("with a margin of 50 points: %+v, %v", r, err)
	}
	none := m.Normalise()
	none.Spec.Metrics = []release.Metric{{Name: "slow", Source: "latency", Role: release.Guardrail}}
	if _, err := rejudge(t.Context(), s, "credit", 1, none); release.KindOf(err) != release.KindInvalid || !strings.Contains(err.Error(), "slow was not measured") {
		t.Errorf("a metric that was not measured: %v", err)
	}
	other := m.Normalise()
	other.Spec.Metrics[0].Source = "timeout"
	if _, err := rejudge(t.Context(), s, "credit", 1, other); release.KindOf(err) != release.KindInvalid || !strings.Contains(err.Error(), "was measured as event error") {
		t.Errorf("a metric that reads something else: %v", err)
	}
}

// TestEdges: other margins move the candidate's latency edges, and only those.
func TestEdges(t *testing.T) {
	m := &release.Model{}
	m.Spec.Metrics = []release.Metric{{
		Name: "slow", Kind: release.MetricLatency, Role: release.Guardrail, Quantile: 0.95,
		Margin: release.Margin{Value: 2, Unit: release.Factor}, Tolerate: release.Margin{Value: 1.5, Unit: release.Factor},
	}}
	was := release.Threshold{Quantile: 0.95, X: tally.Snap(100_000), Tolerate: tally.Snap(110_000), Margin: tally.Snap(125_000)}
	b := &release.Baseline{Metrics: map[string]release.MetricBaseline{"slow": {Thresholds: []release.Threshold{was}}, "errors": {Mean: 0.5}}}
	got, err := edges(m, b)
	if err != nil {
		t.Fatal(err)
	}
	want := release.Threshold{Quantile: 0.95, X: was.X}
	want.Tolerate, want.Margin = judge.Edges(&m.Spec.Metrics[0], was.X)
	if want.Tolerate < was.X*3/2 || want.Tolerate > was.X*31/20 || want.Margin > 2*was.X || want.Margin < was.X*39/20 {
		t.Fatalf("edges %+v", want)
	}
	if now := got.Metrics["slow"].Thresholds[0]; now != want || b.Metrics["slow"].Thresholds[0] != was || got.Metrics["errors"].Mean != 0.5 {
		t.Errorf("%+v, want %+v; the stored ones %+v", now, want, b.Metrics["slow"].Thresholds[0])
	}
	marks := []release.Mark{{Model: 7, Release: 1, Baseline: b}, {Model: 7, Release: 2, Baseline: b}}
	if !replaceMarks(marks, 7, 1, got) || marks[0].Baseline != got || marks[1].Baseline != b {
		t.Errorf("marks %+v", marks)
	}
	m.Spec.Metrics[0].Quantile = 0.9
	if _, err := edges(m, b); release.KindOf(err) != release.KindInvalid {
		t.Errorf("a quantile that was not frozen: %v", err)
	}
}
