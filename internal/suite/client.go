package suite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tidwall/gjson"

	"sluice.dev/sluice/internal/release"
)

// answer is a whole answer.
type answer struct {
	status  int
	header  http.Header
	body    []byte
	latency time.Duration // from sending to the last byte
}

// quote is the beginning of the body, for messages.
func (a *answer) quote() string {
	if text := clean(string(a.body), 120); text != "" {
		return ": " + text
	}
	return ""
}

// client sends messages to one version.
type client struct {
	http      *http.Client
	base      *url.URL
	header    http.Header // added to each request, after the suite's own
	maxAnswer int64
	model     string // put in place of the model that a body names
}

// named is the message with the version's own name of the model, if it has one and the body names any.
func (c *client) named(m message) message {
	if c.model == "" {
		return m
	}
	at := gjson.GetBytes(m.body, "model")
	if at.Type != gjson.String || at.Index == 0 {
		return m
	}
	name, err := encodeJSON(c.model)
	if err != nil {
		return m // a string has a JSON form
	}
	m.body = slices.Concat(m.body[:at.Index], name, m.body[at.Index+len(at.Raw):])
	return m
}

// errTooLong marks an answer beyond the limit.
var errTooLong = errors.New("answer too long")

// newClient checks a base URL. Redirects are not followed: an answer is judged as it is.
func newClient(base string, headers map[string]string, from *http.Client, maxAnswer int64) (*client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, release.Invalid("run suite", "%q is no base URL", clean(base, 100)).Fix("write one like http://127.0.0.1:9102")
	}
	c := &client{base: u, header: http.Header{}, maxAnswer: maxAnswer}
	for name, v := range headers {
		c.header.Set(name, v)
	}
	c.http = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	c.http.Transport = newTransport(from)
	return c, nil
}

// newTransport copies the transport of from, or makes one. Idle connections close soon, so that a request
// seldom meets one that the server is about to close.
func newTransport(from *http.Client) http.RoundTripper {
	base := http.DefaultTransport
	if from != nil && from.Transport != nil {
		base = from.Transport
	}
	t, ok := base.(*http.Transport)
	if !ok {
		return base
	}
	t = t.Clone()
	t.MaxIdleConnsPerHost = 128
	t.IdleConnTimeout = time.Second
	t.DisableCompression = true
	return t
}

// fresh is a client that opens a connection for each request.
func (c *client) fresh() *client {
	d := *c
	if t, ok := c.http.Transport.(*http.Transport); ok {
		t = t.Clone()
		t.DisableKeepAlives = true
		h := *c.http
		h.Transport = t
		d.http = &h
	}
	return &d
}

// unbuffered is fresh without a write buffer: what a body gives is sent at once. With the usual buffer a slow
// body would wait here until it is complete, and half a body would never leave.
func (c *client) unbuffered() *client {
	d := c.fresh()
	if t, ok := d.http.Transport.(*http.Transport); ok {
		t.WriteBufferSize = 1
	}
	return d
}

func (c *client) close() { c.http.CloseIdleConnections() }

// url joins the base with the path of a message.
func (c *client) url(path string) string {
	base := *c.base
	return strings.TrimSuffix(base.String(), "/") + path
}

// request makes the request of a message with a body of its own; size is -1 if it is not known.
func (c *client) request(ctx context.Context, m message, body io.Reader, size int64) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, m.method, c.url(m.path), body)
	if err != nil {
		return nil, errors.New("the request can't be made: its method or path is not valid")
	}
	if size >= 0 {
		r.ContentLength = size
	}
	r.Header = m.header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	for name, v := range c.header {
		r.Header[name] = v
	}
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "sluice-suite")
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	return r, nil
}

// send sends a message and reads its answer, within timeout.
func (c *client) send(ctx context.Context, m message, timeout time.Duration) (*answer, error) {
	var body io.Reader
	if m.body != nil {
		body = bytes.NewReader(m.body)
	}
	return c.sendBody(ctx, m, body, int64(len(m.body)), timeout)
}

func (c *client) sendBody(ctx context.Context, m message, body io.Reader, size int64, timeout time.Duration) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := c.request(ctx, m, body, size)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, inWords(err, timeout)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, c.maxAnswer+1))
	a := &answer{status: resp.StatusCode, header: resp.Header, body: data, latency: time.Since(began)}
	switch {
	case err != nil:
		return a, fmt.Errorf("status %d, then %w", a.status, inWords(err, timeout))
	case int64(len(data)) > c.maxAnswer:
		return a, fmt.Errorf("%w: the answer has more than %d bytes", errTooLong, c.maxAnswer)
	}
	return a, nil
}

// How sending can end without an answer.
var (
	errHang    = errors.New("hangs")
	errRefused = errors.New("cannot connect")
	errCut     = errors.New("the connection was closed without an answer")
)

// inWords translates an error of the transport; it drops addresses, which may hold secrets.
func inWords(err error, timeout time.Duration) error {
	var netErr net.Error
	var u *url.Error
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return fmt.Errorf("%w: no answer within %s", errHang, round(timeout))
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: connection refused", errRefused)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return errCut
	case errors.As(err, &u):
		err = u.Err
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return fmt.Errorf("%w: the host's name is not known", errRefused)
	}
	return errors.New(clean(err.Error(), 200))
}

// maxSecret bounds a secret's file, in bytes.
const maxSecret = 64 << 10

// ResolveHeaders reads the secrets of headers from this process's environment and files.
func ResolveHeaders(headers map[string]release.Secret) (map[string]string, error) {
	out := make(map[string]string, len(headers))
	for name, s := range headers {
		v, err := resolveSecret(s)
		if err != nil {
			return nil, err
		}
		out[name] = v
	}
	return out, nil
}

// resolveSecret reads env:NAME and file:PATH.
func resolveSecret(s release.Secret) (string, error) {
	if name, ok := strings.CutPrefix(string(s), "env:"); ok {
		v, set := os.LookupEnv(name)
		if !set {
			return "", release.NotFound("resolve a secret", "the environment has no %s", clean(name, 60)).Fix("set it where the suite runs")
		}
		return v, nil
	}
	path, ok := strings.CutPrefix(string(s), "file:")
	if !ok {
		return string(s), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", release.Unavailable("resolve a secret", err, "its file can't be read")
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", release.Unavailable("resolve a secret", err, "its file can't be read")
	}
	if len(data) > maxSecret {
		return "", release.Invalid("resolve a secret", "its file is larger than 64 KiB")
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}
