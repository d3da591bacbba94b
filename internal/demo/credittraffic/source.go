package credittraffic

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Config shapes the traffic. Zero values stand for the defaults; Seed 0 is a seed like any other.
type Config struct {
	Seed        uint64
	Users       int     // active at a time: 2 to 10,000,000; default 20,000
	NewShare    float64 // of requests that come from a new user, in [1e-6, 1]; default 0.25
	Tail        float64 // index of the Pareto law of activity, 0.5 to 10, heavier when smaller; default 1.3
	MaxActivity float64 // of the most active user, as a multiple of the least active: 1 to 1e6; default 1000
}

func (c Config) withDefaults() Config {
	if c.Users == 0 {
		c.Users = 20_000
	}
	if c.NewShare == 0 {
		c.NewShare = 0.25
	}
	if c.Tail == 0 {
		c.Tail = 1.3
	}
	if c.MaxActivity == 0 {
		c.MaxActivity = 1000
	}
	return c
}

// check is written so that NaN fails.
func (c Config) check() error {
	switch {
	case c.Users < 2 || c.Users > 10_000_000:
		return fmt.Errorf("config: Users %d, want 2 to 10000000", c.Users)
	case !(c.NewShare >= 1e-6 && c.NewShare <= 1):
		return fmt.Errorf("config: NewShare %v, want 1e-6 to 1", c.NewShare)
	case !(c.Tail >= 0.5 && c.Tail <= 10):
		return fmt.Errorf("config: Tail %v, want 0.5 to 10", c.Tail)
	case !(c.MaxActivity >= 1 && c.MaxActivity <= 1e6):
		return fmt.Errorf("config: MaxActivity %v, want 1 to 1e6", c.MaxActivity)
	}
	return nil
}

// Request is one request: who asks, about which applicant.
type Request struct {
	User uint64 // numbered in the order in which users joined; those of the first pool from 0
	Row  int    // of the held-out applicants, from 0
	New  bool   // the user has just joined. Members of the first pool never are: they were there before
}

// Source is the sequence of requests. It is not safe for concurrent use.
type Source struct {
	cfg      Config
	rows     int
	rng      *rand.Rand
	activity *weights
	joined   uint64 // users so far; user u sits at place u mod Users
}

// NewSource returns the sequence of cfg over that many applicants.
func NewSource(cfg Config, applicants int) (*Source, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("credittraffic: %w", err)
	}
	if applicants < 1 {
		return nil, fmt.Errorf("credittraffic: %d applicants, want at least 1", applicants)
	}
	const stream = 0x7472616666696300 // any constant: the second half of the generator's state
	s := &Source{
		cfg: cfg, rows: applicants,
		rng:      rand.New(rand.NewPCG(cfg.Seed, stream)),
		activity: newWeights(cfg.Users),
	}
	for range cfg.Users {
		s.join()
	}
	return s, nil
}

// Config returns the configuration with its defaults filled in.
func (s *Source) Config() Config { return s.cfg }

// Next returns the next request. It allocates nothing.
func (s *Source) Next() Request {
	r := Request{Row: s.rng.IntN(s.rows)}
	if s.rng.Float64() < s.cfg.NewShare {
		r.User, r.New = s.join(), true
		return r
	}
	r.User = s.userAt(s.activity.find(s.rng.Uint64N(s.activity.sum)))
	return r
}

// join lets a new user take the place of the oldest.
func (s *Source) join() uint64 {
	user := s.joined
	s.joined++
	s.activity.set(int(user%uint64(s.cfg.Users)), s.drawActivity())
	return user
}

// drawActivity draws from the Pareto law by inversion, in thousandths: whole numbers keep the sums exact for ever.
func (s *Source) drawActivity() uint64 {
	u := 1 - s.rng.Float64() // (0, 1]
	return uint64(1000 * min(math.Pow(u, -1/s.cfg.Tail), s.cfg.MaxActivity))
}

// userAt says who sits at a place of the pool now: the latest user whose number falls on it.
func (s *Source) userAt(place int) uint64 {
	size := uint64(s.cfg.Users)
	last := s.joined - 1
	back := (last%size + size - uint64(place)) % size
	return last - back
}
