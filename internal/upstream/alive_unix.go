//go:build unix

package upstream

import "syscall"

// look asks a socket whether its peer has closed it, or said something, without waiting.
type look struct {
	f            func(fd uintptr)
	open, silent bool
	byte         [1]byte
}

func (l *look) init() {
	l.f = func(fd uintptr) {
		n, _, err := syscall.Recvfrom(int(fd), l.byte[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == syscall.EAGAIN || err == syscall.EWOULDBLOCK:
			l.open, l.silent = true, true
		case err == nil && n > 0:
			l.open, l.silent = true, false
		default:
			l.open, l.silent = false, false
		}
	}
}

func (l *look) at(fd syscall.RawConn) (open, silent bool) {
	l.open, l.silent = false, false
	if err := fd.Control(l.f); err != nil {
		return false, false
	}
	return l.open, l.silent
}
