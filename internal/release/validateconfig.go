package release

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseConfig reads a Config file as ParseModel reads a Model file. The config is nil if the file can't
// be used, otherwise as it was written: Normalise fills its defaults.
func ParseConfig(name string, data []byte) (*Config, Faults) {
	cfg, at, faults := DecodeStrict[Config](name, data, KindConfig)
	if !at.Faulty("") {
		faults = append(faults, cfg.validate(at)...)
	}
	faults = faults.Sorted()
	if faults.Err() != nil {
		return nil, faults
	}
	return cfg, faults
}

// Validate checks the sense of a config that did not come from a file, such as one made from flags.
func (c *Config) Validate() Faults { return c.validate(nil).Sorted() }

func (c *Config) validate(at *Positions) Faults {
	x := &checker{at: at}
	raw, s := &c.Spec, &c.Normalise().Spec
	if at.Written("metadata") {
		checkMetadata(x, c.Metadata)
	}
	if !isLabel(s.Namespace) {
		x.fail("spec.namespace", `write lower-case letters, digits and inner "-", at most 63`, "%q is not a valid name", clip(s.Namespace))
	}
	x.store(s)
	x.listen("spec.gateway.listen", s.Gateway.Listen)
	x.listen("spec.admin.listen", s.Admin.Listen)
	if s.Gateway.Listen == s.Admin.Listen && !strings.HasSuffix(s.Admin.Listen, ":0") {
		x.fail("spec.admin.listen", "choose another port", "the gateway listens on %s already", s.Admin.Listen)
	}
	if !isLoopback(s.Admin.Listen) && s.Admin.TLS == nil {
		x.warn("spec.admin.listen", "add admin.tls, or listen on 127.0.0.1", "tokens travel in the clear on a port that others can reach")
	}
	x.tls("spec.gateway.tls", s.Gateway.TLS)
	x.tls("spec.admin.tls", s.Admin.TLS)
	x.adminURL("spec.admin.url", s.Admin.URL)
	x.between("spec.admin.session", s.Admin.Session, raw.Admin.Session, time.Minute, 30*24*time.Hour)
	x.oidc("spec.admin.oidc", s.Admin)
	for i, file := range s.Gateway.APIKeyFiles {
		if file == "" {
			x.fail(fmt.Sprintf("spec.gateway.apiKeyFiles[%d]", i), "write the path of a file", "it is empty")
		}
	}
	x.between("spec.gateway.lease", s.Gateway.Lease, raw.Gateway.Lease, 10*time.Second, 24*time.Hour)
	x.serverLimits("spec.gateway.limits", s.Gateway.Limits, raw.Gateway.Limits)
	x.count("spec.telemetry.ring", s.Telemetry.Ring, raw.Telemetry.Ring, 1024, 1<<22)
	x.size("spec.telemetry.spoolSize", s.Telemetry.SpoolSize, raw.Telemetry.SpoolSize, 1<<20, maxBytes)
	x.size("spec.capture.size", s.Capture.Size, raw.Capture.Size, 1<<20, maxBytes)
	if r := s.Capture.Recipient; r != "" && !strings.HasPrefix(r, "age1") {
		x.fail("spec.capture.recipient", "write the public key that age-keygen prints, age1...", "it is no public key")
	}
	x.otlp("spec.otlp", s.OTLP)
	x.notify("spec.notify", s.Notify)
	return x.faults
}

func (c *checker) store(s *ConfigSpec) {
	const path = "spec.store"
	if s.Store.Address == StoreEmbedded {
		for field, value := range map[string]string{".credentials": s.Store.Credentials, ".ca": s.Store.CA} {
			if value != "" {
				c.fail(path+field, "remove it, or name a cluster in address", "the embedded store has none")
			}
		}
		if s.Store.Replicas != 0 {
			c.fail(path+".replicas", "remove it, or name a cluster in address", "the embedded store keeps one copy")
		}
		if s.Role != RoleAll {
			c.fail("spec.role", "write role: all, or name a cluster in store.address, like nats://a:4222,b:4222,c:4222",
				"a %s alone can't reach the embedded store of another process", s.Role)
		}
		return
	}
	if r := s.Store.Replicas; r != 1 && r != 3 && r != 5 {
		c.fail(path+".replicas", "write 1, 3 or 5", "%d is not a number of copies", r)
	}
	c.servers(path+".address", s.Store.Address)
}

// servers checks a list like nats://a:4222,b:4222. Messages don't quote it: it may hold a password.
func (c *checker) servers(path, text string) {
	const remedy = "write embedded, or the servers of a cluster like nats://a:4222,b:4222,c:4222"
	scheme, list, ok := strings.Cut(text, "://")
	if !ok || scheme != "nats" && scheme != "tls" || list == "" {
		c.fail(path, remedy, "it is not the address of a store")
		return
	}
	for i, server := range strings.Split(list, ",") {
		server = strings.TrimPrefix(strings.TrimSpace(server), scheme+"://")
		u, err := url.Parse(scheme + "://" + server)
		switch {
		case err != nil || u.Hostname() == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "":
			c.fail(path, remedy, "server number %d is not an address", i+1)
		case u.User != nil:
			c.fail(path, "remove them and name a file in store.credentials", "server number %d holds credentials", i+1)
		}
	}
}

// adminURL checks an origin: scheme, host and port, without anything behind them.
func (c *checker) adminURL(path, text string) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		c.fail(path, "write scheme and host alone, like https://sluice.example.com", "%q is not an origin", clip(text))
	}
}

