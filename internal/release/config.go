package release

import (
	"maps"
	"time"
)

// Config is the file that describes one Sluice process. Every field may be left out; an empty file is
// a whole Sluice on the loopback interface that stores into ./sluice-data.
type Config struct {
	APIVersion string     `json:"apiVersion"`        // sluice.dev/v1alpha1
	Kind       string     `json:"kind"`              // Config
	Metadata   Metadata   `json:"metadata,omitzero"` // free; the name is not used
	Spec       ConfigSpec `json:"spec,omitzero"`     // everything else
}

// ConfigSpec is what a Config file says about its process.
type ConfigSpec struct {
	// Namespace separates the models of several Sluices that share one store. One process serves one.
	// Default: default.
	Namespace string `json:"namespace,omitempty"`
	// What this process does: all (default), gateway (serves traffic) or controller (judges and decides).
	Role ProcessRole `json:"role,omitempty"`
	// DataDir is the folder of everything that this process keeps: the embedded store, the keyring, the
	// last routes, spooled telemetry. Only one process may use it. Default: sluice-data, in the working
	// folder.
	DataDir string `json:"dataDir,omitempty"`
	// Where models, releases and telemetry are stored.
	Store StoreConfig `json:"store,omitzero"`
	// The port that clients of the models talk to.
	Gateway GatewayConfig `json:"gateway,omitzero"`
	// The port of the API, the console and /metrics.
	Admin AdminConfig `json:"admin,omitzero"`
	// How telemetry waits for the store.
	Telemetry TelemetryConfig `json:"telemetry,omitzero"`
	// Where the bodies lie that Model files ask to capture.
	Capture CaptureConfig `json:"capture,omitzero"`
	// Where traces and metrics are sent, beside /metrics.
	OTLP OTLPConfig `json:"otlp,omitzero"`
	// Webhooks that are told of decisions.
	Notify []NotifyConfig `json:"notify,omitempty"`
	// What is logged on standard error.
	Log LogConfig `json:"log,omitzero"`
}

// ProcessRole is the part of Sluice that a process runs.
type ProcessRole string

// The parts.
const (
	RoleAll        ProcessRole = "all"
	RoleGateway    ProcessRole = "gateway"
	RoleController ProcessRole = "controller"
)

// Values implements Enum.
func (ProcessRole) Values() []string { return words(RoleAll, RoleGateway, RoleController) }

// StoreEmbedded is the address of the store inside the process.
const StoreEmbedded = "embedded"

// StoreConfig says which store is used.
type StoreConfig struct {
	// embedded (default), or the addresses of a NATS cluster with JetStream: nats://a:4222,b:4222,c:4222
	// (tls:// for TLS). Roles other than all need a cluster.
	Address string `json:"address,omitempty"`
	// File with NATS credentials (.creds).
	Credentials string `json:"credentials,omitempty"`
	// File with the certificates (PEM) that the cluster's certificate must descend from; default: the system's.
	CA string `json:"ca,omitempty"`
	// Copies that the cluster keeps of everything: 1, 3 or 5. Default: 3.
	Replicas int `json:"replicas,omitempty"`
}

// GatewayConfig describes the port for traffic.
type GatewayConfig struct {
	// Address to listen on. Default: 127.0.0.1:8080, reachable from this machine only.
	Listen string `json:"listen,omitempty"`
	// Serve HTTPS (and HTTP/2) instead of HTTP.
	TLS *TLSConfig `json:"tls,omitempty"`
	// Files with one API key per line, of which a client must send one as "Authorization: Bearer KEY" or
	// "X-Sluice-Key: KEY". Lines that are empty or begin with # are skipped. Default: no key is asked for.
	APIKeyFiles []string `json:"apiKeyFiles,omitempty"`
	// How long a candidate is served without news from the store; then live serves all. Default: 10m.
	Lease Duration `json:"lease,omitzero"`
	// What clients may send, and how slowly.
	Limits ServerLimits `json:"limits,omitzero"`
}

// AdminConfig describes the port for operators.
type AdminConfig struct {
	// Address to listen on. Default: 127.0.0.1:8081, reachable from this machine only. Every request but
	// /healthz, /readyz and the login page needs a token, whatever the address.
	Listen string `json:"listen,omitempty"`
	// Serve HTTPS instead of HTTP. Wanted whenever the address is reachable from elsewhere.
	TLS *TLSConfig `json:"tls,omitempty"`
	// The address that browsers use, like https://sluice.example.com, where it is another one than this port's: behind a
	// proxy, and for an identity provider.
	URL string `json:"url,omitempty"`
	// How long a browser stays logged in. Default: 12h.
	Session Duration `json:"session,omitzero"`
	// An identity provider that logs people in, beside tokens (OpenID Connect).
	OIDC *OIDCConfig `json:"oidc,omitempty"`
}

