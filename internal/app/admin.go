package app

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/console"
	"sluice.dev/sluice/internal/oidc"
	"sluice.dev/sluice/internal/release"
)

// adminLimits are those of the admin port: nothing but people, scripts and consoles.
var adminLimits = release.ServerLimits{
	Header: release.DefaultServerHeader, HeaderTimeout: release.Duration(release.DefaultHeaderTimeout),
	IdleTimeout: release.Duration(release.DefaultIdleTimeout), Connections: release.DefaultAdminConnections,
}

func (a *App) startAdmin(spec release.ConfigSpec) error {
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	lease := time.Duration(spec.Gateway.Lease)
	access, err := a.access(spec.Admin)
	if err != nil {
		return err
	}
	h := api.New(api.Options{
		Records: a.records, Now: time.Now, Log: a.o.Log, Version: a.o.Version, Salt: newSalt,
		Publish: func(ctx context.Context) error {
			_, err := a.records.Publish(ctx, lease)
			return err
		},
		Feedback: rewritten("/-/sluice/feedback", a.gateway),
		Metrics:  promhttp.HandlerFor(a.registry, promhttp.HandlerOpts{}),
		Console:  console.Handler(),
		Ready:    a.ready,
		Evidence: a.evidence.picture,
		Traffic:  a.evidence.traffic,
		Status:   a.status,
		Access:   access,
	})
	a.adminPort, err = a.listen("admin", spec.Admin.Listen, spec.Admin.TLS, adminLimits, h, asIs)
	a.stops = append(a.stops, func(context.Context) error { // before that of the port, which waits for open requests
		h.EndStreams()
		return nil
	})
	return err
}

// access is what the config says of how people get in.
func (a *App) access(spec release.AdminConfig) (api.Access, error) {
	out := api.Access{URL: spec.URL, TLS: spec.TLS != nil, Session: time.Duration(spec.Session)}
	if spec.OIDC == nil {
		return out, nil
	}
	secret, err := resolveSecret(release.Secret(spec.OIDC.ClientSecret))
	if err != nil {
		return out, err
	}
	client := &http.Client{Timeout: 10 * time.Second}
	if spec.OIDC.CA != "" {
		pool, err := certificates("admin.oidc.ca", spec.OIDC.CA)
		if err != nil {
			return out, err
		}
		client.Transport = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}}
	}
	out.Provider = oidc.New(oidc.Options{Config: *spec.OIDC, URL: spec.URL, Secret: secret, HTTP: client})
	return out, nil
}

// ready says whether the start is over and the store answers.
func (a *App) ready() error {
	if !a.told.Load() {
		return errors.New("the process is starting")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err := a.records.Models(ctx)
	return err
}

// rewritten serves a request under another path.
func rewritten(path string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r2 := r.Clone(r.Context())
		r2.URL.Path, r2.URL.RawPath, r2.RequestURI = path, "", path
		next.ServeHTTP(w, r2)
	})
}

func hashKey(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

// tlsConfig reads a port's certificate. The files are read again when they have changed, so that a
// renewed certificate needs no restart.
func tlsConfig(f *release.TLSConfig) (*tls.Config, error) {
	c := &certificate{files: f}
	if _, err := c.get(nil); err != nil {
		return nil, release.Invalid("read the certificate", "%v", err).Fix("check tls.cert and tls.key")
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}
	if f.ClientCA != "" {
		var err error
		if cfg.ClientCAs, err = certificates("tls.clientCA", f.ClientCA); err != nil {
			return nil, err
		}
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return cfg, nil
}

// certificates reads a file of trusted certificates; field names it in messages.
func certificates(field, file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, release.Invalid("read "+field, "%v", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, release.Invalid("read "+field, "%s holds no certificate", file)
	}
	return pool, nil
}

// certificate is read anew when its file has changed.
type certificate struct {
	files *release.TLSConfig

	mu   sync.Mutex
	read time.Time
	cert *tls.Certificate
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(c.files.Cert)
	if err == nil && c.cert != nil && !info.ModTime().After(c.read) {
		return c.cert, nil
	}
	if err == nil {
		var cert tls.Certificate
		if cert, err = tls.LoadX509KeyPair(c.files.Cert, c.files.Key); err == nil {
			c.cert, c.read = &cert, info.ModTime()
		}
	}
	if c.cert != nil { // a renewal that is half written: the former one still serves
		return c.cert, nil
	}
	return nil, err
}
