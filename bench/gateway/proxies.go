package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// process is one that is measured or measures.
type process struct {
	name string
	cmd  *exec.Cmd
	addr string // where it listens
	log  string // file
}

// proxy is one kind of proxy: how it is started in front of two servers.
type proxy struct {
	name  string
	start func(ctx context.Context, s settings, live, candidate string, h2c bool) (*process, error)
}

// proxies in the order of the table. Sluice is the first: ratios are to it.
var proxies = []proxy{
	{"sluice", startSluice},
	{"reverseproxy", startReverseProxy},
	{"nginx", startNginx},
	{"haproxy", startHAProxy},
	{"caddy", startCaddy},
	{"nginx, access log", logged(startNginx)},
	{"caddy, access log", logged(startCaddy)},
	{"traefik", startTraefik},
	{"traefik, access log", logged(startTraefik)},
}

// logged starts a proxy that writes a line for each request into a file, which is the least that keeps what happened, as Sluice
// does for each request.
func logged(start func(context.Context, settings, string, string, bool) (*process, error)) func(context.Context, settings, string, string, bool) (*process, error) {
	return func(ctx context.Context, s settings, live, candidate string, h2c bool) (*process, error) {
		dir, err := os.MkdirTemp(s.dir, "logged")
		if err != nil {
			return nil, err
		}
		s.dir, s.accessLog = dir, true
		return start(ctx, s, live, candidate, h2c)
	}
}

var errMissing = errors.New("not installed")

// pin returns the command on the first core, or off it. On one core all share it.
func pin(first bool, name string, args ...string) *exec.Cmd {
	cores := "0"
	if n := runtime.NumCPU(); !first && n > 1 {
		cores = fmt.Sprintf("1-%d", n-1)
	}
	return exec.Command("taskset", append([]string{"-c", cores, name}, args...)...)
}

// launch starts a command whose output goes to a file.
func launch(s settings, name string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, cmd: cmd, log: filepath.Join(s.dir, name+".log")}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }() // the child has its own
	cmd.Stderr = out
	if cmd.Stdout == nil {
		cmd.Stdout = out
	}
	return p, cmd.Start()
}

// launchOwn starts a role of this program that prints its address.
func launchOwn(s settings, first bool, name string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := pin(first, self, args...)
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout = w
	p, err := launch(s, name, cmd)
	_ = w.Close()
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		return nil, errors.Join(p.fault("it prints no address"), p.stop())
	}
	p.addr = strings.TrimSpace(line)
	return p, nil
}

func (p *process) stop() error {
	_ = p.cmd.Process.Signal(os.Interrupt)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = p.cmd.Wait() // it was told to end: how it says so is its own matter
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-done
	}
	return nil
}

// fault is an error with the end of the process's log.
func (p *process) fault(what string) error {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: %s\n%s", p.name, what, data[max(0, len(data)-2000):])
}

// ready waits until the process answers at its address.
func (p *process) ready(ctx context.Context) error {
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until) && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", p.addr)
		if err == nil {
			_ = c.Close()
			return nil
		}
	}
	return p.fault("it does not listen")
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// configured starts a program with a config file, in which ADDR, LIVE and CANDIDATE are replaced.
func configured(ctx context.Context, s settings, name, file, text, live, candidate string, args ...string) (*process, error) {
	if _, err := exec.LookPath(name); err != nil {
		if _, err := os.Stat("/usr/sbin/" + name); err != nil {
			return nil, errMissing
		}
	}
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(s.dir, file)
	text = strings.NewReplacer("ADDR", addr, "PORT", port, "LIVE", live, "CANDIDATE", candidate, "DIR", s.dir).Replace(text)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "FILE", path)
	}
	p, err := launch(s, name, pin(true, name, args...))
	if err != nil {
		return nil, err
	}
	p.addr = addr
	if err := p.ready(ctx); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

func startReverseProxy(_ context.Context, s settings, live, candidate string, _ bool) (*process, error) {
	return launchOwn(s, true, "reverseproxy", "role-reverseproxy", "-live", live, "-candidate", candidate)
}

