//go:build !linux

package resident

// dropProgram does nothing: this system is not asked.
func dropProgram() (int64, error) { return 0, nil }
