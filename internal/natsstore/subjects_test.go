package natsstore

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"pgregory.net/rapid"
)

// anyKey draws keys that are likely to collide, and keys of any bytes.
var anyKey = rapid.OneOf(
	rapid.StringMatching(`[ab=./*>_-]{0,8}`),
	rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 20), func(b []byte) string { return string(b) }),
)

func TestSubjectsAreKeys(t *testing.T) {
	n := names{"ns"}
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyKey.Draw(t, "a"), anyKey.Draw(t, "b")
		sa, sb := n.head(a), n.head(b)
		if !server.IsValidPublishSubject(sa) {
			t.Fatalf("%q is no subject", sa)
		}
		if back, err := n.key(sa); err != nil || back != a {
			t.Fatalf("%q became %q became %q, %v", a, sa, back, err)
		}
		if (a == b) != (sa == sb) || (a == b) != (token(a) == token(b)) {
			t.Fatalf("%q and %q became %q and %q", a, b, sa, sb)
		}
		// The entries of one key are not those of another.
		if a != b && server.SubjectsCollide(n.entry(a, 5), n.entries(b)) {
			t.Fatalf("an entry of %q is among those of %q", a, b)
		}
	})
}

func TestFilterCoversPrefix(t *testing.T) {
	n := names{"ns"}
	rapid.Check(t, func(t *rapid.T) {
		key := anyKey.Draw(t, "key")
		prefix := key[:rapid.IntRange(0, len(key)).Draw(t, "n")]
		if !server.SubjectsCollide(n.head(key), n.heads(prefix)) {
			t.Fatalf("%q does not cover %q", n.heads(prefix), n.head(key))
		}
	})
	if f := n.heads("state/credit/"); f != "sl.ns.ctrl.state.credit.>" {
		t.Errorf("the filter of a prefix is %q", f)
	}
}

func FuzzKey(f *testing.F) {
	for _, s := range []string{"a.b", "=", "=2F", "==", "=Z", "=4", "a..b", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, tokens string) {
		key, err := unpath(tokens)
		if err == nil && path(key) != tokens && plainTokens(tokens) {
			t.Errorf("%q became %q became %q", tokens, key, path(key))
		}
	})
}

func plainTokens(s string) bool {
	for i := range len(s) {
		if !plain(s[i]) && s[i] != '.' {
			return false
		}
	}
	return !slices.Contains(strings.Split(s, "."), "")
}

func TestSince(t *testing.T) {
	var subjects []string
	for _, n := range []int{30, 0, 7, 12} { // the server's order is no order
		subjects = append(subjects, fmt.Sprint("sl.ns.hist.k.", n))
	}
	for after, want := range map[uint64]string{0: "0 7 12 30", 5: "0 7 12 30", 7: "0 7 12 30", 8: "7 12 30", 12: "7 12 30", 13: "12 30", 30: "12 30", 31: "30", 99: "30"} {
		got, err := since(slices.Clone(subjects), after)
		var short []string
		for _, s := range got {
			short = append(short, strings.TrimPrefix(s, "sl.ns.hist.k."))
		}
		if err != nil || strings.Join(short, " ") != want {
			t.Errorf("after %d: %v, %v, want %s", after, short, err, want)
		}
	}
	if got, err := since(nil, 3); err != nil || len(got) != 0 {
		t.Errorf("of nothing: %v, %v", got, err)
	}
	if _, err := since([]string{"sl.ns.hist.k.x"}, 0); err == nil {
		t.Error("a subject without a number was taken")
	}
}