const nginxConfig = `worker_processes 1;
daemon off;
pid DIR/nginx.pid;
error_log DIR/nginx-error.log warn;
worker_rlimit_nofile 40000;
events { worker_connections 16000; }
http {
  access_log NGINXLOG;
  client_body_temp_path DIR/nginx-body;
  proxy_temp_path DIR/nginx-proxy;
  fastcgi_temp_path DIR/nginx-f; uwsgi_temp_path DIR/nginx-u; scgi_temp_path DIR/nginx-s;
  keepalive_requests 1000000000;
  split_clients "${http_x_user_id}" $arm { 20% candidate; * live; }
  upstream live { server LIVE; keepalive 512; keepalive_requests 1000000000; }
  upstream candidate { server CANDIDATE; keepalive 512; keepalive_requests 1000000000; }
  server {
    listen ADDRPROTO backlog=4096;
    location / {
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_buffering off;
      proxy_pass http://$arm;
    }
  }
}
`

func startNginx(ctx context.Context, s settings, live, candidate string, h2c bool) (*process, error) {
	text := strings.ReplaceAll(nginxConfig, "PROTO", map[bool]string{true: " http2"}[h2c])
	text = strings.Replace(text, "NGINXLOG", map[bool]string{true: "DIR/access.log combined buffer=32k flush=1s", false: "off"}[s.accessLog], 1)
	return configured(ctx, s, "nginx", "nginx.conf", text, live, candidate, "-c", "FILE")
}

const haproxyConfig = `global
  nbthread 1
  fd-hard-limit 20000
defaults
  mode http
  option forwardfor
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 60s
  http-reuse always
frontend in
  bind ADDRPROTO
  use_backend candidate if { req.hdr(X-User-Id),xxh32,mod(100) lt 20 }
  default_backend live
backend live
  server s LIVE
backend candidate
  server s CANDIDATE
`

func startHAProxy(ctx context.Context, s settings, live, candidate string, h2c bool) (*process, error) {
	proto := ""
	if h2c {
		proto = " proto h2"
	}
	return configured(ctx, s, "haproxy", "haproxy.cfg", strings.ReplaceAll(haproxyConfig, "PROTO", proto), live, candidate, "-f", "FILE")
}

const caddyConfig = `{
  admin off
  auto_https off
  servers {
    protocols h1 h2c
  }
}
http://:PORT {
  bind 127.0.0.1
  CADDYLOG
  reverse_proxy LIVE LIVE LIVE LIVE CANDIDATE {
    lb_policy header X-User-Id
    flush_interval -1
  }
}
`

// startCaddy splits 80 : 20 by the hash of the header over five entries, four of which are live.
func startCaddy(ctx context.Context, s settings, live, candidate string, _ bool) (*process, error) {
	log := ""
	if s.accessLog {
		log = "log {\n    output file DIR/access.log\n  }"
	}
	return configured(ctx, s, "caddy", "Caddyfile", strings.Replace(caddyConfig, "CADDYLOG", log, 1), live, candidate, "run", "--config", "FILE", "--adapter", "caddyfile")
}

const traefikConfig = `global: {checkNewVersion: false, sendAnonymousUsage: false}
entryPoints: {web: {address: "ADDR"}}
log: {level: ERROR}
providers: {file: {filename: DIR/traefik-routes.yml}}
serversTransport: {maxIdleConnsPerHost: 1024}
`

const traefikRoutes = `http:
  routers: {all: {rule: "PathPrefix(` + "`/`" + `)", service: split, entryPoints: [web]}}
  services:
    split: {weighted: {services: [{name: live, weight: 80}, {name: candidate, weight: 20}]}}
    live: {loadBalancer: {servers: [{url: "http://LIVE"}], responseForwarding: {flushInterval: 1ms}}}
    candidate: {loadBalancer: {servers: [{url: "http://CANDIDATE"}], responseForwarding: {flushInterval: 1ms}}}
`

