package dialect

import "bytes"

// chopper cuts the elements of one JSON array out of pieces of any size: how Gemini streams when it is not
// asked for server-sent events. Like splitter it reads a copy, and holds no more than maxEvent of an
// element.
type chopper struct {
	rest    []byte // an unfinished element
	depth   int    // brackets that are open
	quoted  bool   // inside a string
	escape  bool   // behind a backslash inside a string
	over    bool   // the unfinished element is too large
	entered bool   // the array has begun
	closed  bool   // the array is complete
	alien   bool   // it is no array
	skipped int    // elements that were too large
}

func (s *chopper) reset() { *s = chopper{rest: s.rest[:0]} }

// feed reads on in b until an element ends, and returns how many bytes of b were read and the element,
// which is lent until the next call; nil: none ends in b. Elements that are no objects are passed over.
func (s *chopper) feed(b []byte) (n int, element []byte) {
	if s.alien {
		return len(b), nil
	}
	from := 0 // of the element in b
	for i := 0; i < len(b); i++ {
		if s.quoted {
			if i = s.inString(b, i); i >= len(b) {
				break
			}
			continue
		}
		switch b[i] {
		case '"':
			s.quoted = true
		case '{', '[':
			switch {
			case s.depth == 1:
				from = i
			case s.depth == 0 && (s.closed || b[i] == '{'):
				s.alien = true // no array, or something behind it
			}
			if s.alien {
				return len(b), nil
			}
			s.depth++
			s.entered = true
		case '}', ']':
			s.depth--
			switch {
			case s.depth == 1:
				return i + 1, s.element(b[from : i+1])
			case s.depth <= 0:
				s.closed, s.depth = true, 0
			}
		}
	}
	if s.depth > 1 {
		s.keep(b[from:])
	}
	return len(b), nil
}

// inString passes over a string's bytes from i and returns the place of its end, len(b) if that has not come.
func (s *chopper) inString(b []byte, i int) int {
	for i < len(b) {
		if s.escape {
			s.escape = false
			i++
			continue
		}
		n := bytes.IndexAny(b[i:], `"\`)
		if n < 0 {
			return len(b)
		}
		i += n
		if b[i] == '"' {
			s.quoted = false
			return i
		}
		s.escape = true
		i++
	}
	return i
}

func (s *chopper) keep(b []byte) {
	if s.over = s.over || len(s.rest)+len(b) > maxEvent; s.over {
		s.rest = s.rest[:0]
		return
	}
	s.rest = append(s.rest, b...)
}

func (s *chopper) element(b []byte) []byte {
	if len(s.rest) > 0 || s.over {
		s.keep(b)
		b = s.rest
	}
	s.rest = s.rest[:0]
	if s.over {
		s.over = false
		s.skipped++
		return nil
	}
	return b
}
