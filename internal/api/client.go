package api

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
)

// Client calls a Sluice server. Safe for concurrent use. Errors are *release.Error: the server's
// problem with its remedy, or KindUnavailable when it can't be reached.
type Client struct {
	Base  string // "http://127.0.0.1:8081"
	Token string
	HTTP  *http.Client // nil: http.DefaultClient
}

// Apply stores a Model file.
func (c *Client) Apply(ctx context.Context, req ApplyRequest) (ApplyResponse, error) {
	return call1[ApplyResponse](ctx, c, http.MethodPut, "/api/v1/models", req)
}

// Models returns all models.
func (c *Client) Models(ctx context.Context) ([]Model, error) {
	return pages[Model](ctx, c, "/api/v1/models")
}

// Model returns one model with its file.
func (c *Client) Model(ctx context.Context, name string) (Model, error) {
	return call1[Model](ctx, c, http.MethodGet, "/api/v1/models/"+url.PathEscape(name), nil)
}

// Start begins a release.
func (c *Client) Start(ctx context.Context, model string, req StartRequest) (Release, error) {
	return call1[Release](ctx, c, http.MethodPost, releasesPath(model), req)
}

// Releases returns all releases of a model, oldest first.
func (c *Client) Releases(ctx context.Context, model string) ([]Release, error) {
	return pages[Release](ctx, c, releasesPath(model))
}

// Release returns release n with its decisions; n = 0 asks for the latest.
func (c *Client) Release(ctx context.Context, model string, n uint32) (Release, error) {
	return call1[Release](ctx, c, http.MethodGet, fmt.Sprintf("%s/%d", releasesPath(model), n), nil)
}

// Report returns the stored test report of release n as JSON.
func (c *Client) Report(ctx context.Context, model string, n uint32) (json.RawMessage, error) {
	return call1[json.RawMessage](ctx, c, http.MethodGet, fmt.Sprintf("%s/%d/report", releasesPath(model), n), nil)
}

// Command sends a verb (promote, pause, resume, abort, retry, approve, adjust) to release n; 0: the latest.
func (c *Client) Command(ctx context.Context, model string, n uint32, verb string, req CommandRequest) (Release, error) {
	return call1[Release](ctx, c, http.MethodPost, fmt.Sprintf("%s/%d:%s", releasesPath(model), n, url.PathEscape(verb)), req)
}

// Undo takes the latest success back.
func (c *Client) Undo(ctx context.Context, model, reason string) (Release, error) {
	return call1[Release](ctx, c, http.MethodPost, "/api/v1/models/"+url.PathEscape(model)+":undo", CommandRequest{Reason: reason})
}

// Audit returns a model's decisions, oldest first.
func (c *Client) Audit(ctx context.Context, model string) ([]rollout.Decision, error) {
	return pages[rollout.Decision](ctx, c, "/api/v1/models/"+url.PathEscape(model)+"/audit")
}

// Verify recomputes a model's chain of decisions.
func (c *Client) Verify(ctx context.Context, model string) (records.Audit, error) {
	return call1[records.Audit](ctx, c, http.MethodGet, "/api/v1/models/"+url.PathEscape(model)+"/audit/verify", nil)
}

// Feedback sends feedback items, as JSON Lines, through the admin port.
func (c *Client) Feedback(ctx context.Context, lines []byte) (json.RawMessage, error) {
	return c.do(ctx, http.MethodPost, "/api/v1/feedback", "application/x-ndjson", bytes.NewReader(lines))
}

// Tokens lists tokens, CreateToken makes one, RevokeToken ends one.
func (c *Client) Tokens(ctx context.Context) ([]records.Token, error) {
	return pages[records.Token](ctx, c, "/api/v1/tokens")
}

// CreateToken makes a token; the answer holds the only copy in clear.
func (c *Client) CreateToken(ctx context.Context, req TokenRequest) (TokenResponse, error) {
	return call1[TokenResponse](ctx, c, http.MethodPost, "/api/v1/tokens", req)
}

// RotateToken replaces a token by a new one; the answer holds the only copy in clear.
func (c *Client) RotateToken(ctx context.Context, id string, req RotateRequest) (TokenResponse, error) {
	return call1[TokenResponse](ctx, c, http.MethodPost, "/api/v1/tokens/"+url.PathEscape(id)+":rotate", req)
}

// RevokeToken ends a token at once.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	_, err := call1[map[string]string](ctx, c, http.MethodDelete, "/api/v1/tokens/"+url.PathEscape(id), nil)
	return err
}

// Status returns how the server is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return call1[Status](ctx, c, http.MethodGet, "/api/v1/status", nil)
}

// Series returns release n over time, in at most so many points; n = 0 asks for the latest.
func (c *Client) Series(ctx context.Context, model string, n uint32, points int) (Series, error) {
	return call1[Series](ctx, c, http.MethodGet, fmt.Sprintf("%s/%d/series?points=%d", releasesPath(model), n, points), nil)
}

// Evidence returns what the sums of release n look like; n = 0 asks for the latest.
func (c *Client) Evidence(ctx context.Context, model string, n uint32) (Evidence, error) {
	return call1[Evidence](ctx, c, http.MethodGet, fmt.Sprintf("%s/%d/evidence", releasesPath(model), n), nil)
}