// OIDCConfig describes an identity provider. Its callback address is URL followed by /api/v1/oidc/callback.
type OIDCConfig struct {
	// The provider's address, exactly as its tokens name it.
	Issuer string `json:"issuer"`
	// The id under which the provider knows this Sluice.
	ClientID string `json:"clientID"`
	// Where the client's secret is: env:NAME or file:PATH. Default: none; the login is bound to the browser by PKCE in any
	// case.
	ClientSecret string `json:"clientSecret,omitempty"`
	// What people know the provider by. Default: the issuer's host.
	Name string `json:"name,omitempty"`
	// What is asked for beside openid. Default: profile, email and groups.
	Scopes []string `json:"scopes,omitempty"`
	// The claim that names the person. Default: email, which the provider must say is verified.
	NameClaim string `json:"nameClaim,omitempty"`
	// The claim that lists the person's groups. Default: groups.
	GroupsClaim string `json:"groupsClaim,omitempty"`
	// Which groups have which role: viewer, operator or admin. The highest one counts; "*" is everybody whom the provider
	// knows. Who has none does not get in.
	Roles map[string][]string `json:"roles"`
	// File with the certificates (PEM) that the provider's must descend from. Default: the system's.
	CA string `json:"ca,omitempty"`
}

// TLSConfig names the files of one port's certificate. They are read again when they change.
type TLSConfig struct {
	// File with the certificate and its chain (PEM).
	Cert string `json:"cert"`
	// File with the private key (PEM).
	Key string `json:"key"`
	// File with certificates (PEM) from one of which a client's must descend: mutual TLS. Default: clients
	// need none.
	ClientCA string `json:"clientCA,omitempty"`
}

// ServerLimits bound what one client can take of a port.
type ServerLimits struct {
	// Largest body of a request, whatever a model allows. Default: 100MiB.
	Body Bytes `json:"body,omitzero"`
	// Largest header of a request. Default: 64KiB.
	Header Bytes `json:"header,omitzero"`
	// Time for a request's header to arrive. Default: 10s.
	HeaderTimeout Duration `json:"headerTimeout,omitzero"`
	// Time for a request's body to arrive. Default: 5m.
	BodyTimeout Duration `json:"bodyTimeout,omitzero"`
	// Time that a connection may be idle between requests. Default: 2m.
	IdleTimeout Duration `json:"idleTimeout,omitzero"`
	// Connections at once. Default: 10000.
	Connections int `json:"connections,omitempty"`
	// Time that running requests have to end when the process stops. Default: 30s.
	ShutdownTimeout Duration `json:"shutdownTimeout,omitzero"`
}

// TelemetryConfig says how exposures wait for the store. What finds no room is dropped and counted; a
// release does not advance while more than 0.1 % of an arm is lost.
type TelemetryConfig struct {
	// Exposures held in memory, rounded up to a power of two. Each takes about 350 bytes. Default: 65536.
	Ring int `json:"ring,omitempty"`
	// Folder for what the store does not take for a while. Default: spool, inside dataDir.
	SpoolDir string `json:"spoolDir,omitempty"`
	// Most that the spool may hold. Default: 1GiB.
	SpoolSize Bytes `json:"spoolSize,omitzero"`
}

// CaptureConfig says where captured bodies lie and who can read them.
type CaptureConfig struct {
	// Folder of the encrypted files. Default: capture, inside dataDir.
	Dir string `json:"dir,omitempty"`
	// Public key (age1..., from age-keygen) of who may read them, so that the machine itself can't. Default: a key is made
	// in dataDir, readable by its owner alone.
	Recipient string `json:"recipient,omitempty"`
	// Most that the folder may hold; what finds no room is dropped and counted. Default: 1GiB.
	Size Bytes `json:"size,omitzero"`
}

// OTLPConfig says where traces and metrics are sent by the OpenTelemetry protocol (HTTP, protobuf).
type OTLPConfig struct {
	// Base address of the collector, like http://127.0.0.1:4318. Default: nothing is sent.
	Endpoint string `json:"endpoint,omitempty"`
	// Headers of each request to it. Values are references: "env:NAME" or "file:PATH".
	Headers map[string]Secret `json:"headers,omitempty"`
	// Share of the requests that are traced when their client doesn't say. Default: 1%.
	Traces Share `json:"traces,omitzero"`
}

// LogConfig says what is logged, and how.
type LogConfig struct {
	// Least severe level: debug, info (default), warn or error.
	Level LogLevel `json:"level,omitempty"`
	// text (default), for people, or json, for collectors.
	Format LogFormat `json:"format,omitempty"`
}

