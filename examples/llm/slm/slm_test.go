package slm_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"sluice.dev/sluice/examples/llm/slm"
)

// tiny is a sound file: 4 tokens, width 4, 1 layer of 2 heads, inner width 2.
func tiny() []byte {
	b := []byte("SLM1")
	for _, n := range []uint32{4, 4, 1, 2, 2} {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	number := func(v float32) { b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v)) }
	norm := func() {
		for range 4 {
			number(1)
		}
	}
	rows := func(n, cols int) {
		for i := range n {
			number(.01)
			for j := range cols {
				b = append(b, byte(7*i+3*j+1))
			}
		}
	}
	rows(4, 4)
	norm()
	for range 4 {
		rows(4, 4)
	}
	norm()
	rows(2, 4)
	rows(2, 4)
	rows(4, 2)
	norm()
	return b
}

func TestParse(t *testing.T) {
	if m, err := slm.Parse(tiny()); err != nil || m.Tokens() != 4 {
		t.Fatalf("a sound file: %v", err)
	}
	set := func(at int, v uint32) []byte {
		b := tiny()
		binary.LittleEndian.PutUint32(b[at:], v)
		return b
	}
	nan := math.Float32bits(float32(math.NaN()))
	for _, c := range []struct {
		name, want string
		data       []byte
	}{
		{"empty", "0 bytes", nil},
		{"magic", "not SLM1", append([]byte("GGUF"), tiny()[4:]...)},
		{"short", "ask for", tiny()[:len(tiny())-1]},
		{"long", "ask for", append(tiny(), 0)},
		{"no tokens", "tokens", set(4, 0)},
		{"huge", "tokens", set(4, math.MaxUint32)},
		{"huge width", "width", set(8, math.MaxUint32)},
		{"no layers", "layers", set(12, 0)},
		{"heads", "heads", set(16, 3)},
		{"other sizes", "ask for", set(4, 5)},
		{"scale", "finite", set(24, nan)},
		{"norm", "finite", set(len(tiny())-4, math.Float32bits(float32(math.Inf(1))))},
	} {
		if _, err := slm.Parse(c.data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(tiny())
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := slm.Parse(data)
		if err != nil {
			return
		}
		s := m.Start(2)
		s.Add(0)
		s.Logits()
	})
}

// TestSampling compares the shares of 20,000 draws with the probabilities, within five standard errors.
func TestSampling(t *testing.T) {
	logits := []float32{0, 2, 1}
	rng := rand.New(rand.NewPCG(1, 2))
	var seen [3]int
	const n = 20000
	for range n {
		seen[slm.Sample(logits, 1, rng)]++
	}
	var sum float64
	for i := range logits {
		p := math.Exp(slm.LogP(logits, i))
		sum += p
		if got := float64(seen[i]) / n; math.Abs(got-p) > 5*math.Sqrt(p*(1-p)/n) {
			t.Errorf("token %d was drawn in %.3f, want %.3f", i, got, p)
		}
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("the probabilities add up to %v", sum)
	}
	if slm.Sample(logits, 0, nil) != 1 || slm.Top(logits) != 1 {
		t.Error("temperature 0 is not the likeliest token")
	}
}

// TestOrder says that a state knows the order of its tokens, and that the same tokens give the same scores.
func TestOrder(t *testing.T) {
	m, err := slm.Parse(tiny())
	if err != nil {
		t.Fatal(err)
	}
	scores := func(tokens ...int) float32 {
		s := m.Start(8)
		for _, id := range tokens {
			s.Add(id)
		}
		return s.Logits()[2]
	}
	if scores(0, 1, 2, 3) != scores(0, 1, 2, 3) {
		t.Error("the same tokens, other scores")
	}
	if scores(0, 1, 2, 3) == scores(2, 1, 0, 3) {
		t.Error("another order, the same scores")
	}
}

func TestTokenizer(t *testing.T) {
	const file = `{"vocab": ["<s>", "</s>", "Ġ", "a", "b", "c", "ab", "Ġab", "Ġabc"], "merges": ["a b", "Ġ ab", "Ġab c"]}`
	tok, err := slm.ParseTokenizer([]byte(file), 9)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"": "", "ab": "ab", " ab": " ab", "ab abc": "ab| abc", "bab": "b|ab", "a?b": "a|b", "<s>a": "a", "ab ab": "ab| ab",
	} {
		var got []string
		for _, id := range tok.Encode(text) {
			got = append(got, tok.Text(id))
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
	if n := len(tok.Encode(strings.Repeat("a", 100_000))); n != 100_000 {
		t.Errorf("a long word has %d tokens", n)
	}
	for _, c := range []struct{ name, file, want string }{
		{"no JSON", `{`, "EOF"},
		{"more", file + "1", "follows"},
		{"count", `{"vocab": ["a"], "merges": []}`, "1 pieces"},
		{"twice", strings.Replace(file, `"c"`, `"a"`, 1), "there already"},
		{"no piece", strings.Replace(file, `"a b"`, `"a c"`, 1), "merges[0]"},
		{"no pair", strings.Replace(file, `"a b"`, `"ab"`, 1), "merges[0]"},
	} {
		if _, err := slm.ParseTokenizer([]byte(c.file), 9); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
}
