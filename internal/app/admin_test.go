package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/release"
)

// authority makes certificates.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T, dir, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: dir}
	a.cert, a.key, a.file, _ = a.issue(name, true)
	return a
}

// issue makes a certificate and writes it and its key; the first one is signed by itself.
func (a *authority) issue(name string, ca bool) (*x509.Certificate, *ecdsa.PrivateKey, string, string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		a.t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: ca, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := tmpl, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(a.dir, name+".crt"), filepath.Join(a.dir, name+".key")
	a.write(certFile, "CERTIFICATE", der)
	a.write(keyFile, "PRIVATE KEY", raw)
	return cert, key, certFile, keyFile
}

func (a *authority) write(file, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) client(certFile, keyFile string) *http.Client {
	a.t.Helper()
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	cfg.RootCAs.AddCert(a.cert)
	if certFile != "" {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			a.t.Fatal(err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	tr := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
	a.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second}
}

func startApp(t *testing.T, change func(*release.ConfigSpec)) *App {
	t.Helper()
	cfg := release.DefaultConfig()
	cfg.Spec.DataDir = t.TempDir()
	cfg.Spec.Gateway.Listen, cfg.Spec.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	if change != nil {
		change(&cfg.Spec)
	}
	a, err := Start(t.Context(), Options{Config: cfg, Log: slog.New(slog.DiscardHandler), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return a
}

// TestMutualTLS: both ports speak TLS, and want a client's certificate where the config says so; over TLS a session's
// cookie is for TLS alone.
func TestMutualTLS(t *testing.T) {
	dir := t.TempDir()
	ca, other := newAuthority(t, dir, "ca"), newAuthority(t, dir, "other-ca")
	_, _, certFile, keyFile := ca.issue("server", false)
	_, _, mine, myKey := ca.issue("client", false)
	_, _, foreign, foreignKey := other.issue("foreigner", false)
	a := startApp(t, func(s *release.ConfigSpec) {
		s.Admin.TLS = &release.TLSConfig{Cert: certFile, Key: keyFile, ClientCA: ca.file}
		s.Gateway.TLS = &release.TLSConfig{Cert: certFile, Key: keyFile, ClientCA: ca.file}
	})
	for name, address := range map[string]string{"admin": a.AdminURL() + "/healthz", "gateway": a.GatewayURL() + "/-/sluice/healthz"} {
		if !strings.HasPrefix(address, "https://") {
			t.Fatalf("%s: %s", name, address)
		}
		for who, c := range map[string]*http.Client{"nobody": ca.client("", ""), "a foreigner": ca.client(foreign, foreignKey)} {
			if resp, err := c.Get(address); err == nil {
				_ = resp.Body.Close()
				t.Errorf("%s: %s gets in with %d", name, who, resp.StatusCode)
			}
		}
		resp, err := ca.client(mine, myKey).Get(address)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	resp, err := ca.client(mine, myKey).Post(a.AdminURL()+"/api/v1/session", "application/json", strings.NewReader(`{"token":"`+a.Token()+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if c := resp.Cookies(); resp.StatusCode != http.StatusCreated || len(c) != 1 || !c[0].Secure || !strings.HasPrefix(c[0].Name, "__Host-") || resp.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%d %v", resp.StatusCode, c)
	}
	plain, err := http.Get("http" + strings.TrimPrefix(a.AdminURL(), "https") + "/healthz") //nolint:noctx // a test
	if err == nil {
		_ = plain.Body.Close()
		if plain.StatusCode == http.StatusOK {
			t.Error("the port speaks plain HTTP as well")
		}
	}
}

// TestStatusOfAProcess: what a whole process says of itself.
func TestStatusOfAProcess(t *testing.T) {
	a := startApp(t, nil)
	c := &api.Client{Base: a.AdminURL(), Token: a.Token()}
	deadline := time.Now().Add(30 * time.Second)
	var st api.Status
	for {
		var err error
		if st, err = c.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(st.Gateways) == 1 && st.Gateways[0].Alive && st.Leader.Leading && st.Store.Bytes > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no gateway, no leader or no store shows up: %+v", st)
		}
		time.Sleep(50 * time.Millisecond) // the keeper polls every two seconds
	}
	if st.Version != "test" || st.ProcessRole != "all" || st.Store.Kind != "embedded" || !st.Store.Healthy || st.Store.Fault != "" || st.Store.Bytes == 0 || st.Store.Free == 0 ||
		len(st.Store.Partitions) != release.Partitions || st.Telemetry.Capacity == 0 || len(st.Roles) != 3 || st.Started.IsZero() {
		t.Errorf("%+v", st)
	}
	b, err := json.Marshal(st)
	if err != nil || strings.Contains(string(b), a.Token()[20:]) {
		t.Errorf("%v %s", err, b)
	}
}

// TestReadyOnceTold: a script that waits for /readyz finds the token that was printed.
func TestReadyOnceTold(t *testing.T) {
	cfg := release.DefaultConfig()
	cfg.Spec.DataDir = t.TempDir()
	cfg.Spec.Gateway.Listen, cfg.Spec.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	ready := func(a *App) int {
		resp, err := http.Get(a.AdminURL() + "/readyz") //nolint:noctx // a test
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	before, token := 0, ""
	a, err := Start(t.Context(), Options{Config: cfg, Log: slog.New(slog.DiscardHandler), Tell: func(a *App) { before, token = ready(a), a.Token() }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	if after := ready(a); before != http.StatusServiceUnavailable || after != http.StatusOK || token == "" {
		t.Errorf("ready says %d before it was told, %d afterwards; token %q", before, after, token)
	}
}

// TestStreamsEndWithTheProcess: an open stream does not keep a process from stopping.
func TestStreamsEndWithTheProcess(t *testing.T) {
	cfg := release.DefaultConfig()
	cfg.Spec.DataDir = t.TempDir()
	cfg.Spec.Gateway.Listen, cfg.Spec.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	a, err := Start(t.Context(), Options{Config: cfg, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.AdminURL()+"/api/v1/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.Token())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, resp.Body)
		ended <- err
	}()
	if err := a.Stop(t.Context()); err != nil { // without a deadline: it would wait for ever
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the stream was cut: %v", err)
	}
}

// TestFaultyOIDC: what can't work is said at the start.
func TestFaultyOIDC(t *testing.T) {
	cfg := release.DefaultConfig()
	cfg.Spec.DataDir = t.TempDir()
	cfg.Spec.Gateway.Listen, cfg.Spec.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Spec.Admin.URL = "https://sluice.example.com"
	cfg.Spec.Admin.OIDC = &release.OIDCConfig{Issuer: "https://login.example.com", ClientID: "x", ClientSecret: "env:SLUICE_TEST_NOT_SET", Roles: map[string][]string{"viewer": {"*"}}}
	a, err := Start(t.Context(), Options{Config: cfg, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		_ = a.Stop(context.Background())
		t.Fatal("it starts without the secret")
	}
	if !strings.Contains(err.Error(), "SLUICE_TEST_NOT_SET") {
		t.Errorf("%v", err)
	}
}
