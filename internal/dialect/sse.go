package dialect

import (
	"bytes"
	"unsafe"
)

// Bounds of an event of a stream that is read. A larger event is relayed like any other, passed over by the
// reader and counted.
const (
	maxEvent = 1 << 20 // bytes of its data
	maxName  = 128     // bytes of its name
)

// splitter cuts a stream of server-sent events out of pieces of any size, as the HTML standard says
// (section 9.2.6): lines end with LF, CR LF or CR, alone or mixed, events with an empty line; comments and
// fields without a meaning here are passed over. It works on a copy of what is relayed and never
// changes it.
//
// Memory: the unfinished event and no more than maxEvent of it. An event that lies within one piece,
// with one line of data, is lent and not copied.
type splitter struct {
	rest  []byte // an unfinished line
	data  []byte // data of the unfinished event, complete lines
	lent  []byte // data of one line that lies in the piece at hand; nil: none
	name  []byte // of the unfinished event
	some  bool   // the unfinished event has data
	begun bool   // the unfinished event has any bytes
	cr    bool   // the last byte was CR: an LF that follows belongs to it
	first bool   // the stream's first line was read
	over  bool   // the unfinished event is too large
	fat   bool   // the unfinished line is too large

	skipped int // events that were too large
}

func (s *splitter) reset() {
	*s = splitter{rest: s.rest[:0], data: s.data[:0], name: s.name[:0]}
}

// between says whether the stream is between two events, so that one could be added.
func (s *splitter) between() bool { return !s.begun }

// feed reads on in b until an event ends, and returns how many bytes of b belong to it; -1 if none ends in
// b, all of which has then been read. has says whether it is an event that a client would see: one of comments
// alone isn't. name and data are lent until the next call.
func (s *splitter) feed(b []byte) (n int, name, data []byte, has bool) {
	i := 0
	if s.cr && len(b) > 0 {
		s.cr = false
		if b[0] == '\n' {
			i = 1
		}
	}
	lf, cr := -2, -2 // places of the next of each; -1: none; -2 or passed: not looked for yet
	for i < len(b) {
		if lf < i && lf != -1 {
			if lf = bytes.IndexByte(b[i:], '\n'); lf >= 0 {
				lf += i
			}
		}
		if cr < i && cr != -1 {
			if cr = bytes.IndexByte(b[i:], '\r'); cr >= 0 {
				cr += i
			}
		}
		end := lf
		if cr >= 0 && (lf < 0 || cr < lf) {
			end = cr
		}
		if end < 0 {
			s.keep(b[i:])
			break
		}
		line, next := b[i:end], end+1
		if b[end] == '\r' {
			if next == len(b) {
				s.cr = true
			} else if b[next] == '\n' {
				next++
			}
		}
		i = next
		if s.line(line) {
			name, data, has = s.event()
			return i, name, data, has
		}
	}
	s.own()
	return -1, nil, nil, false
}

// keep holds the beginning of a line whose end has not come.
func (s *splitter) keep(b []byte) {
	if len(b) == 0 {
		return
	}
	s.begun = true
	if len(s.rest)+len(b) > maxEvent {
		s.fat, s.rest = true, s.rest[:0]
	}
	if !s.fat {
		s.rest = append(s.rest, b...)
	}
}

// own copies what was lent, because the piece that it lies in goes.
func (s *splitter) own() {
	if s.lent != nil {
		s.data = append(s.data[:0], s.lent...)
		s.lent = nil
	}
}

// line takes one line and says whether it ended an event.
func (s *splitter) line(b []byte) bool {
	joined := false
	if s.fat {
		s.fat, s.over = false, true
		return false
	}
	if len(s.rest) > 0 {
		if len(s.rest)+len(b) > maxEvent {
			s.rest, s.over = s.rest[:0], true
			return false
		}
		s.rest = append(s.rest, b...)
		b, joined = s.rest, true
		s.rest = s.rest[:0] // its bytes stay until the next keep
	}
	if !s.first {
		s.first = true
		b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")) // a byte order mark is legal before the first line
	}
	if len(b) == 0 {
		return s.begun
	}
	s.begun = true
	field, value, _ := bytes.Cut(b, []byte(":"))
	if len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	switch string(field) {
	case "data":
		s.addData(value, joined)
	case "event":
		s.name = append(s.name[:0], value[:min(len(value), maxName)]...)
	}
	return false
}

func (s *splitter) addData(value []byte, joined bool) {
	switch {
	case s.over:
	case !s.some && !joined:
		s.lent = value
	case !s.some:
		s.data = append(s.data[:0], value...)
	default:
		s.own()
		if len(s.data)+1+len(value) > maxEvent {
			s.over = true
			return
		}
		s.data = append(append(s.data, '\n'), value...)
	}
	s.some = true
}

// event ends the event.
func (s *splitter) event() (name, data []byte, has bool) {
	name, data = s.name, s.data
	if s.lent != nil {
		data = s.lent
	}
	has = s.some && !s.over
	if s.over {
		s.skipped++
	}
	if !s.some || s.over {
		data = nil
	}
	s.name, s.data, s.lent = s.name[:0], s.data[:0], nil // their bytes stay until the next line
	s.some, s.begun, s.over = false, false, false
	return name, data, has
}

// lend views bytes as a string, for callees that only read it while the bytes stand.
func lend(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
