package release

import (
	"strings"
	"testing"
	"time"
)

const servingHead = `apiVersion: sluice.dev/v1alpha1
kind: Model
metadata: {name: m}
spec:
  match: {path: /m}
  dialect: json
  unit: {from: [header:X-User-Id]}
  live: v1
  metrics: [{name: errors, source: error, direction: lower, margin: 1pp, role: guardrail}]
  plan: {steps: [{canary: {shares: [50%], deadline: 24h}}, {production: {holdback: 5%, watch: 24h}}]}
  versions:
    v1: `

// How a version is asked is checked field by field, and its parts get their defaults only where they are used.
func TestServing(t *testing.T) {
	for _, c := range []struct{ version, fault string }{
		{`{url: "http://a", protocol: h2c, timeouts: {headers: 1s, firstToken: 2s, between: 3s}}`, ""},
		{`{url: "https://a", protocol: h2, queue: {length: 10}, health: {path: /healthz}, hedge: {after: 300ms, any: true}}`, ""},
		{`{url: "http://a", protocol: h2}`, "write h2c, or an https url"},
		{`{url: "https://a", protocol: h2c}`, "write h2, or an http url"},
		{`{url: "http://a", protocol: http3}`, "protocol"},
		{`{url: "http://a", timeouts: {headers: 0s}}`, "timeouts.headers"},
		{`{url: "http://a", timeouts: {between: 2h}}`, "timeouts.between"},
		{`{url: "http://a", queue: {length: -1}}`, "queue.length"},
		{`{url: "http://a", queue: {length: 5, wait: 0s}}`, "queue.wait"},
		{`{url: "http://a", health: {interval: 1s}}`, "health.path"},
		{`{url: "http://a", health: {path: "no slash"}}`, "health.path"},
		{`{url: "http://a", health: {path: /h, unhealthy: 1000}}`, "health.unhealthy"},
		{`{url: "http://a", hedge: {after: 0s}}`, "hedge.after"},
	} {
		m, faults := ParseModel("m.yaml", []byte(servingHead+c.version+"\n"))
		text := faults.Errors().Error()
		if (text == "") != (c.fault == "") || !strings.Contains(text, c.fault) {
			t.Errorf("%s: %s", c.version, text)
		}
		if c.fault != "" {
			continue
		}
		v := m.Normalise().Spec.Versions["v1"]
		if v.Queue.Length > 0 != (v.Queue.Wait.Std() == time.Second) || (v.Health.Path != "") != (v.Health.Unhealthy == 3 && v.Health.Healthy == 2 && v.Health.Interval.Std() == 5*time.Second) {
			t.Errorf("%s: defaults %+v", c.version, v)
		}
	}
}
