package app

import (
	"os"
	"strings"

	"sluice.dev/sluice/internal/release"
)

// maxSecret bounds a secret's file: a header's value, not a document.
const maxSecret = 64 << 10

// resolveSecret returns the plain text of a secret: env:NAME, file:PATH, or the literal itself.
func resolveSecret(s release.Secret) (string, error) {
	text := string(s)
	if name, ok := strings.CutPrefix(text, "env:"); ok {
		v, set := os.LookupEnv(name)
		if !set {
			return "", release.NotFound("resolve a secret", "the environment has no %s", name).Fix("set it where sluice serve runs")
		}
		return v, nil
	}
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		info, err := os.Stat(path)
		if err != nil {
			return "", release.Unavailable("resolve a secret", err, "its file can't be read")
		}
		if info.Size() > maxSecret {
			return "", release.Invalid("resolve a secret", "%s is larger than 64 KiB", path)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return "", release.Unavailable("resolve a secret", err, "its file can't be read")
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	}
	return text, nil
}
