package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunServesUntilItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"--listen", "127.0.0.1:0", "--version", "v2", "--delay", "1ms"}, in)
		in.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	_, url, ok := strings.Cut(strings.TrimSpace(line), "credit v2 listens on ")
	if err != nil || !ok {
		t.Fatalf("%q, %v", line, err)
	}
	resp, err := http.Post(url+"/credit", "application/json", strings.NewReader(`{"applicant":{"age":30}}`))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"version":"v2"`) {
		t.Errorf("%d %s, %v", resp.StatusCode, body, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
	if resp, err := http.Get(url + "/healthz"); err == nil {
		resp.Body.Close()
		t.Error("it still answers")
	}
}

func TestRunRefuses(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte(`{"kind":"forest","features":["age"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--version", "v9"}, `no version "v9"`},
		{[]string{"--model", bad}, `bad.json: scoring: kind "forest"`},
		{[]string{"--model", bad + "x"}, "no such file"},
		{[]string{"--fail", "2"}, "FailRate 2"},
		{[]string{"--colour"}, "not defined"},
		{[]string{"v2"}, `unexpected argument "v2"`},
		{[]string{"--listen", "127.0.0.1:http-no-such-port"}, "--listen"},
	} {
		if err := run(t.Context(), c.args, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want an error with %q", c.args, err, c.want)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
}
