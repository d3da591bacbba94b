package store

import (
	"fmt"
	"math/rand/v2"
	"sync"
)

// OpKind is a method of Store, of Lease, or one step of an iterator.
type OpKind uint8

// The operations that an Injector is asked about.
const (
	OpGet OpKind = iota
	OpList
	OpHistory
	OpCommit
	OpWatch // once at the start and before each value
	OpAcquire
	OpRenew
	OpRelease
	OpAppend
	OpRead // once at the start and before each entry
	OpBounds
	OpPutBlob
	OpGetBlob
)

var opNames = [...]string{
	"get", "list", "history", "commit", "watch", "acquire", "renew", "release",
	"append", "read", "bounds", "putblob", "getblob",
}

func (k OpKind) String() string { return opNames[k] }

func (k OpKind) writes() bool {
	switch k {
	case OpCommit, OpAcquire, OpRenew, OpRelease, OpAppend, OpPutBlob:
		return true
	default:
		return false
	}
}

// Op is an operation about to happen.
type Op struct {
	Kind OpKind
	Name string // key, prefix, log, lease or blob; the first key of a commit
}

// Fault is what goes wrong with an operation.
type Fault uint8

// The faults of a store, each one that the contract allows. On an operation that only reads, every
// fault but None is Refuse.
const (
	// None lets the operation happen.
	None Fault = iota
	// Refuse answers ErrUnavailable, and nothing happens.
	Refuse
	// NoRoom answers ErrFull, and nothing happens.
	NoRoom
	// LoseRequest answers ErrUnknown, and nothing happens.
	LoseRequest
	// LoseAnswer lets the operation happen and answers ErrUnknown.
	LoseAnswer
	// Delay answers ErrUnknown; the operation happens at the next Memory.Land, if its
	// expectations still hold then.
	Delay
)

// Injector decides on the fault of each operation. It is called without locks held and may block,
// which is how a slow store is simulated.
type Injector func(Op) Fault

// RandomFaults injects each fault that fits with equal chance into a share rate (0 to 1) of all
// operations. Equal seeds and equal sequences of operations give equal faults. It is safe for
// concurrent use, but then the order of the callers decides.
func RandomFaults(seed uint64, rate float64) Injector {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 0x5107ce))
	return func(op Op) Fault {
		mu.Lock()
		defer mu.Unlock()
		// Both numbers are drawn always, so that the rate does not shift the later choices.
		hit, which := rng.Float64() < rate, Fault(1+rng.IntN(int(Delay)))
		if !hit {
			return None
		}
		return which
	}
}

// inject runs do under the fault that the session's injector chooses for op.
func (m *Memory) inject(op Op, do func() error) error {
	f := None
	if m.faults != nil {
		f = m.faults(op)
	}
	if f != None && !op.Kind.writes() {
		f = Refuse
	}
	switch f {
	case Refuse:
		return fmt.Errorf("%s %q: %w: injected", op.Kind, op.Name, ErrUnavailable)
	case NoRoom:
		return fmt.Errorf("%s %q: %w: injected", op.Kind, op.Name, ErrFull)
	case LoseRequest:
	case LoseAnswer:
		// The outcome is lost, whatever it was.
		_ = m.locked(op, do)
	case Delay:
		m.world.mu.Lock()
		m.world.late = append(m.world.late, do)
		m.world.mu.Unlock()
	default:
		return m.locked(op, do)
	}
	return fmt.Errorf("%s %q: %w: injected", op.Kind, op.Name, ErrUnknown)
}

// Land performs the delayed writes of all sessions in the order in which they were asked for and
// returns how many found their expectations met.
func (m *Memory) Land() int {
	w := m.world
	w.mu.Lock()
	defer w.mu.Unlock()
	landed := 0
	for _, do := range w.late {
		if do() == nil {
			landed++
		}
	}
	w.late = nil
	w.wake()
	return landed
}

// locked runs do on the world, unless the session is closed, and wakes waiters if op writes. Reads
// must not: two waiters would wake each other for ever.
func (m *Memory) locked(op Op, do func() error) error {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	if m.isClosed() {
		return fmt.Errorf("%w: the store is closed", ErrUnavailable)
	}
	err := do()
	if op.Kind.writes() {
		m.world.wake()
	}
	return err
}
