package dialect

import (
	"strconv"
	"strings"

	"sluice.dev/sluice/internal/release"
)

// Problem is one of the gateway's own errors, as it is told in every dialect.
type Problem struct {
	Kind   string // stable word, like upstream_timeout
	Status int
	Title  string // for people
}

// typePrefix tells the gateway's own errors from a provider's.
const typePrefix = "sluice_"

// Body returns the problem as an answer of the dialect: what clients made for it show to people. ok is
// false for dialects without a form of their own.
func (p Problem) Body(d release.Dialect) (body []byte, ok bool) {
	title := quoted(p.Title)
	switch d {
	case release.DialectOpenAI:
		return []byte(`{"error":{"message":` + title + `,"type":` + quoted(typePrefix+p.Kind) + `,"param":null,"code":` + quoted(p.Kind) + `}}`), true
	case release.DialectAnthropic:
		return []byte(`{"type":"error","error":{"type":` + quoted(typePrefix+p.Kind) + `,"message":` + title + `}}`), true
	case release.DialectGemini:
		return []byte(`{"error":{"code":` + strconv.Itoa(p.Status) + `,"message":` + title + `,"status":"` + googleStatus(p.Status) +
			`","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":` + quoted(strings.ToUpper(typePrefix+p.Kind)) +
			`,"domain":"sluice.dev"}]}}`), true
	case release.DialectOIP:
		return []byte(`{"error":` + quoted(typePrefix+p.Kind+": "+p.Title) + `}`), true
	default:
		return nil, false
	}
}

// Event returns the problem as an event of a stream that has begun; ok is false where a stream has no form
// for errors. sequence is the number of the next event where the API counts them.
func (p Problem) Event(c Call) (event []byte, ok bool) {
	switch c.Dialect {
	case release.DialectOpenAI:
		if c.Op == OpResponses {
			return []byte("event: error\ndata: {\"type\":\"error\",\"code\":" + quoted(typePrefix+p.Kind) + `,"message":` + quoted(p.Title) +
				`,"param":null,"sequence_number":0}` + "\n\n"), true
		}
		body, _ := p.Body(c.Dialect)
		return []byte("data: " + string(body) + "\n\n"), true
	case release.DialectAnthropic:
		body, _ := p.Body(c.Dialect)
		return []byte("event: error\ndata: " + string(body) + "\n\n"), true
	case release.DialectGemini:
		body, _ := p.Body(c.Dialect)
		return []byte("data: " + string(body) + "\n\n"), true
	default:
		return nil, false
	}
}

// googleStatus is the name of google.rpc.Code for an HTTP status.
func googleStatus(status int) string {
	switch status {
	case 400, 413, 431:
		return "INVALID_ARGUMENT"
	case 401:
		return "UNAUTHENTICATED"
	case 403:
		return "PERMISSION_DENIED"
	case 404:
		return "NOT_FOUND"
	case 408, 504:
		return "DEADLINE_EXCEEDED"
	case 429:
		return "RESOURCE_EXHAUSTED"
	case 499:
		return "CANCELLED"
	case 500:
		return "INTERNAL"
	default:
		return "UNAVAILABLE"
	}
}
