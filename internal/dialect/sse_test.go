package dialect

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// events reads a stream with a splitter, cut into pieces of the given sizes, the last one repeated.
func events(stream []byte, sizes ...int) (out []string, s *splitter) {
	s = new(splitter)
	for i := 0; len(stream) > 0; i++ {
		n := min(sizes[min(i, len(sizes)-1)], len(stream))
		piece := bytes.Clone(stream[:n]) // lent bytes that change afterwards must not be seen
		for rest := piece; len(rest) > 0; {
			at, name, data, has := s.feed(rest)
			if at < 0 {
				break
			}
			if has {
				out = append(out, fmt.Sprintf("%s|%s", name, data))
			}
			rest = rest[at:]
		}
		for i := range piece {
			piece[i] = 'X'
		}
		stream = stream[n:]
	}
	return out, s
}

// slowEvents is the obvious way: the whole stream as text, line by line.
func slowEvents(stream string) (out []string) {
	stream = strings.TrimPrefix(stream, "\xef\xbb\xbf")
	stream = strings.ReplaceAll(strings.ReplaceAll(stream, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(stream, "\n")
	name, data, some := "", []string{}, false
	for _, line := range lines[:len(lines)-1] { // the last one has no end
		if line == "" {
			if some {
				out = append(out, name+"|"+strings.Join(data, "\n"))
			}
			name, data, some = "", nil, false
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "data":
			data, some = append(data, value), true
		case "event":
			name = value[:min(len(value), maxName)]
		}
	}
	return out
}

// 3.1: all line ends, comments, fields without a space, several lines of data, in pieces of any size.
func TestWire3_1_Events(t *testing.T) {
	for _, c := range []struct {
		stream string
		want   []string
	}{
		{"data: a\n\n", []string{"|a"}},
		{"data: a\r\n\r\ndata: b\r\n\r\n", []string{"|a", "|b"}},
		{"data: a\r\rdata: b\r\r", []string{"|a", "|b"}},
		{"data: a\n\r\ndata: b\r\n\ndata: c\n\r", []string{"|a", "|b", "|c"}},
		{": ping\n\n: ping\n\ndata: a\n\n", []string{"|a"}},
		{"data:no space\n\n", []string{"|no space"}},
		{"data:  two\n\n", []string{"| two"}},
		{"data: one\ndata: two\ndata:three\n\n", []string{"|one\ntwo\nthree"}},
		{"data\n\n", []string{"|"}},
		{"data:\n\n", []string{"|"}},
		{"data:\ndata:\n\n", []string{"|\n"}},
		{"event: x\nid: 1\nretry: 10\ndata: a\n\ndata: b\n\n", []string{"x|a", "|b"}},
		{"event:x\n\ndata: b\n\n", []string{"|b"}},
		{"\n\n\ndata: a\n\n\n\n", []string{"|a"}},
		{"\xef\xbb\xbfdata: a\n\ndata: b\n\n", []string{"|a", "|b"}},
		{"data: a\n\n\xef\xbb\xbfdata: b\n\n", []string{"|a"}},
		{"data: unfinished", nil},
		{"data: a\n\ndata: unfinished\n", []string{"|a"}},
		{"other: a\ndat: b\n\n", nil},
	} {
		if got := slowEvents(c.stream); !slices.Equal(got, c.want) {
			t.Errorf("the slow twin reads %q as %q, want %q", c.stream, got, c.want)
		}
		for size := 1; size <= len(c.stream); size++ {
			if got, _ := events([]byte(c.stream), size); !slices.Equal(got, c.want) {
				t.Errorf("%q in pieces of %d: %q, want %q", c.stream, size, got, c.want)
			}
		}
	}
}

// 3.1: no limit traps a large event, and none makes memory grow: what is too large is passed over.
func TestWire3_1_LargeEvents(t *testing.T) {
	large := strings.Repeat("z", maxEvent-100)
	over := strings.Repeat("z", maxEvent+1)
	for _, c := range []struct {
		name, stream string
		want         []string
		skipped      int
	}{
		{"one line below the limit", "data: " + large + "\n\ndata: b\n\n", []string{"|" + large, "|b"}, 0},
		{"one line above it", "data: " + over + "\n\ndata: b\n\n", []string{"|b"}, 1},
		{"many lines above it", strings.Repeat("data: "+strings.Repeat("z", 1000)+"\n", 1100) + "\ndata: b\n\n", []string{"|b"}, 1},
		{"a comment above it", ": " + over + "\ndata: a\n\ndata: b\n\n", []string{"|b"}, 1},
	} {
		for _, size := range []int{32 << 10, 777_777} {
			got, s := events([]byte(c.stream), size)
			if !slices.Equal(got, c.want) || s.skipped != c.skipped {
				t.Errorf("%s: %d events, %d skipped", c.name, len(got), s.skipped)
			}
			if held := cap(s.rest) + cap(s.data); held > 4*maxEvent {
				t.Errorf("%s: %d bytes are held", c.name, held)
			}
		}
	}
	// One line that comes whole is never copied, so its size does not matter before it is kept.
	if got, s := events([]byte("data: "+over+"\n\n"), 2*maxEvent); len(got) != 1 || s.skipped != 0 {
		t.Errorf("a large event in one piece: %d events, %d skipped", len(got), s.skipped)
	}
}

func TestSplitterAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.SampledFrom([]string{"data:", "data: ", "event: e", ": c", "\n", "\r", "\r\n", "a", "b: c", "id: 1", "\xef\xbb\xbf", "data"})).Draw(t, "stream")
		stream := strings.Join(parts, "")
		if strings.HasSuffix(stream, "\r") {
			stream += "x" // a last CR may be half of a line end, which the twin can't tell
		}
		sizes := rapid.SliceOfN(rapid.IntRange(1, 9), 1, 8).Draw(t, "sizes")
		if got, _ := events([]byte(stream), sizes...); !slices.Equal(got, slowEvents(stream)) {
			t.Fatalf("%q in %v: %q, want %q", stream, sizes, got, slowEvents(stream))
		}
	})
}

