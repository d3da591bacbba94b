package cli

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		text string
		n    int
		want []string
	}{
		{"", 10, nil},
		{"one two three", 7, []string{"one two", "three"}},
		{"größer als live", 10, []string{"größer als", "live"}}, // runes, not bytes
		{"a-word-that-is-longer than", 5, []string{"a-word-that-is-longer", "than"}},
	} {
		if got := wrap(tt.text, tt.n); !slices.Equal(got, tt.want) {
			t.Errorf("wrap(%q, %d) = %q, want %q", tt.text, tt.n, got, tt.want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 releases", 1: "1 release", 2: "2 releases", 1200: "1,200 releases"} {
		if got := count(n, "release"); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
}

// A watch off a terminal writes a line when something happens, not when a counter moves.
func TestSayIgnoresCounters(t *testing.T) {
	var out bytes.Buffer
	s := &screen{e: &env{out: &out}}
	for _, line := range []string{
		"at 50%: waiting for minimum: 1s of 5m", "at 50%: waiting for minimum: 1m30s of 5m",
		"at 50%: waiting for 1,200 more exposures", "at 50%: waiting for 900 more exposures",
	} {
		s.say(line, "50%")
	}
	s.say("at 75%: waiting for 900 more exposures", "75%")
	if got := strings.Count(out.String(), "\n"); got != 3 {
		t.Errorf("%d lines, want 3:\n%s", got, out.String())
	}
}
