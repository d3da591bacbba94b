package sluice_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestReadmeQuickstart runs the README's first release as it stands, in a copy of the tree.
func TestReadmeQuickstart(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a minute")
	}
	for _, port := range []string{"8080", "8081", "9101", "9102"} {
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Skipf("port %s, which the README uses, is taken here", port)
		}
		l.Close()
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sh quickstart\n(.*?)```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("the README has no block marked quickstart")
	}
	dir := t.TempDir()
	for _, part := range []string{"go.mod", "go.sum", "cmd", "docs", "internal", "examples"} {
		if out, err := exec.Command("cp", "-r", part, dir).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-e", "-o", "pipefail", "-c", string(block[1]))
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// A file, because the servers that the script leaves running keep their output open.
	file, err := os.Create(dir + "/output.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	err = cmd.Run()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the servers that the script started
	out, readErr := os.ReadFile(file.Name())
	if readErr != nil {
		t.Fatal(readErr)
	}
	if err != nil {
		log, _ := os.ReadFile(dir + "/sluice.log")
		t.Fatalf("%v\n%s\n--- sluice.log\n%s", err, out, tail(string(log)))
	}
	for _, want := range []string{"a valid Model", "model hello created", "Succeeded", "is whole", "v1 is live again"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the output does not hold %q:\n%s", want, out)
		}
	}
}