// Simulate runs a plan on synthetic traffic.
func (c *Client) Simulate(ctx context.Context, req SimulateRequest) (SimulateResponse, error) {
	return call1[SimulateResponse](ctx, c, http.MethodPost, "/api/v1/simulate", req)
}

// WhoAmI returns who the token belongs to.
func (c *Client) WhoAmI(ctx context.Context) (records.Who, error) {
	return call1[records.Who](ctx, c, http.MethodGet, "/api/v1/whoami", nil)
}

// Watch calls see for the present and each later state of a model's latest release until ctx ends,
// see returns false, or the connection breaks.
func (c *Client) Watch(ctx context.Context, model string, see func(Release) bool) error {
	req, err := c.request(ctx, http.MethodGet, "/api/v1/stream?model="+url.QueryEscape(model), "", nil)
	if err != nil {
		return err
	}
	resp, err := c.client().Do(req)
	if err != nil {
		return unreachable(c.Base, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return problemError(resp)
	}
	return readEvents(resp.Body, see)
}

// maxEvent bounds one event of the stream: a release with its verdicts.
const maxEvent = 4 << 20

func readEvents(r io.Reader, see func(Release) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxEvent)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return &release.Error{Kind: release.KindInternal, Op: "watch", Msg: "an event can't be read", Cause: err}
		}
		if e.Release != nil && !see(*e.Release) {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return &release.Error{Kind: release.KindUnavailable, Op: "watch", Msg: "the connection broke", Cause: err}
	}
	return &release.Error{Kind: release.KindUnavailable, Op: "watch", Msg: "the server ended the stream"}
}

func releasesPath(model string) string {
	return "/api/v1/models/" + url.PathEscape(model) + "/releases"
}

// pages reads a whole list, page by page.
func pages[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	var all []T
	for after := ""; ; {
		p, err := call1[Page[T]](ctx, c, http.MethodGet, fmt.Sprintf("%s?limit=%d&after=%s", path, maxLimit, url.QueryEscape(after)), nil)
		if err != nil {
			return nil, err
		}
		all = append(all, p.Items...)
		if p.Next == "" || p.Next == after {
			return all, nil
		}
		after = p.Next
	}
}

// call1 sends one call and decodes its answer.
func call1[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var out T
	var r io.Reader
	contentType := ""
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return out, err
		}
		r, contentType = bytes.NewReader(b), "application/json"
	}
	raw, err := c.do(ctx, method, path, contentType, r)
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return out, &release.Error{Kind: release.KindInternal, Op: method + " " + path, Msg: "the answer can't be read", Cause: err}
	}
	return out, nil
}

// maxAnswer bounds what a client takes from a server.
const maxAnswer = 256 << 20

func (c *Client) do(ctx context.Context, method, path, contentType string, body io.Reader) (json.RawMessage, error) {
	req, err := c.request(ctx, method, path, contentType, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.client().Do(req)
	if err != nil {
		return nil, unreachable(c.Base, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 400 {
		return nil, problemError(resp)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, unreachable(c.Base, err)
	}
	return b, nil
}

func (c *Client) request(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.Base, "/")+path, body)
	if err != nil {
		return nil, &release.Error{Kind: release.KindInvalid, Op: "call the server", Msg: "the address is not a URL", Remedy: "use --server http://HOST:PORT", Cause: err}
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	return req, nil
}

func (c *Client) client() *http.Client {
	if c.HTTP != nil {
		return c.HTTP
	}
	return http.DefaultClient
}

func unreachable(base string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &release.Error{
		Kind: release.KindUnavailable, Op: "call the server", Msg: "no answer from " + base,
		Remedy: "is it running (sluice serve), and is --server right?", Cause: err,
	}
}

// problemError turns an error answer into the error that the server meant.
func problemError(resp *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20)) // whatever was read is shown
	if err := refusedFeedback(b); err != nil {
		return err
	}
	var p Problem
	if err := json.Unmarshal(b, &p); err != nil || p.Detail+p.Title == "" {
		return &release.Error{Kind: kindOf(resp.StatusCode), Op: "call the server", Msg: fmt.Sprintf("it answered %s", resp.Status)}
	}
	return &release.Error{Kind: kindOf(resp.StatusCode), Msg: cmp.Or(p.Detail, p.Title), Remedy: p.Remedy}
}

// refusedFeedback is the error of an answer that refuses all feedback and says of each item why; nil
// if b is no such answer.
func refusedFeedback(b []byte) error {
	var report struct {
		Refusals []struct {
			Line           int
			Reason, Detail string
		}
	}
	if json.Unmarshal(b, &report) != nil || len(report.Refusals) == 0 {
		return nil //nolint:nilerr // another kind of answer
	}
	first := report.Refusals[0]
	return &release.Error{
		Kind: release.KindInvalid, Op: "store the feedback",
		Msg:    fmt.Sprintf("no item was accepted; line %d: %s", first.Line, strings.TrimSuffix(first.Reason+": "+first.Detail, ": ")),
		Remedy: "take the id from the header X-Sluice-Id of the answer, and the metric's name from the Model file",
	}
}
