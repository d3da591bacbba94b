package sim

import (
	"encoding/binary"
	"time"

	"github.com/zeebo/xxh3"

	"sluice.dev/sluice/internal/store"
)

// chaos decides on the faults of one process. store.RandomFaults draws in the order of the calls, which is not
// defined when several goroutines call at one virtual instant; here each operation's fate is a hash of what it is
// and when, whoever comes first. Equal operations at one instant share it: a small outage.
func chaos(seed uint64, process string, rate float64) store.Injector {
	return func(op store.Op) store.Fault {
		b := make([]byte, 0, 64)
		b = append(b, process...)
		b = append(b, byte(op.Kind))
		b = append(b, op.Name...)
		b = binary.LittleEndian.AppendUint64(b, uint64(time.Now().UnixNano()))
		h := xxh3.HashSeed(b, seed)
		if float64(h>>11)/(1<<53) >= rate {
			return store.None
		}
		return store.Fault(1 + xxh3.HashSeed(b, ^seed)%uint64(store.Delay))
	}
}
