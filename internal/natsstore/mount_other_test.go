//go:build !linux

package natsstore

import "errors"

func mountSmall(string, int) error { return errors.ErrUnsupported }

func unmount(string) {}
