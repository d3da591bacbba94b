package gateway

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
)

// counter returns the sum of a counter's series that have the label.
func (w *world) counter(name, label, value string) float64 {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == label && l.GetValue() == value {
					sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
	}
	return sum
}

func TestMetrics(t *testing.T) {
	w := newWorld(t, credit(release.Whole, func(m *assign.RouteSpec) { m.Breaker.MaxFailureRate = 0.5 }))
	w.upstream("live", echo("v1"))
	w.upstream("candidate", echo("v2"))
	w.do("GET", "/credit", "", "X-User-Id", "u")
	w.do("GET", "/credit", "")
	w.do("GET", "/nowhere", "")
	for _, c := range []struct {
		name, label, value string
		want               float64
	}{
		{nameRequests, "class", "2xx", 2},
		{nameRequests, "arm", "candidate", 1},
		{nameUnassigned, "reason", "missing", 1},
		{nameProblems, "kind", "no_route", 1},
		{nameArm, "version", "v2", 1},
		{nameBreaker, "arm", "candidate", 0},
	} {
		if got := w.counter(c.name, c.label, c.value); got != c.want {
			t.Errorf("%s{%s=%q} is %v, want %v", c.name, c.label, c.value, got, c.want)
		}
	}
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
}

// The number of series is bounded, however many models there are.
func TestMetricsCardinality(t *testing.T) {
	spec := &assign.Spec{}
	for i := range maxLabelled + 50 {
		one := credit(release.Whole).Models[0]
		one.Model, one.Match.Path = fmt.Sprintf("m%d", i), fmt.Sprintf("/m%d", i)
		spec.Models = append(spec.Models, one)
	}
	w := newWorld(t, spec)
	w.do("GET", "/m1", "")
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if n, want := len(f.GetMetric()), (maxLabelled+1)*2*int(classes_); f.GetName() == nameRequests && n != want {
			t.Errorf("%d series, want %d", n, want)
		}
	}
}
