package natsstore

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func mountSmall(dir string, size int) error {
	return unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size))
}

func unmount(dir string) { _ = unix.Unmount(dir, unix.MNT_DETACH) }