func (c *checker) oidc(path string, a AdminConfig) {
	o := a.OIDC
	if o == nil {
		return
	}
	u, err := url.Parse(o.Issuer)
	safe := err == nil && (u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Host))
	if !safe || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		c.fail(path+".issuer", "write the provider's address, like https://login.example.com", "%q is not an HTTPS address", clip(o.Issuer))
	}
	if o.ClientID == "" {
		c.fail(path+".clientID", "write the id under which the provider knows this Sluice", "it is missing")
	}
	if s := o.ClientSecret; s != "" && !strings.HasPrefix(s, "env:") && !strings.HasPrefix(s, "file:") {
		c.fail(path+".clientSecret", "write env:NAME or file:PATH; secrets do not belong in this file", "it is neither")
	}
	if a.URL == "" {
		c.fail("spec.admin.url", "write the address that browsers use: the provider sends them back to it", "%s needs it", path)
	}
	if len(o.Roles) == 0 {
		c.fail(path+".roles", "write who may get in, like roles: {viewer: [\"*\"], operator: [ml-team]}", "nobody would get in")
	}
	for _, role := range slices.Sorted(maps.Keys(o.Roles)) {
		if role != "viewer" && role != "operator" && role != "admin" {
			c.fail(path+".roles", "use viewer, operator or admin", "%q is not a role", clip(role))
		}
		if role == "admin" && slices.Contains(o.Roles[role], "*") {
			c.fail(path+".roles", "name the groups of the admins", "everybody would be an admin")
		}
	}
}

// listen checks an address to listen on: host:port, where the host may be empty, a name or an IP address.
func (c *checker) listen(path, text string) {
	host, port, ok := splitHostPort(text)
	n, err := strconv.ParseUint(port, 10, 16)
	_, errIP := netip.ParseAddr(host)
	if !ok || err != nil || strconv.FormatUint(n, 10) != port || host != "" && errIP != nil && !isHost(host) {
		c.fail(path, `write host:port, like "127.0.0.1:8080" or ":8080" for every interface`, "%q is not an address to listen on", clip(text))
	}
}

// splitHostPort cuts at the last colon and takes the brackets off an IPv6 address.
func splitHostPort(s string) (host, port string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", "", false
	}
	host, port = s[:i], s[i+1:]
	if inner, bracketed := strings.CutPrefix(host, "["); bracketed {
		inner, closed := strings.CutSuffix(inner, "]")
		return inner, port, closed && strings.Contains(inner, ":")
	}
	return host, port, !strings.Contains(host, ":")
}

func isLoopback(listen string) bool {
	host, _, _ := splitHostPort(listen)
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func (c *checker) tls(path string, t *TLSConfig) {
	if t == nil {
		return
	}
	if t.Cert == "" {
		c.fail(path+".cert", "write the path of a PEM file", "it is empty")
	}
	if t.Key == "" {
		c.fail(path+".key", "write the path of a PEM file", "it is empty")
	}
}

func (c *checker) otlp(path string, o OTLPConfig) {
	if o.Endpoint == "" {
		if len(o.Headers) > 0 || o.Traces > 0 {
			c.fail(path+".endpoint", "write the collector's address, like http://127.0.0.1:4318", "it is missing")
		}
		return
	}
	c.url(path+".endpoint", o.Endpoint)
	if o.Traces > Whole {
		c.fail(path+".traces", "write a share from 0% to 100%", "%s is more than all", o.Traces)
	}
	c.headerNames(path+".headers", slices.Sorted(maps.Keys(o.Headers)))
	for _, name := range slices.Sorted(maps.Keys(o.Headers)) {
		c.secret(child(path+".headers", name), name, o.Headers[name])
	}
}

func (c *checker) serverLimits(path string, l, raw ServerLimits) {
	c.size(path+".body", l.Body, raw.Body, 1, MaxBody)
	c.size(path+".header", l.Header, raw.Header, 1<<10, 16<<20)
	c.between(path+".headerTimeout", l.HeaderTimeout, raw.HeaderTimeout, time.Millisecond, time.Hour)
	c.between(path+".bodyTimeout", l.BodyTimeout, raw.BodyTimeout, time.Millisecond, 24*time.Hour)
	c.between(path+".idleTimeout", l.IdleTimeout, raw.IdleTimeout, time.Millisecond, 24*time.Hour)
	c.between(path+".shutdownTimeout", l.ShutdownTimeout, raw.ShutdownTimeout, time.Millisecond, time.Hour)
	c.count(path+".connections", l.Connections, raw.Connections, 1, 1_000_000)
}

// between checks a time; value has its default, raw is as written, because a written zero means no default.
func (c *checker) between(path string, value, raw Duration, least, most time.Duration) {
	if value.Std() < least || value.Std() > most || raw == 0 && c.at.Written(path) {
		c.fail(path, fmt.Sprintf("write a time from %s to %s", Duration(least), Duration(most)), "%s is out of range", raw)
	}
}

func (c *checker) size(path string, value, raw, least, most Bytes) {
	if value < least || value > most || raw == 0 && c.at.Written(path) {
		c.fail(path, fmt.Sprintf("write a size from %s to %s", least, most), "%s is out of range", raw)
	}
}

func (c *checker) count(path string, value, raw, least, most int) {
	if value < least || value > most || raw == 0 && c.at.Written(path) {
		c.fail(path, fmt.Sprintf("write a number from %d to %d", least, most), "%d is out of range", raw)
	}
}
