package head

import (
	"bufio"
	"bytes"
	"net/http"
	"reflect"
	"testing"
)

// oracle gives bytes to net/http and says how many of them are the head.
func oracle[M any](b []byte, read func(*bufio.Reader) (M, error)) (m M, size int, err error) {
	from := bytes.NewReader(b)
	br := bufio.NewReader(from)
	m, err = read(br)
	return m, len(b) - from.Len() - br.Buffered(), err
}

func theirResponse(b []byte, asked *http.Request) (*http.Response, int, error) {
	return oracle(b, func(br *bufio.Reader) (*http.Response, error) { return http.ReadResponse(br, asked) })
}

// sameResponse checks everything that holds for any bytes: what is plain is what net/http makes of it, and no part
// of it is plain.
func sameResponse(t *testing.T, b []byte, method string) Verdict {
	t.Helper()
	asked := &http.Request{Method: method}
	given := bytes.Clone(b)
	ours, size, v := Response(given, asked, nil)
	if !bytes.Equal(given, b) {
		t.Fatalf("%q was changed into %q", b, given)
	}
	if v != Plain {
		if ours != nil || size != 0 {
			t.Fatalf("%q: verdict %d, and yet %v of %d bytes", b, v, ours, size)
		}
		return v
	}
	clear(given) // nothing of it is kept
	theirs, theirSize, err := theirResponse(b, asked)
	if err != nil {
		t.Fatalf("%q is plain here; net/http: %v", b, err)
	}
	theirs.Body = nil
	if size != theirSize || !reflect.DeepEqual(ours, theirs) {
		t.Fatalf("%q\nhere     %d bytes %+v\nnet/http %d bytes %+v", b, size, ours, theirSize, theirs)
	}
	apart(t, ours.Header)
	sameLines(t, b, ours, asked)
	parts(t, b, size, func(b []byte) Verdict {
		_, _, v := Response(b, asked, nil)
		return v
	})
	return v
}

// sameLines checks that lines hold what the header of a plain answer does, and nothing of an answer before, and change nothing else.
func sameLines(t *testing.T, b []byte, want *http.Response, asked *http.Request) {
	t.Helper()
	var into Answer
	if _, _, v := Response([]byte("HTTP/1.1 200 OK\r\nBefore: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), nil, &into); v != Plain || len(into.Lines) != 1 {
		t.Fatalf("verdict %d, lines %q", v, into.Lines)
	}
	given := bytes.Clone(b)
	ours, _, v := Response(given, asked, &into)
	clear(given)
	if v != Plain || ours.Header != nil {
		t.Fatalf("%q: verdict %d, header %v, lines %q", b, v, ours.Header, into.Lines)
	}
	ours.Header = http.Header{}
	for _, l := range into.Lines {
		ours.Header[l.Name] = append(ours.Header[l.Name], l.Value)
	}
	if len(ours.Header["Pragma"]) > 0 {
		fixPragma(ours.Header) // what net/http adds did not come
	}
	if !reflect.DeepEqual(ours, want) {
		t.Fatalf("%q\nby lines  %+v\nby header %+v", b, ours, want)
	}
}

// apart checks that appending to a value writes into no other.
func apart(t *testing.T, h http.Header) {
	t.Helper()
	want := h.Clone()
	for _, values := range h {
		_ = append(values, "appended")
	}
	if !reflect.DeepEqual(h, want) {
		t.Fatalf("values share memory: %q became %q", want, h)
	}
}

// parts checks that no part of a plain head is one, and that what comes behind it changes nothing.
func parts(t *testing.T, b []byte, size int, judge func([]byte) Verdict) {
	t.Helper()
	step := 1
	if size > 512 {
		step = size / 64
	}
	for i := 0; i < size; i += step {
		if v := judge(b[:i:i]); v != Partial {
			t.Fatalf("%q is plain, its first %d bytes are %d", b, i, v)
		}
	}
	if v := judge(b[: size-1 : size-1]); v != Partial {
		t.Fatalf("%q is plain, without its last byte it is %d", b, v)
	}
	if v := judge(append(b[:size:size], "\x00 \n"...)); v != Plain {
		t.Fatalf("%q is plain, with more behind it %d", b, v)
	}
}

// reader returns what a benchmark of net/http reads from.
func reader() (*bufio.Reader, *bytes.Reader) {
	from := new(bytes.Reader)
	return bufio.NewReaderSize(from, 4<<10), from
}
