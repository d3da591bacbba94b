//go:build !linux

package socket

import "errors"

// Hangups tells of peers that end their connections, where the system can. This one can't.
type Hangups struct{}

// Close does nothing.
func (h *Hangups) Close() error { return nil }

// Watch returns errors.ErrUnsupported.
func (h *Hangups) Watch(*Socket, Watcher) (uint64, error) { return 0, errors.ErrUnsupported }

// Forget does nothing.
func (h *Hangups) Forget(*Socket, uint64) {}
