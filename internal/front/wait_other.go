//go:build !unix

package front

// socket reads and writes through net.Conn where the system has no readiness to ask for.
type socket struct{ c *conn }

func (s *socket) init(c *conn) { s.c = c }

func (s *socket) read() error { return s.c.readPlain() }

func (s *socket) write([]byte) (int, error) { return 0, nil }
