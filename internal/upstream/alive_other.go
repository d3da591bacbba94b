//go:build !unix

package upstream

import "syscall"

// look knows nothing here: a connection that was closed is found out by using it.
type look struct{}

func (*look) init() {}

func (*look) at(syscall.RawConn) (open, silent bool) { return true, true }
