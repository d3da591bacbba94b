package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"sluice.dev/sluice/internal/app"
	"sluice.dev/sluice/internal/capture"
	"sluice.dev/sluice/internal/release"
)

// captured is where captured bodies are looked for, and which.
type captured struct {
	config, data, dir, key string

	release     uint32
	arm, status string
	limit       int
}

func (e *env) captureCmd() *cobra.Command {
	var c captured
	cmd := &cobra.Command{
		Use: "capture MODEL", Short: "Read the captured requests and answers of a model, as JSON lines",
		Long: "Read the sample of requests and answers that a Model file asks for (capture: {share: 1%}): redacted, encrypted and kept\n" +
			"for a while in a folder of the server. It is read where it lies, with the key; no server is asked.",
		Example: "  sluice capture helpdesk --arm candidate --limit 20\n" +
			"  sluice capture helpdesk --dir ./copied --key ~/capture.key --status 5xx",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return e.showCaptured(args[0], c) },
	}
	f := cmd.Flags()
	f.StringVarP(&c.config, "config", "c", "", "the server's Config file, which names the folder (default: all defaults)")
	f.StringVar(&c.data, "data", "", "the server's data folder (default: the Config file's)")
	f.StringVar(&c.dir, "dir", "", "the folder of captured bodies (default: capture, in the data folder)")
	f.StringVar(&c.key, "key", "", "file with the key (default: capture.key, in the data folder)")
	f.Uint32Var(&c.release, "release", 0, "only of this release")
	f.StringVar(&c.arm, "arm", "", "only of this arm: live, candidate")
	f.StringVar(&c.status, "status", "", "only with this status: 200, 4xx, 5xx")
	f.IntVar(&c.limit, "limit", 0, "at most so many, the oldest first (default: all)")
	return cmd
}

func (e *env) showCaptured(model string, c captured) error {
	if err := checkStatus(c.status); err != nil {
		return err
	}
	cfg, err := readConfig(c.config)
	if err != nil {
		return err
	}
	override(&cfg.Spec.DataDir, c.data)
	override(&cfg.Spec.Capture.Dir, c.dir)
	if c.key == "" {
		c.key = app.CaptureKey(&cfg.Spec)
	}
	ids, err := capture.Identities(c.key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return usage(fmt.Sprintf("there is no key %s", c.key), "name the server's data folder (--data), or the file of the key (--key)")
	case err != nil:
		return usage(err.Error(), "name the file of the key: --key FILE")
	}
	dir := app.CaptureDir(&cfg.Spec)
	n := 0
	lines := json.NewEncoder(e.out)
	lines.SetEscapeHTML(false)
	for x, err := range capture.Read(dir, model, ids...) {
		if err != nil {
			return &release.Error{Kind: release.KindInvalid, Op: "read captured bodies", Msg: err.Error(), Remedy: "is --key the key of this folder?"}
		}
		if !c.wants(x) {
			continue
		}
		if err := lines.Encode(x); err != nil {
			return err
		}
		if n++; n == c.limit {
			break
		}
	}
	if n == 0 {
		fmt.Fprintf(e.err, "nothing of %s was captured in %s that fits; a Model file asks for it by capture: {share: 1%%}\n", model, dir)
	}
	return nil
}

func checkStatus(s string) error {
	if s == "" || len(s) == 3 && s[0] >= '1' && s[0] <= '5' {
		return nil
	}
	return usage(fmt.Sprintf("%q is no status", s), "write one like 503, or a class like 5xx")
}

func (c *captured) wants(x capture.Exchange) bool {
	status := fmt.Sprintf("%03d", x.Status)
	return (c.release == 0 || c.release == x.Release) && (c.arm == "" || c.arm == x.Arm) &&
		(c.status == "" || c.status == status || c.status == status[:1]+"xx")
}
