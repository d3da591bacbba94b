package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/release"
)

// Finding is what one check of sluice doctor found.
type Finding struct {
	Check  string `json:"check"`
	State  string `json:"state"` // ok, warning, fault, skipped
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}

// States of a finding. Only a fault changes the exit code.
const (
	healthy = "ok"
	warning = "warning"
	faulty  = "fault"
	skipped = "skipped"
)

// A doctor looks at one installation from outside. It reads and changes nothing.
type doctor struct {
	e       *env
	config  string
	gateway string // its address; empty: the Config file's
	cfg     *release.Config
	client  *api.Client
	date    time.Time // the server's clock, from its answer
	models  []api.Model

	findings []Finding
}

func (e *env) doctorCmd() *cobra.Command {
	d := &doctor{e: e}
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check an installation: its files, the server, the token, the clock, the versions' addresses, the audit chains",
		Long: "Check an installation from this machine and say what to do about each fault. Nothing is changed.\n" +
			"The exit code is 1 if there is a fault; warnings leave it at 0.",
		Example: "  sluice doctor\n  sluice doctor -c config.yaml -o json", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.run(cmd.Context())
			err := e.print(d.findings, d.table)
			for _, f := range d.findings {
				if f.State == faulty && err == nil {
					err = exit{exitFault}
				}
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&d.config, "config", "c", "", "the server's Config file (default: all defaults)")
	cmd.Flags().StringVar(&d.gateway, "gateway", "", "URL of the gateway port (default: as the Config file says)")
	return cmd
}

// run makes the checks in an order in which a later one may use what an earlier one found.
func (d *doctor) run(ctx context.Context) {
	d.checkConfig()
	if d.cfg != nil {
		d.checkFolder(d.cfg.Spec.DataDir)
		d.checkGateway(ctx)
	}
	if !d.checkServer(ctx) {
		return
	}
	d.checkClock(time.Now())
	if d.checkToken(ctx) && d.checkModels(ctx) {
		d.checkUpstreams(ctx)
		d.checkAudit(ctx)
	}
}

func (d *doctor) found(check, state, remedy, detail string, args ...any) {
	d.findings = append(d.findings, Finding{Check: check, State: state, Detail: fmt.Sprintf(detail, args...), Remedy: remedy})
}

func (d *doctor) failed(check string, err error) {
	var known *release.Error
	if !errors.As(err, &known) {
		d.found(check, faulty, "", "%v", err)
		return
	}
	bare := *known
	bare.Remedy = ""
	d.found(check, faulty, known.Remedy, "%v", &bare)
}

func (d *doctor) table() {
	w := tabwriter.NewWriter(d.e.out, 0, 0, 2, ' ', 0)
	for _, f := range d.findings {
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.Check, d.e.paint(paintOf[f.State], f.State), f.Detail)
		if f.Remedy != "" {
			fmt.Fprintf(w, "\t\t  -> %s\n", f.Remedy)
		}
	}
	_ = w.Flush() // as any other write to the terminal
}

var paintOf = map[string]string{healthy: good, warning: wait, faulty: bad, skipped: faint}

func (d *doctor) checkConfig() {
	cfg, err := readConfig(d.config)
	if err != nil {
		d.failed("config", err)
		return
	}
	d.cfg = cfg
	if d.config == "" {
		d.found("config", healthy, "", "no Config file given: all defaults")
		return
	}
	d.found("config", healthy, "", "%s has no fault", d.config)
}

// lowSpace is how many free bytes are too few to be at ease: the log of a busy day.
const lowSpace = 2 << 30

// checkFolder looks at the data folder and the keys in it. The server may run on another machine,
// therefore a missing folder is no fault.
func (d *doctor) checkFolder(dir string) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.found("data", skipped, "", "%s is not here: the server was not started yet, or runs elsewhere", dir)
		return
	case err != nil:
		d.found("data", faulty, "run it as the user that serves", "%v", err)
		return
	case !info.IsDir():
		d.found("data", faulty, "name a folder as dataDir", "%s is no folder", dir)
		return
	}
	if free, known := freeBytes(dir); known && free < lowSpace {
		d.found("data", warning, "make room: without it nothing becomes durable, and releases stand still", "%s has %d MB left", dir, free>>20)
	} else {
		d.found("data", healthy, "", "%s is there", dir)
	}
	d.checkKeys(filepath.Join(dir, "keyring.json"))
}

func (d *doctor) checkKeys(file string) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.found("keys", warning, "it is made at the first start; if it was lost, restore it: exposure ids of the past can't be told from forged ones", "%s is missing", file)
	case err != nil:
		d.found("keys", faulty, "run it as the user that serves", "%v", err)
	case info.Mode().Perm()&0o077 != 0:
		d.found("keys", faulty, "chmod 600 "+file, "%s may be read by others (mode %o)", file, info.Mode().Perm())
	default:
		d.found("keys", healthy, "", "%s is readable by its owner alone", file)
	}
}

// checkServer says whether a server answers, and keeps its clock's time.
func (d *doctor) checkServer(ctx context.Context) bool {
	base := strings.TrimSuffix(d.e.server, "/")
	status, body, date, err := fetch(ctx, base+"/healthz")
	if err != nil {
		d.found("server", faulty, "is it running (sluice serve), and is --server right?", "no answer from %s: %v", base, err)
		return false
	}
	d.date = date
	if status != http.StatusOK {
		d.found("server", faulty, "look at its log", "%s/healthz answered %d: %s", base, status, body)
		return false
	}
	d.found("server", healthy, "", "%s answers", base)
	if status, body, _, err = fetch(ctx, base+"/readyz"); err != nil || status != http.StatusOK {
		d.found("ready", faulty, "look at its log; the store may be away", "%s/readyz answered %d: %s", base, status, firstLine(body))
	} else {
		d.found("ready", healthy, "", "it can do its work")
	}
	return true
}