func FuzzSplitter(f *testing.F) {
	for _, seed := range []string{"data: a\n\n", "event: x\r\ndata: y\r\n\r\n", "data: a\r\r: c\n\n", "\xef\xbb\xbfdata:\n\n", "data: a\ndata: b\n\n"} {
		f.Add([]byte(seed), 3)
	}
	for _, name := range []string{"openai-chat.sse", "anthropic-message.sse", "gemini.sse"} {
		f.Add(golden(f, name), 100)
	}
	f.Fuzz(func(t *testing.T, stream []byte, size int) {
		if bytes.HasSuffix(stream, []byte("\r")) {
			stream = append(stream, 'x')
		}
		if got, _ := events(stream, max(1, size%1000)); !slices.Equal(got, slowEvents(string(stream))) {
			t.Errorf("%q in %d: %q, want %q", stream, size, got, slowEvents(string(stream)))
		}
	})
}

// golden reads a file of testdata.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// 3.8: an array that is streamed element by element, in pieces of any size.
func TestWire3_8_Elements(t *testing.T) {
	for _, c := range []struct {
		stream string
		want   []string
		closed bool
	}{
		{`[{"a":1},{"b":"}]\\"},` + "\r\n" + `{"c":{"d":["\"{"]}}]`, []string{`{"a":1}`, `{"b":"}]\\"}`, `{"c":{"d":["\"{"]}}`}, true},
		{` [ ] `, nil, true},
		{`[{"a":1},{"b":`, []string{`{"a":1}`}, false},
		{`["x",1,{"a":"]"},[2]]`, []string{`{"a":"]"}`, `[2]`}, true},
		{`{"error":{"a":1}}`, nil, false},
		{`[{"a":1}] [{"b":2}]`, []string{`{"a":1}`}, true},
	} {
		for size := 1; size <= len(c.stream); size++ {
			var s chopper
			var got []string
			for rest := []byte(c.stream); len(rest) > 0; {
				piece := bytes.Clone(rest[:min(size, len(rest))])
				for p := piece; len(p) > 0; {
					n, e := s.feed(p)
					if e != nil {
						got = append(got, string(e))
					}
					p = p[n:]
				}
				rest = rest[len(piece):]
			}
			if !slices.Equal(got, c.want) || s.closed != c.closed {
				t.Errorf("%s in pieces of %d: %q, closed %v", c.stream, size, got, s.closed)
			}
		}
	}
	large := []byte(`[{"a":"` + strings.Repeat("z", maxEvent) + `"},{"b":1}]`)
	var s chopper
	n, e := s.feed(large[:1000])
	for rest := large[n:]; len(rest) > 0; rest = rest[n:] {
		var got []byte
		if n, got = s.feed(rest); got != nil {
			e = got
		}
	}
	if string(e) != `{"b":1}` || s.skipped != 1 || cap(s.rest) > 2*maxEvent {
		t.Errorf("after a large element: %s, %d skipped, %d held", e, s.skipped, cap(s.rest))
	}
}
