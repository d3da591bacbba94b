package assign

import (
	"github.com/zeebo/xxh3"

	"sluice.dev/sluice/internal/release"
)

// inline is how many bytes of salt, separator and unit are hashed without allocating. Unit ids are
// rarely longer than a UUID; a longer one costs one allocation and is hashed all the same.
const inline = 192

// binSalt is the fixed salt of bins. It is part of what is stored: changing it would give units other
// bins and other partitions than those their past is accounted to.
const binSalt = "sluice/bin"

// mirrorSuffix turns a release's salt into that of its mirror sample.
const mirrorSuffix = "/mirror"

// Hash returns XXH3-64 (seed 0) of the salt, one zero byte and the unit. The zero byte keeps
// ("ab", "c") and ("a", "bc") apart; salts therefore must not contain one (Compile checks).
func Hash[U []byte | string](salt string, unit U) uint64 {
	n := len(salt) + 1 + len(unit)
	if n <= inline {
		var buf [inline]byte
		copy(buf[:], salt)
		copy(buf[len(salt)+1:], unit)
		return xxh3.Hash(buf[:n])
	}
	buf := make([]byte, n)
	copy(buf, salt)
	copy(buf[len(salt)+1:], unit)
	return xxh3.Hash(buf)
}

// Bin returns the unit's bin, 0 to release.Bins-1: the top bits of its hash with a fixed salt. Bins
// are how variance is estimated and where in the log a unit's events are (release.Partition).
func Bin[U []byte | string](unit U) uint16 {
	return uint16(Hash(binSalt, unit) >> (64 - binBits))
}

const binBits = 10

// Fails to compile when bins and binBits disagree.
var _ [1 << binBits]struct{} = [release.Bins]struct{}{}
