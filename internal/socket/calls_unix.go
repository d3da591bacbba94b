//go:build unix && (!linux || 386 || s390x)

package socket

import (
	"errors"
	"syscall"
)

func read(fd uintptr, b []byte) (int, syscall.Errno) {
	return again(func() (int, error) { return syscall.Read(int(fd), b) })
}

// write returns what was taken; nothing, without an error, if nothing could be at once.
func write(fd uintptr, b []byte) (int, syscall.Errno) {
	n, err := again(func() (int, error) { return syscall.Write(int(fd), b) })
	if err == syscall.EAGAIN {
		err = 0
	}
	return n, err
}

func peek(fd uintptr, b []byte) (int, syscall.Errno) {
	return again(func() (int, error) {
		n, _, err := syscall.Recvfrom(int(fd), b, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return n, err
	})
}

// again repeats a call that a signal interrupted.
func again(call func() (int, error)) (int, syscall.Errno) {
	for {
		n, err := call()
		var e syscall.Errno
		if err != nil && !errors.As(err, &e) {
			e = syscall.EIO
		}
		if e != syscall.EINTR {
			return max(n, 0), e
		}
	}
}
