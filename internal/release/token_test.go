package release

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dchest/siphash"
	"pgregory.net/rapid"
)

func testKeyring(t testing.TB) *Keyring {
	t.Helper()
	random := make([]byte, NewKeyringLen)
	for i := range random {
		random[i] = byte(i)
	}
	k, err := NewKeyring(random)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func drawToken(t *rapid.T) Token {
	return Token{
		Model: ModelKey(rapid.Uint32().Draw(t, "model")), Release: rapid.Uint32().Draw(t, "release"),
		Stratum: rapid.Uint16().Draw(t, "stratum"), Epoch: rapid.Uint8().Draw(t, "epoch"),
		Arm: rapid.Uint8Range(0, MaxArms-1).Draw(t, "arm"), Kind: ExposureKind(rapid.IntRange(0, int(ExposureOutside)).Draw(t, "kind")),
		Bin: rapid.Uint16Range(0, Bins-1).Draw(t, "bin"), Unit: rapid.Uint64().Draw(t, "unit"),
		Time: rapid.Int64Range(0, 1<<48-1).Draw(t, "time"), Nonce: rapid.Uint64().Draw(t, "nonce"),
	}
}

func TestTokenRoundTrip(t *testing.T) {
	k := testKeyring(t)
	rapid.Check(t, func(t *rapid.T) {
		in := drawToken(t)
		text := string(k.AppendToken(nil, &in))
		if len(text) != TokenLen {
			t.Fatalf("%d characters", len(text))
		}
		if out, err := k.ParseToken(text); err != nil || out != in {
			t.Fatalf("%+v came back as %+v, %v", in, out, err)
		}
		// Any other character anywhere makes another token, which nobody signed.
		i := rapid.IntRange(0, TokenLen-1).Draw(t, "at")
		c := rapid.SampledFrom([]byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")).Draw(t, "with")
		if text[i] != c {
			if out, err := k.ParseToken(text[:i] + string(c) + text[i+1:]); err == nil {
				t.Fatalf("altered token accepted as %+v", out)
			}
		}
	})
}

// The form of an exposure id, pinned: applications keep them for days.
func TestTokenFormat(t *testing.T) {
	in := Token{
		Model: 0x01020304, Release: 5, Stratum: 6, Epoch: 7, Arm: 1, Kind: ExposureCopy, Bin: 1023,
		Unit: 0x1122334455667788, Time: 1_700_000_000_000, Nonce: 0x99aabbccddeeff00,
	}
	golden(t, "token.golden", append(testKeyring(t).AppendToken(nil, &in), '\n'))
}

func TestParseTokenRefuses(t *testing.T) {
	k := testKeyring(t)
	in := Token{Model: 1, Release: 2, Arm: 1, Bin: 77, Time: 1_700_000_000_000}
	good := string(k.AppendToken(nil, &in))
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	with := func(i int, v byte) string {
		c := slices.Clone(raw)
		c[i] = v
		return base64.RawURLEncoding.EncodeToString(c)
	}
	foreign, err := NewKeyring([]byte("another fleet's 32 random bytes!"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, text string
		want       error
		kind       ErrorKind
	}{
		{"empty", "", ErrTokenMalformed, KindInvalid},
		{"short", good[:TokenLen-1], ErrTokenMalformed, KindInvalid},
		{"long", good + "A", ErrTokenMalformed, KindInvalid},
		{"huge", strings.Repeat("A", 1<<20), ErrTokenMalformed, KindInvalid},
		{"line breaks", good[:TokenLen-2] + "\r\n", ErrTokenMalformed, KindInvalid},
		{"alphabet", good[:10] + "+" + good[11:], ErrTokenMalformed, KindInvalid},
		{"version", with(0, 2<<4), ErrTokenMalformed, KindInvalid},
		{"key", with(0, 1<<4|9), ErrTokenUnknownKey, KindInvalid},
		{"arm", with(12, raw[12]^4), ErrTokenForged, KindDenied},
		{"mac", with(47, raw[47]^1), ErrTokenForged, KindDenied},
		{"foreign", string(foreign.AppendToken(nil, &in)), ErrTokenForged, KindDenied},
	}
	for _, tt := range tests {
		if got, err := k.ParseToken(tt.text); !errors.Is(err, tt.want) || KindOf(err) != tt.kind || got != (Token{}) {
			t.Errorf("%s: %+v, %v; want %v", tt.name, got, err, tt.want)
		}
	}
}

func TestKeyringRotation(t *testing.T) {
	k := testKeyring(t)
	in := Token{Model: 3, Nonce: 4}
	var texts []string
	for i := range 20 {
		texts = append(texts, string(k.AppendToken(nil, &in)))
		unit := k.UnitHash([]byte("user-1"))
		next, err := k.Rotate(fmt.Appendf(nil, "random bytes %03d", i))
		if err != nil {
			t.Fatal(err)
		}
		if next.Primary() == k.Primary() || next.UnitHash([]byte("user-1")) != unit {
			t.Fatal("rotation kept the primary key or changed unit hashes")
		}
		k = next
	}
	if len(k.IDs()) != MaxKeys {
		t.Fatalf("%d keys are kept", len(k.IDs()))
	}
	for i, text := range texts {
		_, err := k.ParseToken(text)
		if recent := i >= len(texts)-(MaxKeys-1); recent != (err == nil) {
			t.Errorf("token of rotation %d: %v", i, err)
		}
	}
	// Distributing a key before using it.
	added, id, err := k.WithKey(make([]byte, KeyLen))
	if err != nil || added.Primary() != k.Primary() {
		t.Fatalf("WithKey: %v, primary %d", err, added.Primary())
	}
	promoted, err := added.WithPrimary(id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := added.ParseToken(string(promoted.AppendToken(nil, &in))); err != nil {
		t.Errorf("a replica with the key, not primary yet: %v", err)
	}
	if _, err := k.WithPrimary(id); KindOf(err) != KindNotFound {
		t.Errorf("an unknown key became primary: %v", err)
	}
}

func TestKeyringFile(t *testing.T) {
	k, err := testKeyring(t).Rotate([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	var back Keyring
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	in := Token{Model: 9}
	if a, b := k.AppendToken(nil, &in), back.AppendToken(nil, &in); string(a) != string(b) {
		t.Errorf("the keyring read back signs %s, not %s", b, a)
	}
	if back.UnitHash([]byte("u")) != k.UnitHash([]byte("u")) {
		t.Error("the keyring read back hashes units differently")
	}
	for _, bad := range []string{
		`{}`, `[]`, `{"version":2}`, `{"version":1,"unit":"AAAA","keys":[]}`,
		strings.Replace(string(data), `"primary":1`, `"primary":3`, 1),
		strings.Replace(string(data), `"primary":1`, `"primary":200`, 1),
		strings.Replace(string(data), `"id":1`, `"id":0`, 1),
		strings.Replace(string(data), `"id":1`, `"id":16`, 1),
		strings.Replace(string(data), `"MDEyMzQ1Njc4OWFiY2RlZg=="`, `"MDEy"`, 1),
	} {
		var into Keyring
		err := json.Unmarshal([]byte(bad), &into)
		if err == nil {
			t.Errorf("accepted %s", bad)
		} else if strings.Contains(err.Error(), "MDEy") {
			t.Errorf("the error shows a key: %v", err)
		}
	}
	for _, text := range []string{fmt.Sprintf("%v", k), fmt.Sprintf("%+v", k), fmt.Sprintf("%#v", k), fmt.Sprint(k)} {
		if text != "keyring of 2 keys, primary 1" {
			t.Errorf("printed as %s", text)
		}
	}
}

// The MAC is SipHash-2-4-128 and the unit hash SipHash-2-4-64 of the authors' reference: key 00..0f,
// inputs of length 0 and 1, from vectors.h of the reference implementation.
func TestSipHashReference(t *testing.T) {
	key := make([]byte, KeyLen)
	for i := range key {
		key[i] = byte(i)
	}
	k := newSipKey(key)
	for n, want := range []string{"a3817f04ba25a8e66df67214", "da87c1d86b99af44347659119"[:24]} {
		in := []byte{0}[:n]
		if mac := k.sum(in); hex.EncodeToString(mac[:]) != want {
			t.Errorf("MAC of %d bytes is %x, want %s", n, mac, want)
		}
	}
	var out [8]byte
	binary.LittleEndian.PutUint64(out[:], siphash.Hash(k.k0, k.k1, nil))
	if got := hex.EncodeToString(out[:]); got != "310e0edd47db6f72" {
		t.Errorf("64-bit hash of nothing is %s", got)
	}
}

func TestTokenAllocations(t *testing.T) {
	k := testKeyring(t)
	in := Token{Model: 1, Time: 5}
	buf := make([]byte, 0, TokenLen)
	text := string(k.AppendToken(nil, &in))
	unit := []byte("user-12345")
	if n := testing.AllocsPerRun(100, func() { buf = k.AppendToken(buf[:0], &in) }); n != 0 {
		t.Errorf("AppendToken allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = k.ParseToken(text) }); n != 0 {
		t.Errorf("ParseToken allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { in.Unit = k.UnitHash(unit) }); n != 0 {
		t.Errorf("hashing a unit allocates %v times", n)
	}
}

func FuzzParseToken(f *testing.F) {
	k := testKeyring(f)
	in := Token{Model: 1, Release: 2}
	good := string(k.AppendToken(nil, &in))
	f.Add(good)
	f.Add(good[:63] + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := k.ParseToken(text)
		if err != nil {
			return
		}
		if back := string(k.AppendToken(nil, &got)); back != text {
			t.Fatalf("%q was accepted, its token is %q", text, back)
		}
	})
}

func BenchmarkTokenAndHash(b *testing.B) {
	k := testKeyring(b)
	unit := []byte("f47ac10b-58cc-4372-a567-0e02b2c3d479")
	buf := make([]byte, 0, TokenLen)
	t := Token{Model: 1, Release: 2, Time: 1_700_000_000_000}
	b.ReportAllocs()
	for b.Loop() {
		t.Unit = k.UnitHash(unit)
		buf = k.AppendToken(buf[:0], &t)
	}
}

func BenchmarkParseToken(b *testing.B) {
	k := testKeyring(b)
	text := string(k.AppendToken(nil, &Token{Model: 1}))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.ParseToken(text); err != nil {
			b.Fatal(err)
		}
	}
}
