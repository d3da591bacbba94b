package assign

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"sluice.dev/sluice/internal/release"
)

// MaxSpec bounds an encoded Spec in bytes.
const MaxSpec = 8 << 20

// header begins every encoded Spec. The number grows when an older build must not read a newer Spec;
// a field that an older build may ignore doesn't change it.
const header = "sluice-routes 1 "

const headerLen = len(header) + 2*sha256.Size + 1

// Encode returns the Spec in its published form: one line with the SHA-256 of what follows, then JSON.
func Encode(spec *Spec) ([]byte, error) {
	const op = "encode routes"
	body, err := json.Marshal(spec)
	if err != nil {
		return nil, release.Internal(op, err, "the routes cannot be written as JSON")
	}
	if len(body)+headerLen > MaxSpec {
		return nil, release.Invalid(op, "the routes of %d models take %d bytes; %d are possible", len(spec.Models), len(body), MaxSpec-headerLen).
			Fix("split the models among several namespaces")
	}
	sum := sha256.Sum256(body)
	out := make([]byte, 0, headerLen+len(body))
	out = append(out, header...)
	out = hex.AppendEncode(out, sum[:])
	out = append(out, '\n')
	return append(out, body...), nil
}

// Decode reads what Encode wrote and refuses what was cut, altered or written by a newer build. It
// does not judge the content: Compile does. Errors are of release.KindInvalid.
func Decode(data []byte) (*Spec, error) {
	const op = "decode routes"
	if len(data) > MaxSpec {
		return nil, release.Invalid(op, "%d bytes; %d are possible", len(data), MaxSpec)
	}
	rest, ok := bytes.CutPrefix(data, []byte(header))
	if !ok {
		return nil, release.Invalid(op, "this is not version 1 of Sluice's routes").Fix("upgrade the gateway, or delete the file: it is written anew")
	}
	digest, body, ok := bytes.Cut(rest, []byte{'\n'})
	if !ok || len(digest) != 2*sha256.Size {
		return nil, release.Invalid(op, "the first line holds no SHA-256")
	}
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != string(digest) {
		return nil, release.Invalid(op, "the checksum does not match: the routes were cut or altered")
	}
	spec := new(Spec)
	if err := json.Unmarshal(body, spec); err != nil {
		e := release.Invalid(op, "the routes are not the JSON expected")
		e.Cause = err
		return nil, e
	}
	return spec, nil
}