// LogLevel is the severity of a log line.
type LogLevel string

// The levels.
const (
	LogDebug LogLevel = "debug"
	LogInfo  LogLevel = "info"
	LogWarn  LogLevel = "warn"
	LogError LogLevel = "error"
)

// Values implements Enum.
func (LogLevel) Values() []string { return words(LogDebug, LogInfo, LogWarn, LogError) }

// LogFormat is the form of a log line.
type LogFormat string

// The formats.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Values implements Enum.
func (LogFormat) Values() []string { return words(LogText, LogJSON) }

// Defaults of a Config.
const (
	DefaultNamespace     = "default"
	DefaultDataDir       = "sluice-data"
	DefaultGatewayListen = "127.0.0.1:8080"
	DefaultAdminListen   = "127.0.0.1:8081"
	DefaultLease         = 10 * time.Minute
	DefaultReplicas      = 3
	DefaultServerBody    = 100 << 20
	DefaultServerHeader  = 64 << 10
	DefaultHeaderTimeout = 10 * time.Second
	DefaultBodyTimeout   = 5 * time.Minute
	DefaultIdleTimeout   = 2 * time.Minute
	DefaultConnections   = 10_000

	DefaultAdminConnections = 1000
	DefaultShutdownTimeout  = 30 * time.Second
	DefaultSession          = 12 * time.Hour
	DefaultRing             = 65_536
	DefaultSpool            = "spool"
	DefaultSpoolSize        = 1 << 30
	DefaultCaptureSize      = 1 << 30
	DefaultTraces           = Whole / 100
)

// DefaultConfig is what an empty file means.
func DefaultConfig() *Config {
	return (&Config{APIVersion: APIVersion, Kind: KindConfig}).Normalise()
}

// Normalise returns a copy with every default written out. SpoolDir stays empty if it lies in DataDir:
// joining paths is for whoever knows the file system.
func (c *Config) Normalise() *Config {
	n := *c
	s := &n.Spec
	setDefault(&s.Namespace, DefaultNamespace)
	setDefault(&s.Role, RoleAll)
	setDefault(&s.DataDir, DefaultDataDir)
	setDefault(&s.Store.Address, StoreEmbedded)
	if s.Store.Address != StoreEmbedded {
		setDefault(&s.Store.Replicas, DefaultReplicas)
	}
	setDefault(&s.Gateway.Listen, DefaultGatewayListen)
	setDefault(&s.Gateway.Lease, Duration(DefaultLease))
	s.Gateway.TLS, s.Admin.TLS = clonePtr(s.Gateway.TLS), clonePtr(s.Admin.TLS)
	s.Gateway.APIKeyFiles = append([]string(nil), s.Gateway.APIKeyFiles...)
	s.Gateway.Limits.normalise()
	setDefault(&s.Admin.Listen, DefaultAdminListen)
	setDefault(&s.Admin.Session, Duration(DefaultSession))
	s.Admin.OIDC = s.Admin.OIDC.normalise()
	setDefault(&s.Telemetry.Ring, DefaultRing)
	setDefault(&s.Telemetry.SpoolSize, DefaultSpoolSize)
	setDefault(&s.Capture.Size, DefaultCaptureSize)
	if s.OTLP.Endpoint != "" {
		setDefault(&s.OTLP.Traces, DefaultTraces)
	}
	s.Notify = normaliseNotify(s.Notify)
	setDefault(&s.Log.Level, LogInfo)
	setDefault(&s.Log.Format, LogText)
	return &n
}

func (o *OIDCConfig) normalise() *OIDCConfig {
	if o == nil {
		return nil
	}
	n := *o
	setDefault(&n.NameClaim, "email")
	setDefault(&n.GroupsClaim, "groups")
	if len(n.Scopes) == 0 {
		n.Scopes = []string{"profile", "email", "groups"}
	}
	n.Scopes = append([]string(nil), n.Scopes...)
	n.Roles = maps.Clone(n.Roles)
	return &n
}

func (l *ServerLimits) normalise() {
	setDefault(&l.Body, DefaultServerBody)
	setDefault(&l.Header, DefaultServerHeader)
	setDefault(&l.HeaderTimeout, Duration(DefaultHeaderTimeout))
	setDefault(&l.BodyTimeout, Duration(DefaultBodyTimeout))
	setDefault(&l.IdleTimeout, Duration(DefaultIdleTimeout))
	setDefault(&l.Connections, DefaultConnections)
	setDefault(&l.ShutdownTimeout, Duration(DefaultShutdownTimeout))
}