// slack is how far clocks may be apart: leases and feedback horizons bear more, people don't.
const slack = 5 * time.Second

func (d *doctor) checkClock(now time.Time) {
	if d.date.IsZero() {
		d.found("clock", skipped, "", "the server told no time")
		return
	}
	apart := now.Sub(d.date).Abs()
	if apart > slack {
		d.found("clock", warning, "let both machines follow a time server", "this machine and the server are %s apart", apart.Round(time.Second))
		return
	}
	d.found("clock", healthy, "", "this machine and the server agree")
}

func (d *doctor) checkToken(ctx context.Context) bool {
	client, err := d.e.client()
	if err != nil {
		d.failed("token", err)
		return false
	}
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	who, err := client.WhoAmI(ctx)
	if err != nil {
		d.failed("token", err)
		return false
	}
	d.client = client
	d.found("token", healthy, "", "%s, %s", who.Name, who.Role)
	return true
}

func (d *doctor) checkModels(ctx context.Context) bool {
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	models, err := d.client.Models(ctx)
	if err != nil {
		d.failed("models", err)
		return false
	}
	running := 0
	for _, m := range models {
		if m.Running != 0 {
			running++
		}
	}
	d.models = models
	if len(models) == 0 {
		d.found("models", warning, "sluice apply -f FILE", "there is no model yet")
		return false
	}
	d.found("models", healthy, "", "%d, of which %d are being released", len(models), running)
	return true
}

// checkUpstreams dials the servers of all versions. This machine may stand elsewhere than the
// gateway, therefore silence is a warning.
func (d *doctor) checkUpstreams(ctx context.Context) {
	for _, m := range d.models {
		if ctx.Err() != nil {
			return
		}
		full, err := d.client.Model(ctx, m.Name)
		if err != nil {
			d.failed("versions of "+m.Name, err)
			continue
		}
		var silent []string
		for name, v := range full.Spec.Spec.Versions {
			if err := dial(ctx, v.URL); err != nil {
				silent = append(silent, fmt.Sprintf("%s (%v)", name, err))
			}
		}
		if len(silent) > 0 {
			d.found("versions of "+m.Name, warning, "if the gateway can't reach them either, requests fail", "no connection from here to %s", strings.Join(silent, ", "))
			continue
		}
		d.found("versions of "+m.Name, healthy, "", "%s can be reached from here", strings.Join(m.Versions, ", "))
	}
}

func dial(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443"}[u.Scheme]
	}
	if port == "" {
		port = "80"
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return err
	}
	return conn.Close()
}

func (d *doctor) checkAudit(ctx context.Context) {
	decisions := 0
	for _, m := range d.models {
		audit, err := d.client.Verify(ctx, m.Name)
		if err != nil {
			d.failed("audit of "+m.Name, err)
			return
		}
		if !audit.OK {
			d.found("audit", faulty, "sluice audit verify "+m.Name+" says where; compare with a backup", "the chain of %s is broken: %s", m.Name, audit.Fault)
			return
		}
		decisions += audit.Decisions
	}
	d.found("audit", healthy, "", "%d decisions, all chains are whole", decisions)
}

func (d *doctor) checkGateway(ctx context.Context) {
	base := strings.TrimSuffix(d.gateway, "/")
	if base == "" {
		base = gatewayURL(d.cfg)
	}
	status, body, _, err := fetch(ctx, base+"/-/sluice/healthz")
	if err != nil {
		d.found("gateway", faulty, "is it running, and is --gateway right?", "no answer from %s: %v", base, err)
		return
	}
	var h struct {
		Status   string   `json:"status"`
		Lease    string   `json:"lease"`
		Breakers []string `json:"breakersOpen"`
		Faults   []string `json:"faults"`
	}
	if err := json.Unmarshal([]byte(body), &h); err != nil || status != http.StatusOK {
		d.found("gateway", faulty, "is it a Sluice gateway?", "%s answered %d: %s", base, status, firstLine(body))
		return
	}
	switch {
	case len(h.Breakers) > 0:
		d.found("gateway", warning, "look at the candidate's server", "%s: it serves live instead of %s, which failed", base, strings.Join(h.Breakers, ", "))
	case len(h.Faults) > 0:
		d.found("gateway", warning, "look at the address and the secret of the version", "%s: it can't call %s", base, strings.Join(h.Faults, ", "))
	case h.Status != "ok":
		d.found("gateway", warning, "its log says more", "%s is %s (lease %s)", base, h.Status, h.Lease)
	default:
		d.found("gateway", healthy, "", "%s serves", base)
	}
}

// gatewayURL is where a gateway of this Config listens, as seen from its own machine.
func gatewayURL(cfg *release.Config) string {
	host, port, err := net.SplitHostPort(cfg.Spec.Gateway.Listen)
	if err != nil {
		return "http://" + cfg.Spec.Gateway.Listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if cfg.Spec.Gateway.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// fetch gets a small page without a token.
func fetch(ctx context.Context, address string) (status int, body string, date time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, "", date, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", date, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return 0, "", date, err
	}
	date, _ = http.ParseTime(resp.Header.Get("Date")) // zero if it tells none
	return resp.StatusCode, strings.TrimSpace(string(b)), date, nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return short(line, 120)
}
