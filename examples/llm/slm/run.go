package slm

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// State is one text in the making: the keys and values of the tokens so far, and room to compute in.
type State struct {
	m          *Model
	pos, limit int
	keys, vals [][]float32 // by layer: limit rows of width
	x, h, q, a []float32
	f1, f3     []float32
	logits     []float32
	weights    []float32 // of attention, by position
	turns      []float32 // cosine and sine by pair of a head's dimensions, of this position
}

// Start returns an empty text of at most limit tokens.
func (m *Model) Start(limit int) *State {
	vec := func(n int) []float32 { return make([]float32, n) }
	s := &State{
		m: m, limit: limit, x: vec(m.width), h: vec(m.width), q: vec(m.width), a: vec(m.width),
		f1: vec(m.inner), f3: vec(m.inner), logits: vec(m.tokens), weights: vec(limit), turns: vec(m.width / m.heads),
	}
	for range m.layers {
		s.keys, s.vals = append(s.keys, vec(limit*m.width)), append(s.vals, vec(limit*m.width))
	}
	return s
}

// Len is the number of tokens so far.
func (s *State) Len() int { return s.pos }

// Add appends a token. A token outside the vocabulary or beyond the limit is a programming error and panics.
func (s *State) Add(token int) {
	if s.pos == s.limit || token < 0 || token >= s.m.tokens {
		panic(fmt.Sprintf("slm: token %d of %d at %d of %d", token, s.m.tokens, s.pos, s.limit))
	}
	copy(s.x, s.m.embed.w[token*s.m.width:])
	s.turn()
	for i := range s.m.layers {
		l := &s.m.layers[i]
		s.attend(l, s.keys[i], s.vals[i])
		s.feed(l)
	}
	s.pos++
}

// Logits returns the scores of the next token: softmax makes them probabilities. They hold until the next call. It is
// apart from Add because it is a quarter of the work, and only the last token of a prompt needs it.
func (s *State) Logits() []float32 {
	normalise(s.h, s.x, s.m.norm)
	s.m.embed.times(s.logits, s.h)
	return s.logits
}

// turn computes the rotation of this position.
func (s *State) turn() {
	n := len(s.turns)
	for j := 0; j < n; j += 2 {
		sin, cos := math.Sincos(float64(s.pos) / math.Pow(10000, float64(j)/float64(n)))
		s.turns[j], s.turns[j+1] = float32(cos), float32(sin)
	}
}

func (s *State) rotate(x []float32) {
	n := len(s.turns)
	for i := 0; i < len(x); i += 2 {
		cos, sin := s.turns[i%n], s.turns[i%n+1]
		x[i], x[i+1] = x[i]*cos-x[i+1]*sin, x[i]*sin+x[i+1]*cos
	}
}

func (s *State) attend(l *layer, keys, vals []float32) {
	d := s.m.width
	normalise(s.h, s.x, l.norm1)
	key := keys[s.pos*d : (s.pos+1)*d]
	l.q.times(s.q, s.h)
	l.k.times(key, s.h)
	l.v.times(vals[s.pos*d:(s.pos+1)*d], s.h)
	s.rotate(s.q)
	s.rotate(key)
	n := d / s.m.heads
	for at := 0; at < d; at += n {
		s.head(s.a[at:at+n], s.q[at:at+n], keys[at:], vals[at:])
	}
	l.o.times(s.h, s.a)
	add(s.x, s.h)
}

// head writes one head's mixture of values to out. keys and vals begin at the head's columns.
func (s *State) head(out, q, keys, vals []float32) {
	d, n := s.m.width, len(q)
	w := s.weights[:s.pos+1]
	scale := 1 / float32(math.Sqrt(float64(n)))
	top := float32(math.Inf(-1))
	for t := range w {
		w[t] = dot(q, keys[t*d:t*d+n]) * scale
		top = max(top, w[t])
	}
	var sum float32
	for t := range w {
		w[t] = float32(math.Exp(float64(w[t] - top)))
		sum += w[t]
	}
	clear(out)
	for t := range w {
		share := w[t] / sum
		for j, v := range vals[t*d : t*d+n] {
			out[j] += share * v
		}
	}
}

func (s *State) feed(l *layer) {
	normalise(s.h, s.x, l.norm2)
	l.w1.times(s.f1, s.h)
	l.w3.times(s.f3, s.h)
	for i, v := range s.f1 {
		s.f1[i] = v / (1 + float32(math.Exp(float64(-v)))) * s.f3[i]
	}
	l.w2.times(s.h, s.f1)
	add(s.x, s.h)
}

// normalise writes x / its root mean square, times w.
func normalise(out, x, w []float32) {
	var sum float64
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	r := float32(1 / math.Sqrt(sum/float64(len(x))+1e-5))
	for i, v := range x {
		out[i] = v * r * w[i]
	}
}

func add(x, y []float32) {
	for i, v := range y {
		x[i] += v
	}
}

// times writes the product of m and x.
func (m matrix) times(out, x []float32) {
	for i := range out {
		out[i] = dot(m.w[i*m.cols:(i+1)*m.cols], x)
	}
}

// dot has four sums, so that additions do not wait for each other.
func dot(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}

// Top returns the likeliest token, the first of equals.
func Top(logits []float32) int {
	top := 0
	for i, v := range logits {
		if v > logits[top] {
			top = i
		}
	}
	return top
}

// LogP returns the natural logarithm of a token's probability.
func LogP(logits []float32, token int) float64 {
	top := logits[Top(logits)]
	var sum float64
	for _, v := range logits {
		sum += math.Exp(float64(v - top))
	}
	return float64(logits[token]-top) - math.Log(sum)
}

// Sample draws a token at a temperature from 0 to 2; 0 is Top.
func Sample(logits []float32, temperature float64, rng *rand.Rand) int {
	top := Top(logits)
	if temperature <= 0 {
		return top
	}
	var sum float64
	p := make([]float64, len(logits))
	for i, v := range logits {
		p[i] = math.Exp(float64(v-logits[top]) / temperature)
		sum += p[i]
	}
	at := rng.Float64() * sum
	for i, v := range p {
		if at -= v; at < 0 {
			return i
		}
	}
	return top // rounding
}
