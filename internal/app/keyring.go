package app

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"os"

	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
)

// loadKeyring reads the fleet's keys, or makes them at the very first start. Gateways of one fleet
// share the file; without it, exposure ids that are under way could not be told from forged ones.
func loadKeyring(file string) (*release.Keyring, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKeyring(file)
	}
	if err != nil {
		return nil, release.Internal("read the keyring", err, "%s can't be read", file)
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, release.Internal("read the keyring", err, "%s can't be read", file)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, release.Invalid("read the keyring", "%s may be read by others (mode %o)", file, info.Mode().Perm()).Fix("chmod 600 %s", file)
	}
	var k release.Keyring
	if err := json.Unmarshal(data, &k); err != nil {
		return nil, release.Internal("read the keyring", err, "%s is damaged", file).Fix("restore it from a backup; a new one makes all exposure ids of the past invalid")
	}
	return &k, nil
}

func makeKeyring(file string) (*release.Keyring, error) {
	random := make([]byte, release.NewKeyringLen)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	k, err := release.NewKeyring(random)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	return k, records.ReplaceFile(file, data, 0o600)
}
