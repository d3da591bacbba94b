package release

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestParseConfig(t *testing.T) {
	c, faults := ParseConfig("config.yaml", read(t, "config.yaml"))
	if len(faults) > 0 {
		t.Fatalf("faults:\n%v", faults)
	}
	data, err := json.Marshal(c.Normalise())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "config.normalised.json", append(indent(t, data), '\n'))
	if again, faults := ParseConfig("normalised.json", data); faults.Err() != nil || !reflect.DeepEqual(again.Normalise(), c.Normalise()) {
		t.Errorf("the normalised config reads back as %+v\n%v", again, faults)
	}
}

// The smallest file is valid, quiet, and means the defaults.
func TestDefaultConfig(t *testing.T) {
	c, faults := ParseConfig("config.yaml", []byte("apiVersion: sluice.dev/v1alpha1\nkind: Config\n"))
	if len(faults) > 0 {
		t.Fatalf("faults:\n%v", faults)
	}
	if !reflect.DeepEqual(c.Normalise(), DefaultConfig()) {
		t.Errorf("%+v, want %+v", c.Normalise(), DefaultConfig())
	}
	if faults := DefaultConfig().Validate(); len(faults) > 0 {
		t.Errorf("faults of the defaults:\n%v", faults)
	}
	s := DefaultConfig().Spec
	if s.Gateway.Listen != "127.0.0.1:8080" || s.Admin.Listen != "127.0.0.1:8081" || s.Store.Address != "embedded" {
		t.Errorf("defaults %+v", s)
	}
}

