package gateway

import (
	"net/http"
	"net/url"
	"time"
)

// observer reads along one try at an upstream: what is sent, the head of the answer, its bytes. It may
// edit the request's body in place and hold bytes of the answer back. All methods run on the goroutine
// of the exchange, in this order.
type observer interface {
	// sending is called before anything is sent.
	sending(out *outgoing)
	// answered is called with the head of the answer, before it is relayed. It may change the headers,
	// which are what the client gets, and read the body if it puts back what it read. again asks for
	// the same request to be sent once more; sending is called anew, and answered may not ask twice.
	answered(resp *http.Response) (again bool)
	// streaming says that the answer is a stream whose first content is worth waiting for before the
	// client is told of it, if live may answer in the candidate's place.
	streaming() bool
	// chunk takes bytes as they came, lent for the call. It returns what the client gets: b itself,
	// a part of it, or nothing yet. What it returns is valid until the next call.
	chunk(b []byte, now time.Time) (relay []byte, s seen)
	// ended is called once after the last chunk: err is nil if the upstream's body ended well. It
	// returns what is still to be written, and whether the answer counts as truncated all the same.
	ended(err error, trailer http.Header) (tail []byte, truncated bool)
}

// seen is what an observer saw in a chunk.
type seen uint8

const (
	seenNothing seen = iota
	seenContent      // the first or a further piece of content
	seenFailed       // the stream told an error before any content
)

// outgoing is a request as it would be sent to a version.
type outgoing struct {
	version *version
	url     *url.URL // its own: may be changed
	header  fields
	body    []byte // in memory; nil: none, or streamed. Shared: must not be written to
	edits   []edit // ascending, not overlapping
}

// edit replaces n bytes of the body from at on.
type edit struct {
	at, n int
	with  []byte
}

// pieces returns the body with its edits, nothing copied. room is memory for the result.
func (o *outgoing) pieces(room [][]byte) [][]byte {
	rest, at := o.body, 0
	out := room[:0]
	add := func(b []byte) {
		if len(b) > 0 {
			out = append(out, b)
		}
	}
	for _, e := range o.edits {
		add(rest[:e.at-at])
		add(e.with)
		rest, at = rest[e.at-at+e.n:], e.at+e.n
	}
	add(rest)
	return out
}
