package socket

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
)

// Hangups tells who watches a socket that its peer has ended or broken the connection. One goroutine waits for all
// sockets, in an epoll instance that the runtime's own poller waits for: a watched socket costs no goroutine, and
// nobody reads from it. The zero value is ready; it takes a file descriptor with its first watch, and must be closed
// then. Its methods may be called by many goroutines at once.
type Hangups struct {
	mu      sync.Mutex
	on      *epoll // nil: not asked for yet, or it could not be had
	closed  bool
	last    uint64
	watched map[uint64]Watcher
}

// epoll is an instance of the system's.
type epoll struct {
	file *os.File
	raw  syscall.RawConn
}

func newEpoll() (*epoll, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // by this NewFile knows that it is to be polled
		return nil, errors.Join(os.NewSyscallError("fcntl", err), syscall.Close(fd))
	}
	file := os.NewFile(uintptr(fd), "hang-ups")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &epoll{file, raw}, nil
}

// Close ends all watches. Further ones fail. It may be called again.
func (h *Hangups) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed = true; h.on == nil {
		return nil
	}
	on := h.on
	h.on = nil
	return on.file.Close()
}

// begin names a watch.
func (h *Hangups) begin(w Watcher) (*epoll, uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, 0, net.ErrClosed
	}
	if h.on == nil { // asked for again if it could not be had
		on, err := newEpoll()
		if err != nil {
			return nil, 0, err
		}
		h.on, h.watched = on, make(map[uint64]Watcher)
		go h.run(on)
	}
	h.last++
	h.watched[h.last] = w
	return h.on, h.last, nil
}

// hangup is what is asked for: the peer has sent its end, or a reset. An edge, so that who was told and looked is not
// told again before something else happens. Data are no such thing.
const hangup = syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR | 1<<31 // EPOLLET, whose constant is negative

// Watch tells w when the peer of s hangs up, also if it has done so before. The id is that of this watch alone and
// never zero; Forget must be called with it. A socket has one watch at a time. The error is errors.ErrUnsupported where
// the system knows no such thing, and else says what it lacks.
func (h *Hangups) Watch(s *Socket, w Watcher) (id uint64, err error) {
	on, id, err := h.begin(w)
	if err != nil {
		return 0, err
	}
	event := syscall.EpollEvent{Events: hangup, Fd: int32(uint32(id)), Pad: int32(uint32(id >> 32))} //nolint:gosec // the halves of the id
	if err := on.control(syscall.EPOLL_CTL_ADD, s, &event); err != nil {
		h.drop(id)
		return 0, err
	}
	return id, nil
}

// Forget ends a watch. One call of its Watcher may still be under way.
func (h *Hangups) Forget(s *Socket, id uint64) {
	if on := h.drop(id); on != nil {
		_ = on.control(syscall.EPOLL_CTL_DEL, s, &syscall.EpollEvent{}) // of a closed socket the system has forgotten it
	}
}

func (h *Hangups) drop(id uint64) *epoll {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.watched, id)
	return h.on
}

// control changes what is watched. Both descriptors are held meanwhile: neither number can become another's.
func (e *epoll) control(op int, s *Socket, event *syscall.EpollEvent) error {
	var err, inner error
	outer := e.raw.Control(func(epoll uintptr) {
		inner = s.raw.Control(func(fd uintptr) {
			err = os.NewSyscallError("epoll_ctl", syscall.EpollCtl(int(epoll), op, int(fd), event))
		})
	})
	return errors.Join(outer, inner, err)
}

// run tells of hang-ups until Close.
func (h *Hangups) run(on *epoll) {
	var events [64]syscall.EpollEvent
	var n int
	var fault error
	ready := func(epoll uintptr) bool {
		for {
			if n, fault = syscall.EpollWait(int(epoll), events[:], 0); fault != syscall.EINTR {
				return n != 0 || fault != nil
			}
		}
	}
	for {
		if err := on.raw.Read(ready); err != nil || fault != nil {
			_ = on.file.Close() // a fault would be a mistake of ours; whoever watches from now on is told
			return
		}
		for _, e := range events[:n] {
			h.tell(uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32) //nolint:gosec // the halves of the id
		}
	}
}

func (h *Hangups) tell(id uint64) {
	h.mu.Lock()
	w := h.watched[id] // not of a socket: that could be another's by now
	h.mu.Unlock()
	if w != nil {
		w.HungUp(id)
	}
}
