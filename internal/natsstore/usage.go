package natsstore

import "context"

// Usage returns the bytes that all data take, and those that the disk has left; 0 where that is not ours to know. The
// figures are at most a quarter of a second old.
func (s *Store) Usage(ctx context.Context) (used, free uint64, err error) {
	ctx, cancel, err := s.begin(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer cancel()
	_ = s.space.check(ctx, forControl) // looks anew; whether there is room is not the question
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	return uint64(max(s.space.used, 0)), s.space.free, nil
}
