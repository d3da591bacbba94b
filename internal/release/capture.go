package release

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Defaults and bounds of capture.
const (
	DefaultCaptureKeep = 72 * time.Hour
	DefaultCaptureBody = Bytes(64 << 10)
	MaxCaptureBody     = Bytes(1 << 20)

	maxCaptureKeep = 30 * 24 * time.Hour
	maxRedact      = 64
)

func (c *Capture) normalise() *Capture {
	out := *c
	out.Redact = slices.Clone(c.Redact)
	setDefault(&out.Keep, Duration(DefaultCaptureKeep))
	setDefault(&out.MaxBody, DefaultCaptureBody)
	return &out
}

// Paths returns the JSON paths of the values to take out: those that the file names, and those of its units. They are
// in the form of package capture: names and indices joined by dots, # for all elements.
func (c *Capture) Paths(u UnitSpec) []string {
	var paths []string
	for _, r := range c.Redact {
		paths = append(paths, redactPath(r))
	}
	for _, sel := range u.From {
		if spec, err := sel.Parse(); err == nil && spec.Kind == SelectJSON {
			paths = append(paths, spec.Name)
		}
	}
	return paths
}

func redactPath(s string) string {
	_, path, _ := strings.Cut(s, ":")
	return strings.TrimSpace(path)
}

func (c *checker) capture() {
	capture := c.n.Spec.Capture
	if capture == nil {
		return
	}
	const at = "spec.capture"
	if capture.Share == 0 || capture.Share > Whole {
		c.fail(at+".share", "write a share like 1%, or remove capture", "nothing would be kept")
	}
	if keep := time.Duration(capture.Keep); keep < time.Minute || keep > maxCaptureKeep {
		c.fail(at+".keep", "write 1m to 30d", "bodies are kept for a minute at least and 30 days at most")
	}
	if capture.MaxBody > MaxCaptureBody {
		c.fail(at+".maxBody", "write at most 1MiB", "a body of %d bytes is too long to be looked at", capture.MaxBody)
	}
	if len(capture.Redact) > maxRedact {
		c.fail(at+".redact", "name what they have in common", "there are %d paths, at most %d are looked for", len(capture.Redact), maxRedact)
	}
	for i, r := range capture.Redact {
		path := fmt.Sprintf("%s.redact[%d]", at, i)
		if kind, _, _ := strings.Cut(r, ":"); strings.TrimSpace(kind) != string(SelectJSON) {
			c.fail(path, "write json:PATH, like json:messages.#.content", "%q names no values", clip(r))
			continue
		}
		// A list's elements stand for any one of them: what is left must be a path as everywhere.
		if err := checkPath(strings.ReplaceAll(redactPath(r), "#", "0")); err != nil {
			c.failErr(path, err)
		}
	}
}
