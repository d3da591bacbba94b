package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
)

var errChunk = errors.New("upstream: a chunk does not end where its size says")

// frame is what stands before the data of a chunk.
type frame int

const (
	frameTorn    frame = iota // more of it must come
	framePlain                // a size and nothing else
	frameLast                 // the end of the body, without trailers
	frameUnusual              // net/http's to read
)

// maxSize is how many digits the size of a plain chunk has at most: beyond them net/http judges it.
const maxSize = 8

// readFrame reads the frame at the beginning of b: its length, and how much data follows.
func readFrame(b []byte) (length int, data int64, what frame) {
	for ; length < len(b) && length <= maxSize; length++ {
		digit := hex(b[length])
		if digit < 0 {
			break
		}
		data = data<<4 | int64(digit)
	}
	switch rest := b[length:]; {
	case length > maxSize:
		return 0, 0, frameUnusual
	case len(rest) < 2 && bytes.HasPrefix(lineBreak, rest):
		return 0, 0, frameTorn
	case length == 0 || !bytes.HasPrefix(rest, lineBreak):
		return 0, 0, frameUnusual
	case data > 0:
		return length + 2, data, framePlain
	case bytes.HasPrefix(rest[2:], lineBreak):
		return length + 4, 0, frameLast
	case bytes.HasPrefix(lineBreak, rest[2:]):
		return 0, 0, frameTorn
	}
	return 0, 0, frameUnusual // trailers
}

var lineBreak = []byte("\r\n")

func hex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// nextChunk goes on to the data of a chunk, of which there may be none yet, or to the end of the body.
func (b *body) nextChunk() error {
	for b.left == 0 {
		if b.behind { // the line break that ends a chunk's data
			if err := b.lineEnd(); err != nil {
				return err
			}
		}
		length, data, what := readFrame(b.c.in.bytes())
		switch what {
		case frameTorn:
			if err := b.more(); err != nil {
				return err
			}
		case framePlain:
			b.c.in.drop(length)
			b.left = data
		case frameLast:
			b.c.in.drop(length)
			b.ended = true
			return nil
		default:
			return b.unusual()
		}
	}
	return nil
}

func (b *body) lineEnd() error {
	for {
		switch came := b.c.in.bytes(); {
		case bytes.HasPrefix(came, lineBreak):
			b.c.in.drop(len(lineBreak))
			b.behind = false
			return nil
		case !bytes.HasPrefix(lineBreak, came):
			return errChunk
		}
		if err := b.more(); err != nil {
			return err
		}
	}
}

// gather joins the data of further chunks that have come whole, or in part, to piece, which lies before them, up to most bytes: they are
// one write to the client then. It goes as far as it can without a wait.
func (b *body) gather(piece []byte, most int) []byte {
	for in := &b.c.in; b.left == 0 && len(piece) < most; {
		rest, ok := bytes.CutPrefix(in.bytes(), lineBreak)
		if !ok {
			break
		}
		length, data, what := readFrame(rest)
		if what == frameLast {
			in.drop(len(lineBreak) + length)
			b.behind, b.ended = false, true
			break
		}
		n := min(int64(len(rest)-length), data, int64(most-len(piece)))
		if what != framePlain || n <= 0 {
			break
		}
		in.drop(len(lineBreak) + length)
		piece = append(piece, in.bytes()[:n]...) // downwards in the same memory
		in.drop(int(n))
		b.left = data - n
		b.behind = b.left == 0
	}
	return piece
}

// unusual gives the rest of a body, which begins with the frame of a chunk, to net/http: extensions, trailers, and what is
// wrong are its to judge.
func (b *body) unusual() error {
	const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	b.c.parser(io.MultiReader(strings.NewReader(head), (*limited)(b.c)))
	rest, err := http.ReadResponse(b.c.br, &b.c.asked) //nolint:bodyclose // the connection is what is closed
	if err != nil {
		return err
	}
	b.from, b.trailed = rest.Body, rest
	return errUnusual
}

// parser takes a reader for net/http's parser.
func (c *conn) parser(from io.Reader) {
	if c.br == nil {
		c.br = readers.Get().(*bufio.Reader)
	}
	c.br.Reset(from)
}
