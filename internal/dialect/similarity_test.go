package dialect

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestSimilarity(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want float64
	}{
		{"", "", 1},
		{"", "a", 0},
		{"Hi", " hi\n", 1},
		{"Hi", "Ho", 0},
		{"night", "nacht", 0}, // nig igh ght, nac ach cht
		{"abcd", "bcde", 0.5}, // abc bcd, bcd cde
		{"The  Same\ttext", "the same text", 1},
		{"aaaa", "aaa", 2.0 / 3}, // a multiset: aaa twice, aaa once
		{"你好世界", "你好世间", 0.5},
		{"approve the loan", "decline the loan", 2.0 * 8 / 28}, // "e the loan" in both
	} {
		if got := Similarity([]byte(c.a), []byte(c.b)); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%q and %q: %v, want %v", c.a, c.b, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := []byte(rapid.String().Draw(t, "a")), []byte(rapid.String().Draw(t, "b"))
		ab, ba := Similarity(a, b), Similarity(b, a)
		if ab != ba || ab < 0 || ab > 1 || Similarity(a, a) != 1 {
			t.Fatalf("%q and %q: %v, %v, with itself %v", a, b, ab, ba, Similarity(a, a))
		}
	})
}
