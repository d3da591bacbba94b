package release

import (
	"encoding/json"
	"fmt"
	"slices"
)

const (
	// KeyLen is the number of bytes of one key of a keyring.
	KeyLen = 16
	// NewKeyringLen is the number of random bytes that NewKeyring needs.
	NewKeyringLen = 2 * KeyLen
	// MaxKeys is how many MAC keys a keyring holds: enough for several rotations within the feedback
	// horizon.
	MaxKeys = 8

	keyIDs         = 16
	keyringVersion = 1
)

// Keyring holds the keys of one fleet: MAC keys by id, of which the primary signs new exposure ids and
// all verify, and the key of unit hashes. It is immutable, so it may be used concurrently; changes
// return another one. Its JSON form is the keyring file, which must be readable by its owner alone.
type Keyring struct {
	macs    [keyIDs]sipKey
	primary uint8
	order   []uint8 // ids, oldest first
	unit    sipKey
}

// NewKeyring makes a keyring with one MAC key and the unit key from NewKeyringLen bytes of a
// cryptographic random source.
func NewKeyring(random []byte) (*Keyring, error) {
	if len(random) != NewKeyringLen {
		return nil, Invalid("make keyring", "needs %d random bytes, got %d", NewKeyringLen, len(random))
	}
	k := &Keyring{unit: newSipKey(random[KeyLen:])}
	k.macs[0] = newSipKey(random[:KeyLen])
	k.order = []uint8{0}
	return k, nil
}

// Rotate returns a keyring that signs with a new key, made from KeyLen random bytes, and still verifies
// with the others. Replicas that have not read the new file yet refuse ids of the new key; a fleet of
// several replicas therefore distributes WithKey first and WithPrimary when all have it.
func (k *Keyring) Rotate(random []byte) (*Keyring, error) {
	next, id, err := k.WithKey(random)
	if err != nil {
		return nil, err
	}
	return next.WithPrimary(id)
}

// WithKey returns a keyring that verifies with one more key, and the key's id. Beyond MaxKeys the oldest
// key that is not the primary is dropped.
func (k *Keyring) WithKey(random []byte) (*Keyring, uint8, error) {
	if len(random) != KeyLen {
		return nil, 0, Invalid("rotate keyring", "needs %d random bytes, got %d", KeyLen, len(random))
	}
	next := *k
	next.order = slices.Clone(k.order)
	if len(next.order) == MaxKeys {
		oldest := 0
		if next.order[oldest] == next.primary {
			oldest = 1
		}
		next.macs[next.order[oldest]] = sipKey{}
		next.order = slices.Delete(next.order, oldest, oldest+1)
	}
	// Ids go round, so that one comes back as late as possible.
	id := (next.order[len(next.order)-1] + 1) % keyIDs
	for next.macs[id].known {
		id = (id + 1) % keyIDs
	}
	next.macs[id] = newSipKey(random)
	next.order = append(next.order, id)
	return &next, id, nil
}

// WithPrimary returns a keyring that signs with the key of this id.
func (k *Keyring) WithPrimary(id uint8) (*Keyring, error) {
	if id >= keyIDs || !k.macs[id].known {
		return nil, NotFound("rotate keyring", "there is no key with id %d", id)
	}
	next := *k
	next.primary = id
	return &next, nil
}

// Primary is the id of the key that signs.
func (k *Keyring) Primary() uint8 { return k.primary }

// IDs lists the ids of the keys that verify, oldest first.
func (k *Keyring) IDs() []uint8 { return slices.Clone(k.order) }

// String says how many keys there are; the keys themselves never reach a log by accident.
func (k *Keyring) String() string {
	return fmt.Sprintf("keyring of %d keys, primary %d", len(k.order), k.primary)
}

// GoString is String.
func (k *Keyring) GoString() string { return k.String() }

// keyringFile is the JSON form of a keyring. Keys are base64, oldest first.
type keyringFile struct {
	Version int       `json:"version"`
	Primary uint8     `json:"primary"`
	Keys    []keyFile `json:"keys"`
	Unit    []byte    `json:"unit"`
}

type keyFile struct {
	ID  uint8  `json:"id"`
	Key []byte `json:"key"`
}

// MarshalJSON implements json.Marshaler. The result holds secrets.
func (k *Keyring) MarshalJSON() ([]byte, error) {
	file := keyringFile{Version: keyringVersion, Primary: k.primary, Unit: k.unit.bytes()}
	for _, id := range k.order {
		file.Keys = append(file.Keys, keyFile{ID: id, Key: k.macs[id].bytes()})
	}
	return json.Marshal(file)
}

// UnmarshalJSON implements json.Unmarshaler. Errors never quote a key.
func (k *Keyring) UnmarshalJSON(data []byte) error {
	const op = "read keyring"
	var file keyringFile
	if err := json.Unmarshal(data, &file); err != nil {
		return Invalid(op, "it is no valid JSON of a keyring")
	}
	if file.Version != keyringVersion {
		return Invalid(op, "it has version %d, this build reads %d", file.Version, keyringVersion)
	}
	if len(file.Unit) != KeyLen || len(file.Keys) == 0 || len(file.Keys) > MaxKeys {
		return Invalid(op, "it needs a unit key of %d bytes and 1 to %d keys", KeyLen, MaxKeys)
	}
	next := Keyring{primary: file.Primary, unit: newSipKey(file.Unit)}
	for _, key := range file.Keys {
		if key.ID >= keyIDs || len(key.Key) != KeyLen || next.macs[key.ID].known {
			return Invalid(op, "key %d has a repeated id, an id above %d or not %d bytes", key.ID, keyIDs-1, KeyLen)
		}
		next.macs[key.ID] = newSipKey(key.Key)
		next.order = append(next.order, key.ID)
	}
	if file.Primary >= keyIDs || !next.macs[file.Primary].known {
		return Invalid(op, "its primary key %d is missing", file.Primary)
	}
	*k = next
	return nil
}