func TestConfigFaults(t *testing.T) {
	for _, tt := range []struct{ spec, want string }{
		{"capture: {recipient: me}", "config.yaml:3:29: capture.recipient: it is no public key"},
		{"capture: {size: 1B}", "config.yaml:3:24: capture.size: 1B is out of range"},
		{"otlp: {traces: 5%}", "config.yaml:3:14: otlp.endpoint: it is missing"},
		{"otlp: {endpoint: \"ftp://x\"}", "config.yaml:3:25: otlp.endpoint: the scheme"},
		{"otlp: {endpoint: \"http://x\", headers: {Authorization: Bearer-x}}", "config.yaml:3:62: otlp.headers.Authorization: a secret must not stand in the file"},
		{"namespace: A.B", "config.yaml:3:19: namespace: \"A.B\" is not a valid name"},
		{"role: gatway", `role: "gatway" is not known here (write one of "all", "gateway" or "controller"; did you mean "gateway"?)`},
		{"role: gateway", "role: a gateway alone can't reach the embedded store"},
		{"store: embedded", "store: it must be a mapping, not text"},
		{"store: {replicas: 3}", "store.replicas: the embedded store keeps one copy"},
		{"store: {credentials: x}", "store.credentials: the embedded store has none"},
		{"store: {address: redis://a}", "store.address: it is not the address of a store"},
		{"store: {address: \"nats://a:4222,b:x\"}", "store.address: server number 2 is not an address"},
		{"store: {address: \"nats://me:pw@a:4222\"}", "store.address: server number 1 holds credentials"},
		{"store: {address: nats://a, replicas: 2}", "store.replicas: 2 is not a number of copies"},
		{"gateway: {listen: 8080}", "gateway.listen: it must be text, not a number (put it in quotes: \"8080\")"},
		{"gateway: {listen: \"8080\"}", "gateway.listen: \"8080\" is not an address to listen on"},
		{"gateway: {listen: \"a:b:80\"}", "gateway.listen"},
		{"gateway: {listen: \"::1:80\"}", "gateway.listen"},
		{"gateway: {listen: \":080\"}", "gateway.listen"},
		{"gateway: {listen: \":70000\"}", "gateway.listen"},
		{"gateway: {listen: \"127.0.0.1:8081\"}", "admin.listen: the gateway listens on 127.0.0.1:8081 already"},
		{"admin: {url: sluice.example.com}", "admin.url: \"sluice.example.com\" is not an origin"},
		{"admin: {url: \"https://sluice.example.com/console\"}", "is not an origin"},
		{"admin: {session: 1s}", "admin.session: "},
		{"admin: {oidc: {issuer: \"http://login.example.com\", clientID: x, roles: {viewer: [\"*\"]}}}", "admin.oidc.issuer: \"http://login.example.com\" is not an HTTPS address"},
		{"admin: {oidc: {issuer: \"https://login.example.com\", clientID: x, roles: {viewer: [\"*\"]}}}", "admin.url: spec.admin.oidc needs it"},
		{"admin: {url: \"https://s.example\", oidc: {issuer: \"https://login.example.com\", clientID: x, roles: {}}}", "admin.oidc.roles: nobody would get in"},
		{"admin: {url: \"https://s.example\", oidc: {issuer: \"https://login.example.com\", clientID: x, roles: {god: [a]}}}", "admin.oidc.roles: \"god\" is not a role"},
		{"admin: {url: \"https://s.example\", oidc: {issuer: \"https://login.example.com\", clientID: x, roles: {admin: [\"*\"]}}}", "everybody would be an admin"},
		{"admin: {url: \"https://s.example\", oidc: {issuer: \"https://login.example.com\", clientID: x, clientSecret: hunter2, roles: {admin: [a]}}}", "admin.oidc.clientSecret: it is neither"},
		{"gateway: {tls: {cert: a}}", "gateway.tls.key: it is missing"},
		{"gateway: {tls: {cert: a, key: ''}}", "gateway.tls.key: it is empty"},
		{"gateway: {apiKeyFiles: ['']}", "gateway.apiKeyFiles[0]: it is empty"},
		{"gateway: {lease: 1s}", "gateway.lease: 1s is out of range (write a time from 10s to 24h)"},
		{"gateway: {limits: {body: 0}}", "gateway.limits.body: 0B is out of range (write a size from 1B to 1GiB)"},
		{"gateway: {limits: {headerTimeout: 0s}}", "gateway.limits.headerTimeout: 0s is out of range"},
		{"gateway: {limits: {connections: 0}}", "gateway.limits.connections: 0 is out of range"},
		{"telemetry: {ring: 10}", "telemetry.ring: 10 is out of range"},
		{"telemetry: {spoolSize: 1KiB}", "telemetry.spoolSize: 1KiB is out of range"},
		{"log: {level: trace}", "log.level: \"trace\" is not known here"},
		{"notify: [{secret: env:X}]", "notify[0].url: it is missing"},
		{"notify: [{url: 'ftp://a/b'}]", `notify[0].url: the scheme "ftp" is not supported`},
		{"notify: [{url: 'https://u:pw@a/b'}]", "notify[0].url: it holds credentials"},
		{"notify: [{url: 'env:'}]", "notify[0].url: the secret's name is empty"},
		{"notify: [{url: 'https://a', secret: hunter2}]", "notify[0].secret: a secret must not stand in the file"},
		{"notify: [{url: 'https://a', on: [rolback]}]", `did you mean "rollback"?`},
		{"notify: [{url: 'https://a', format: xml}]", `notify[0].format: "xml" is not known here`},
		{"logs: {}", `logs: there is no such field (remove it; did you mean "log"?)`},
	} {
		c, faults := ParseConfig("config.yaml", []byte("apiVersion: sluice.dev/v1alpha1\nkind: Config\nspec: {"+tt.spec+"}\n"))
		if c != nil || !strings.Contains(faults.Errors().Error(), tt.want) {
			t.Errorf("%s: faults:\n%v\nwant one with %s", tt.spec, faults, tt.want)
		}
		if strings.Contains(faults.Error(), "pw@") {
			t.Errorf("a message shows a password: %v", faults)
		}
	}
	for listen, open := range map[string]bool{":8081": true, "0.0.0.0:8081": true, "10.0.0.1:8081": true, "127.0.0.2:8081": false, "[::1]:1": false, "localhost:1": false} {
		c, faults := ParseConfig("config.yaml", []byte("apiVersion: sluice.dev/v1alpha1\nkind: Config\nspec: {admin: {listen: \""+listen+"\"}}\n"))
		if warned := strings.Contains(faults.Error(), "warning: admin.listen: tokens travel in the clear"); c == nil || warned != open {
			t.Errorf("%s: faults:\n%v", listen, faults)
		}
	}
	for _, listen := range []string{":8080", "0.0.0.0:0", "[::]:80", "localhost:9000", "gw.example.org:80"} {
		c := DefaultConfig()
		c.Spec.Gateway.Listen = listen
		if bad := c.Validate().Errors(); len(bad) > 0 {
			t.Errorf("%s: %v", listen, bad)
		}
	}
}
