package capture

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"filippo.io/age"
)

// Recipient returns whom batches are encrypted for: the public key that is given ("age1..."), or that of the key in a
// file, which is made, readable by its owner alone, if it is not there.
func Recipient(public, keyFile string) (age.Recipient, error) {
	if public != "" {
		r, err := age.ParseX25519Recipient(public)
		if err != nil {
			return nil, fmt.Errorf("the recipient of captures is no public key as age-keygen prints it (age1...): %w", err)
		}
		return r, nil
	}
	ids, err := Identities(keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(keyFile)
	}
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if x, ok := id.(*age.X25519Identity); ok {
			return x.Recipient(), nil
		}
	}
	return nil, fmt.Errorf("%s holds no X25519 key", keyFile)
}

// Identities reads the keys of a file, as age-keygen writes it.
func Identities(file string) ([]age.Identity, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ids, err := age.ParseIdentities(f)
	if err != nil {
		return nil, fmt.Errorf("%s is no file of keys: %w", file, err)
	}
	return ids, nil
}

func makeKey(file string) (age.Recipient, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, err
	}
	content := "# public key: " + id.Recipient().String() + "\n" + id.String() + "\n"
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteString(content); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return id.Recipient(), f.Close()
}
