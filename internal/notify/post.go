package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The headers of a message beside Content-Type and User-Agent.
const (
	HeaderKey       = "X-Sluice-Key"
	HeaderTimestamp = "X-Sluice-Timestamp"
	HeaderSignature = "X-Sluice-Signature"
)

// refusal is an answer that another attempt would not change.
type refusal struct{ status int }

func (r *refusal) Error() string {
	if r.status/100 == 3 {
		return fmt.Sprintf("it redirects (status %d), which is not followed", r.status)
	}
	return fmt.Sprintf("it answered with status %d", r.status)
}

// attempt posts a message once. after is how long the receiver asks to be left alone.
func (s *Sender) attempt(ctx context.Context, r *Receiver, key string, body []byte) (after time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Attempt)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(body))
	if err != nil {
		return 0, &refusal{} // New has checked the address
	}
	now := s.o.Now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Sluice")
	req.Header.Set(HeaderKey, key)
	req.Header.Set(HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	if len(r.Secret) > 0 {
		req.Header.Set(HeaderSignature, sign(r.Secret, now.Unix(), body))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, withoutURL(err)
	}
	_ = resp.Body.Close() // the answer is its status
	switch code := resp.StatusCode; {
	case code/100 == 2:
		return 0, nil
	case code/100 == 5, code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests:
		return retryAfter(resp.Header.Get("Retry-After"), now), fmt.Errorf("it answered with status %d", code)
	default:
		return 0, &refusal{code}
	}
}

// withoutURL takes the address out of a client's error: it may be a secret.
func withoutURL(err error) error {
	if ue := (*url.Error)(nil); errors.As(err, &ue) {
		return ue.Err
	}
	return err
}

// retryAfter reads that header: seconds, or a date. What is neither asks for nothing.
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
