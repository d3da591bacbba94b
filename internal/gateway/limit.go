package gateway

import "sync/atomic"

// slots bounds how many of something run at once. It never waits.
type slots struct {
	used atomic.Int64
	max  atomic.Int64
}

// take claims n, if that many are free.
func (s *slots) take(n int64) bool {
	if s.used.Add(n) > s.max.Load() {
		s.used.Add(-n)
		return false
	}
	return true
}

func (s *slots) give(n int64) { s.used.Add(-n) }
