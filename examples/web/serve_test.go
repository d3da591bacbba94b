package web_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice.dev/sluice/examples/web"
)

// TestRun starts a server on a free port, asks it once and ends it.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- web.Run(ctx, "x", "127.0.0.1:0", []string{"--version", "v7"}, in, func(f web.Flags) (http.Handler, error) {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { web.Health(w, r, f.Version) }), nil
		})
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, url, ok := strings.Cut(strings.TrimSpace(line), "listens on ")
	if !ok {
		t.Fatalf("it says %q", line)
	}
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !strings.Contains(string(body), `"version":"v7"`) {
		t.Errorf("%s, %v", body, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("ending: %v", err)
	}
}

func TestRunRefusesArguments(t *testing.T) {
	err := web.Run(t.Context(), "x", "127.0.0.1:0", []string{"v2"}, io.Discard, func(web.Flags) (http.Handler, error) { return nil, nil })
	if err == nil || !strings.Contains(err.Error(), `"v2"`) {
		t.Errorf("%v", err)
	}
}

func TestDelay(t *testing.T) {
	if _, err := web.NewDelay(2*time.Minute, 1); err == nil {
		t.Error("two minutes were accepted")
	}
	d, err := web.NewDelay(time.Minute, 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d.Wait(ctx) {
		t.Error("a cancelled wait says that it was passed")
	}
	if none := (*web.Delay)(nil); !none.Wait(t.Context()) {
		t.Error("no delay was not passed")
	}
}
