//go:build !linux

package socket

import "errors"

// Hangups tells of peers that end their connections, where the system can. This one can't.
type Hangups struct{}

// NewHangups returns errors.ErrUnsupported.
func NewHangups() (*Hangups, error) { return nil, errors.ErrUnsupported }

// Close is never called.
func (h *Hangups) Close() error { return nil }

// Watch is never called.
func (h *Hangups) Watch(*Socket, Watcher) (uint64, error) { return 0, errors.ErrUnsupported }

// Forget is never called.
func (h *Hangups) Forget(*Socket, uint64) {}
