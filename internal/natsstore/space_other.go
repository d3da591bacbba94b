//go:build !linux && !darwin

package natsstore

import "math"

// freeBytes does not know here; the engine's own limit stays.
func freeBytes(string) (uint64, error) { return math.MaxUint64, nil }
