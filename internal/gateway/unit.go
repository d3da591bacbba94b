package gateway

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/tidwall/gjson"

	"sluice.dev/sluice/internal/dialect"
	"sluice.dev/sluice/internal/release"
)

// maxUnit bounds a unit's id in bytes. A longer one names nobody: the request is served as one that
// names no unit, and counted. It is not refused, because a misconfigured selector should cost the
// analysis, not the users; and it is not hashed, because no person has such an id.
const maxUnit = 1024

// unitState is what a request says of its unit.
type unitState uint8

const (
	unitMissing unitState = iota
	unitFound
	unitTooLong
)

// findUnit returns the first selector's value that is present. A selector whose value is empty, or
// in JSON null, an object or an array, is passed over; one whose value is too long ends the search,
// so that a request never falls to another unit because of its id's length.
func findUnit(from []release.SelectorSpec, r *http.Request, body []byte) (string, unitState) {
	for _, s := range from {
		v := requestText(s, r, body)
		if v == "" {
			continue
		}
		if len(v) > maxUnit {
			return "", unitTooLong
		}
		return v, unitFound
	}
	return "", unitMissing
}

// requestText returns the text of a scalar in a request, "" if it is absent. Surrounding space is no
// part of it.
func requestText(s release.SelectorSpec, r *http.Request, body []byte) string {
	switch s.Kind {
	case release.SelectHeader:
		if s.Name == "Host" {
			return r.Host
		}
		if v := r.Header[s.Name]; len(v) > 0 {
			return strings.TrimSpace(v[0])
		}
	case release.SelectCookie:
		return cookieValue(r.Header["Cookie"], s.Name)
	case release.SelectQuery:
		return strings.TrimSpace(queryValue(r.URL.RawQuery, s.Name))
	case release.SelectJSON:
		return jsonText(body, s.Name)
	case release.SelectConversation:
		return dialect.Conversation(r.Header.Get("Content-Type"), body)
	case release.SelectAPIKey:
		return dialect.APIKey(r.Header.Get, func(name string) string { return queryValue(r.URL.RawQuery, name) })
	case release.SelectText, release.SelectMeasure: // only answers have them
	}
	return ""
}

// jsonText returns a JSON scalar's text: a string's value, a number as it is spelt, true or false. The
// document is read up to the value only and need not be valid behind it.
func jsonText(doc []byte, path string) string {
	if len(doc) == 0 {
		return ""
	}
	v := gjson.GetBytes(doc, path)
	switch v.Type {
	case gjson.String:
		return strings.TrimSpace(v.Str)
	case gjson.Number, gjson.True, gjson.False:
		return v.Raw
	default:
		return ""
	}
}

// cookieValue returns the first cookie of that name, without allocating.
func cookieValue(lines []string, name string) string {
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ";") {
			k, v, ok := strings.Cut(strings.TrimSpace(part), "=")
			if ok && k == name {
				return strings.Trim(v, `" `)
			}
		}
	}
	return ""
}

// queryValue returns the first parameter of that name. It decodes that one only.
func queryValue(raw, name string) string {
	for part := range strings.SplitSeq(raw, "&") {
		k, v, _ := strings.Cut(part, "=")
		if k != name {
			if !strings.ContainsAny(k, "%+") {
				continue
			}
			if d, err := url.QueryUnescape(k); err != nil || d != name {
				continue
			}
		}
		if d, err := url.QueryUnescape(v); err == nil {
			return d
		}
	}
	return ""
}
