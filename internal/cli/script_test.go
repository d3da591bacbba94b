package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/testscript"

	"sluice.dev/sluice/examples/credit"
	"sluice.dev/sluice/examples/credit/server"
	"sluice.dev/sluice/internal/app"
	"sluice.dev/sluice/internal/release"
)

// TestMain makes this test binary a sluice as well: scripts run it as a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sluice": func() { os.Exit(Main(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the scripts of testdata/script against the real command, and where a script asks
// for one ("server"), against a whole Sluice with the credit example's versions behind it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Values["server"] = new(*app.App)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": serverCmd, "users": usersCmd, "expand": expandCmd, "cli": cliCmd, "code": codeCmd, "parses": parsesCmd, "keep": keepCmd,
			"stopserver": stopServerCmd,
		},
	})
}

// serverCmd starts a Sluice and two versions of the credit model: "server". It sets SLUICE_SERVER,
// SLUICE_TOKEN, GATEWAY, V1 and V2.
func serverCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: server")
	}
	cfg := release.DefaultConfig()
	cfg.Spec.DataDir = ts.MkAbs("data")
	cfg.Spec.Gateway.Listen, cfg.Spec.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	a, err := app.Start(context.Background(), app.Options{Config: cfg, Log: slog.New(slog.DiscardHandler), Version: "test"})
	ts.Check(err)
	*ts.Value("server").(**app.App) = a
	ts.Defer(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		ts.Check(a.Stop(ctx))
	})
	ts.Setenv("SLUICE_SERVER", a.AdminURL())
	ts.Setenv("SLUICE_TOKEN", a.Token())
	ts.Setenv("GATEWAY", a.GatewayURL())
	for _, version := range []string{"v1", "v2"} {
		m, err := credit.Load(version)
		ts.Check(err)
		h, err := server.New(server.Options{Version: version, Model: m})
		ts.Check(err)
		s := httptest.NewServer(h)
		ts.Defer(s.Close)
		ts.Setenv(strings.ToUpper(version), s.URL)
	}
}

// stopServerCmd stops the server before the script's end: "stopserver".
func stopServerCmd(ts *testscript.TestScript, neg bool, args []string) {
	a := *ts.Value("server").(**app.App)
	if neg || len(args) > 0 || a == nil {
		ts.Fatalf("usage: stopserver, after server")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ts.Check(a.Stop(ctx))
}

// usersCmd sends one request for each of N users: "users N". It sets ID to the exposure id of the last answer.
func usersCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: users N")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	body, err := os.ReadFile(filepath.Join("..", "..", "examples", "quickstart", "request.json"))
	ts.Check(err)
	for i := range n {
		id, err := request(ts.Getenv("GATEWAY")+"/credit", fmt.Sprintf("user-%d", i), body)
		for wait := 0; i == 0 && err != nil && wait < 1200; wait++ { // a file that was just applied is served a moment later
			time.Sleep(50 * time.Millisecond)
			id, err = request(ts.Getenv("GATEWAY")+"/credit", "user-0", body)
		}
		ts.Check(err)
		ts.Setenv("ID", id)
	}
}

// request sends one request of a user and returns the exposure id of its answer.
func request(url, user string, body []byte) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-User-Id", user)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return resp.Header.Get("X-Sluice-Id"), err
}

// expandCmd replaces ${NAME} in files by the script's variables: "expand FILE...".
func expandCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: expand FILE...")
	}
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// cliCmd runs a command line in this process, which is quicker than one of its own, and wants its exit
// code to be N: "cli N ARG...". An argument that names a file of the script's folder means that file.
func cliCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: cli N ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	line := append([]string(nil), args[1:]...)
	for i, arg := range line {
		if _, err := os.Stat(ts.MkAbs(arg)); err == nil {
			line[i] = ts.MkAbs(arg)
		}
	}
	var environ []string
	for _, name := range []string{"SLUICE_SERVER", "SLUICE_TOKEN", "SLUICE_TOKEN_FILE"} {
		environ = append(environ, name+"="+ts.Getenv(name))
	}
	if got := Run(context.Background(), line, environ, strings.NewReader(""), ts.Stdout(), ts.Stderr()); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// codeCmd runs a program and wants its exit code to be N: "code N PROGRAM ARG...".
func codeCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: code N PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var failed *exec.ExitError
		if !errors.As(err, &failed) {
			ts.Fatalf("%v", err)
		}
		got = failed.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// parsesCmd wants the last standard output to be one document of a format: "parses json|yaml".
func parsesCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: parses json|yaml")
	}
	out := []byte(ts.ReadFile("stdout"))
	var v any
	switch args[0] {
	case "json":
		ts.Check(json.Unmarshal(out, &v))
	case "yaml":
		ts.Check(yaml.Unmarshal(out, &v))
	default:
		ts.Fatalf("there is no format %q", args[0])
	}
	switch v.(type) {
	case map[string]any, []any:
	default:
		ts.Fatalf("not a document: %T", v)
	}
}

// keepCmd sets a variable to what the first group of a pattern finds in a file or stdout: "keep NAME FILE PATTERN".
func keepCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: keep NAME FILE PATTERN")
	}
	re, err := regexp.Compile("(?m)" + args[2])
	ts.Check(err)
	found := re.FindStringSubmatch(ts.ReadFile(args[1]))
	if len(found) < 2 {
		ts.Fatalf("%s holds nothing like %s", args[1], args[2])
	}
	ts.Setenv(args[0], found[1])
}
