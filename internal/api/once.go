package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"sluice.dev/sluice/internal/records"
)

const (
	onceHeader  = "Idempotency-Key"
	maxOnceKey  = 128
	onceTimeout = 5 * time.Second
)

// once does a call that carries an idempotency key a single time: the same call again gets the same answer.
func (s *server) once(r route, c call) (any, error) {
	key := c.Header.Get(onceHeader)
	if key == "" {
		return r.handle(c)
	}
	if !r.once {
		return nil, badRequest("this call takes no "+onceHeader, "leave the header out: what it answers is kept nowhere, or it does the same when it is repeated")
	}
	if len(key) > maxOnceKey || strings.ContainsFunc(key, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
		return nil, badRequest(fmt.Sprintf("%s has 1 to %d printable ASCII characters without spaces", onceHeader, maxOnceKey), "use a random UUID")
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.Body, maxApply))
	if err != nil {
		return nil, bodyError(err)
	}
	c.Body = io.NopCloser(bytes.NewReader(body))
	name, asked := records.OnceKey(c.who, key), askedFor(c, body)
	old, err := s.o.Records.BeginOnce(c.Context(), name, asked, s.o.Now())
	if err != nil {
		return nil, err
	}
	if old != nil {
		return repeated(c, old)
	}
	out, err := r.handle(c)
	answer := answerOf(c, r, out, err)
	// The client may be gone; what was done is done.
	keep, cancel := context.WithTimeout(context.WithoutCancel(c.Context()), onceTimeout)
	defer cancel()
	if kept := s.o.Records.EndOnce(keep, name, answer); kept != nil {
		s.o.Log.Warn("the answer of a call is not kept for its repetition", "path", c.URL.Path, "error", kept)
	}
	return out, err
}

// askedFor is the hash of everything that makes two calls the same.
func askedFor(c call, body []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s\n%s\n%s\n%d\n", c.Method, c.URL.RequestURI(), c.Header.Get("If-Match"), c.Header.Get("If-None-Match"), len(body))
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// answerOf is what is kept; nil for a call that failed: it changed nothing.
func answerOf(c call, r route, out any, err error) *records.Answer {
	if err != nil {
		return nil
	}
	body, err := encode(out)
	if err != nil {
		return nil
	}
	return &records.Answer{Status: r.status, ETag: c.w.Header().Get("ETag"), Body: body}
}

func repeated(c call, a *records.Answer) (any, error) {
	if a.Cut {
		return nil, &httpError{
			status: http.StatusConflict, msg: "this call was done before; its answer was too large to be kept", remedy: "GET what it changed",
		}
	}
	c.w.Header().Set("Idempotency-Replayed", "true")
	if a.ETag != "" {
		c.w.Header().Set("ETag", a.ETag)
	}
	return kept{a.Status, a.Body}, nil
}

// kept is an answer of an earlier call.
type kept struct {
	status int
	body   []byte
}

// etag names the revision of what an answer shows.
func (c call) etag(rev records.Revision) {
	c.w.Header().Set("ETag", `"`+strconv.FormatUint(uint64(rev), 10)+`"`)
}

// seen returns the revision that a change is meant for; nil: for any. If-None-Match: * asks that there is none yet.
func (c call) seen() (*records.Revision, error) {
	match, none := c.Header.Get("If-Match"), c.Header.Get("If-None-Match")
	switch {
	case match != "" && none != "":
		return nil, badRequest("If-Match and If-None-Match contradict each other", "send one of them")
	case none == "*":
		return new(records.Revision), nil
	case none != "":
		return nil, badRequest("If-None-Match of a change is * or nothing", "use If-Match for a revision")
	case match == "" || match == "*":
		return nil, nil //nolint:nilnil // no revision is asked for, and that is no fault
	}
	text, ok := strings.CutPrefix(match, `"`)
	text, ok2 := strings.CutSuffix(text, `"`)
	n, err := strconv.ParseUint(text, 10, 64)
	if !ok || !ok2 || err != nil {
		return nil, badRequest("If-Match is not an ETag of this server", `send the ETag of the answer that you have seen, like "42"`)
	}
	rev := records.Revision(n)
	return &rev, nil
}

var (
	errTooLarge = &httpError{status: http.StatusRequestEntityTooLarge, msg: "the body is larger than this call takes"}
	errTooSlow  = &httpError{status: http.StatusRequestTimeout, msg: "the body did not arrive in time", remedy: "send it at once"}
)

func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return errTooLarge
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errTooSlow
	}
	return badRequest("the body can't be read", "send it again")
}