// startTraefik splits by weight, round robin: it has no split by a header.
func startTraefik(ctx context.Context, s settings, live, candidate string, _ bool) (*process, error) {
	routes := strings.NewReplacer("LIVE", live, "CANDIDATE", candidate).Replace(traefikRoutes)
	if err := os.WriteFile(filepath.Join(s.dir, "traefik-routes.yml"), []byte(routes), 0o600); err != nil {
		return nil, err
	}
	text := traefikConfig
	if s.accessLog {
		text += "accessLog: {filePath: DIR/access.log, format: json, bufferingSize: 100}\n"
	}
	return configured(ctx, s, "traefik", "traefik.yml", text, live, candidate, "--configFile=FILE")
}

const sluiceModel = `apiVersion: sluice.dev/v1alpha1
kind: Model
metadata: {name: credit}
spec:
  match: {path: /credit}
  dialect: json
  unit: {from: [header:X-User-Id]}
  traffic: {requests: 20000/s, users: 100000000/day}
  versions:
    v1: {url: "http://LIVE", timeout: 10m, maxConcurrent: 20000}
    v2: {url: "http://CANDIDATE", timeout: 10m, maxConcurrent: 20000}
  live: v1
  metrics:
    - {name: errors, source: error, margin: 5pp, role: guardrail}
    - {name: slow, source: latency, quantile: 0.95, margin: 3x, tolerate: 2x, role: guardrail}
  plan:
    onHarm: pause
    steps:
      - canary: {shares: [20%], hold: 10h, deadline: 24h, onUndecided: pause}
      - production: {holdback: 5%, watch: 24h}
`

// startSluice starts a whole Sluice, embedded store and controller included, and a release at 20 %.
func startSluice(ctx context.Context, s settings, live, candidate string, _ bool) (*process, error) {
	gateway, err := freeAddress()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	data, err := os.MkdirTemp(s.dir, "data")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(s.dir, "sluice.yaml")
	text := "apiVersion: sluice.dev/v1alpha1\nkind: Config\nspec: {gateway: {limits: {connections: 20000}}}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p, err := launch(s, "sluice", pin(true, s.sluice, "serve", "-c", config, "--data", data, "--gateway", gateway, "--admin", admin))
	if err != nil {
		return nil, err
	}
	p.addr = gateway
	if err := errors.Join(p.ready(ctx), p.release(ctx, s, admin, live, candidate)); err != nil {
		return nil, errors.Join(err, p.fault("it does not start"), p.stop())
	}
	return p, nil
}

// release applies the model and starts its release, and waits until the gateway serves it.
func (p *process) release(ctx context.Context, s settings, admin, live, candidate string) error {
	file := filepath.Join(s.dir, "model.yaml")
	text := strings.NewReplacer("LIVE", live, "CANDIDATE", candidate).Replace(sluiceModel)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	if err := waitReady(ctx, "http://"+admin+"/readyz"); err != nil {
		return err
	}
	token, err := p.token()
	if err != nil {
		return err
	}
	for _, args := range [][]string{{"apply", "-f", file}, {"release", "credit", "--to", "v2"}} {
		cmd := exec.CommandContext(ctx, s.sluice, append(args, "--server", "http://"+admin)...)
		cmd.Env = append(os.Environ(), "SLUICE_TOKEN="+token)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("sluice %s: %w\n%s", args[0], err, out)
		}
	}
	return p.serves(ctx)
}

// serves waits until answers are exposures of the release: the lowest of ten tries has an id.
func (p *process) serves(ctx context.Context) error {
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until) && ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.addr+"/credit", strings.NewReader("{}"))
		if err != nil {
			return err
		}
		r.Header.Set("X-User-Id", "probe")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			continue
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK && resp.Header.Get("X-Sluice-Id") != "" {
			return nil
		}
	}
	return p.fault("it does not serve the release")
}

// token is what the first start printed.
func (p *process) token() (string, error) {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return "", err
	}
	const mark = "SLUICE_TOKEN="
	_, rest, ok := strings.Cut(string(data), mark)
	if !ok {
		return "", p.fault("it prints no token")
	}
	return strings.Fields(rest)[0], nil
}

func waitReady(ctx context.Context, url string) error {
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until) && ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get(url)
		if err != nil {
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("%s does not answer", url)
}
