package release

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"

	"github.com/dchest/siphash"
)

// Token is what an exposure id says: to which exposure, arm and stratum a feedback belongs. It is
// self-describing, so that any replica can take the feedback days later without a lookup.
type Token struct {
	Model   ModelKey
	Release uint32
	Stratum uint16
	Epoch   uint8
	Arm     uint8
	Kind    ExposureKind
	Bin     uint16
	Unit    uint64 // keyed hash of the unit, from Keyring.UnitHash
	Time    int64  // Unix milliseconds of the exposure
	Nonce   uint64 // Exposure.ID
}

// Layout of an exposure id: 48 bytes, big-endian, in unpadded base64url, that is 64 characters.
//
//	1 byte    version (4 bits) and key id (4 bits)
//	4 bytes   model
//	4 bytes   release
//	2 bytes   stratum
//	1 byte    epoch
//	2 bytes   kind (3 bits), arm (3 bits), bin (10 bits)
//	8 bytes   unit
//	6 bytes   time
//	8 bytes   nonce
//	12 bytes  the first 96 bits of SipHash-2-4-128 over the 36 bytes before, by the key of the key id
//
// 96 bits of a keyed pseudo-random function leave a forger one chance in 2^96 per attempt; the missing
// 32 bits of the full hash would only make every header longer.
const (
	tokenVersion = 1
	tokenBody    = 36
	tokenMAC     = 12
	tokenBytes   = tokenBody + tokenMAC

	// TokenLen is the number of characters of an exposure id.
	TokenLen = tokenBytes / 3 * 4
)

// Why an exposure id was refused. Test with errors.Is; the returned errors are of kind invalid, or
// denied if forged, and carry a remedy.
var (
	ErrTokenMalformed  = errors.New("the exposure id is malformed")
	ErrTokenUnknownKey = errors.New("the exposure id was made with a key that this keyring does not hold")
	ErrTokenForged     = errors.New("the exposure id was altered or made by somebody else")
)

func refuseToken(kind ErrorKind, cause error, remedy string) error {
	return &Error{Kind: kind, Op: "read exposure id", Msg: "refused", Cause: cause, Remedy: remedy}
}

// tokenCoding needs no strict mode: 48 bytes fill 64 characters exactly, so an id has one spelling. The
// line breaks that the decoder skips make the result too short, which is refused.
var tokenCoding = base64.RawURLEncoding

// AppendToken appends the exposure id of t, made with the primary key, to dst. Fields beyond their width
// (arms from 8, bins from 1024, kinds from 8, times before 1970 or from 2^48 ms) are the caller's
// mistake and are cut off. It allocates nothing when dst has TokenLen bytes of room, and may be called
// concurrently.
func (k *Keyring) AppendToken(dst []byte, t *Token) []byte {
	var raw [tokenBytes]byte
	raw[0] = tokenVersion<<4 | k.primary
	binary.BigEndian.PutUint32(raw[1:], uint32(t.Model))
	binary.BigEndian.PutUint32(raw[5:], t.Release)
	binary.BigEndian.PutUint16(raw[9:], t.Stratum)
	raw[11] = t.Epoch
	binary.BigEndian.PutUint16(raw[12:], uint16(t.Kind&7)<<13|uint16(t.Arm&7)<<10|t.Bin&(Bins-1))
	binary.BigEndian.PutUint64(raw[14:], t.Unit)
	putUint48(raw[22:], uint64(t.Time))
	binary.BigEndian.PutUint64(raw[28:], t.Nonce)
	mac := k.macs[k.primary].sum(raw[:tokenBody])
	copy(raw[tokenBody:], mac[:])
	return tokenCoding.AppendEncode(dst, raw[:])
}

// ParseToken reads an exposure id and checks that a gateway of the fleet made it: with any key of the
// ring, compared in constant time. It allocates nothing unless it fails, and may be called concurrently.
// It does not know whether the exposure is too old for feedback: the caller compares Time.
func (k *Keyring) ParseToken(s string) (Token, error) {
	const copyWhole = "send the value of the X-Sluice-Id header as it was received"
	var raw [tokenBytes]byte
	if len(s) != TokenLen {
		return Token{}, refuseToken(KindInvalid, ErrTokenMalformed, copyWhole)
	}
	var text [TokenLen]byte
	copy(text[:], s)
	if n, err := tokenCoding.Decode(raw[:], text[:]); err != nil || n != tokenBytes || raw[0]>>4 != tokenVersion {
		return Token{}, refuseToken(KindInvalid, ErrTokenMalformed, copyWhole)
	}
	key := &k.macs[raw[0]&15]
	if !key.known {
		return Token{}, refuseToken(KindInvalid, ErrTokenUnknownKey,
			"send feedback to the fleet that served the request, and keep old keys in the keyring for the feedback horizon")
	}
	mac := key.sum(raw[:tokenBody])
	if subtle.ConstantTimeCompare(mac[:], raw[tokenBody:]) != 1 {
		return Token{}, refuseToken(KindDenied, ErrTokenForged, copyWhole)
	}
	packed := binary.BigEndian.Uint16(raw[12:])
	return Token{
		Model:   ModelKey(binary.BigEndian.Uint32(raw[1:])),
		Release: binary.BigEndian.Uint32(raw[5:]),
		Stratum: binary.BigEndian.Uint16(raw[9:]),
		Epoch:   raw[11],
		Arm:     uint8(packed >> 10 & 7),
		Kind:    ExposureKind(packed >> 13),
		Bin:     packed & (Bins - 1),
		Unit:    binary.BigEndian.Uint64(raw[14:]),
		Time:    int64(uint48(raw[22:])),
		Nonce:   binary.BigEndian.Uint64(raw[28:]),
	}, nil
}

// UnitHash is the keyed hash of a unit's name, SipHash-2-4-64 with the fleet's unit key: what leaves the
// process instead of the name. It never changes within a fleet, because tallies are kept by it.
func (k *Keyring) UnitHash(unit []byte) uint64 {
	return siphash.Hash(k.unit.k0, k.unit.k1, unit)
}

func putUint48(b []byte, v uint64) {
	binary.BigEndian.PutUint16(b, uint16(v>>32))
	binary.BigEndian.PutUint32(b[2:], uint32(v))
}

func uint48(b []byte) uint64 {
	return uint64(binary.BigEndian.Uint16(b))<<32 | uint64(binary.BigEndian.Uint32(b[2:]))
}

// sipKey is a 128-bit key of SipHash, as its two little-endian halves.
type sipKey struct {
	k0, k1 uint64
	known  bool
}

func newSipKey(b []byte) sipKey {
	return sipKey{k0: binary.LittleEndian.Uint64(b), k1: binary.LittleEndian.Uint64(b[8:]), known: true}
}

func (k *sipKey) bytes() []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, KeyLen), k.k0)
	return binary.LittleEndian.AppendUint64(b, k.k1)
}

func (k *sipKey) sum(body []byte) [tokenMAC]byte {
	lo, hi := siphash.Hash128(k.k0, k.k1, body)
	var full [16]byte
	binary.LittleEndian.PutUint64(full[:], lo)
	binary.LittleEndian.PutUint64(full[8:], hi)
	return [tokenMAC]byte(full[:tokenMAC])
}
