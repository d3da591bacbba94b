package gateway

import (
	"os"
	"testing"
)

// long says that tests may take minutes and thousands of files: SLUICE_LONG=1.
func long(t *testing.T) bool {
	t.Helper()
	return os.Getenv("SLUICE_LONG") != ""
}
