package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Problem is a refusal. It is an error, so that parsers can return it.
type Problem struct {
	Status int
	Detail string
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// Refusef makes a Problem.
func Refusef(status int, format string, args ...any) *Problem {
	return &Problem{Status: status, Detail: fmt.Sprintf(format, args...)}
}

// Refuse writes p as application/problem+json.
func Refuse(w http.ResponseWriter, p *Problem) {
	body, err := json.Marshal(map[string]any{
		"type": "about:blank", "title": http.StatusText(p.Status), "status": p.Status, "detail": p.Detail,
	})
	if err != nil {
		panic(err) // strings and an int always have a JSON form
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	// An error here means that the client is gone: nobody is left to tell.
	_, _ = w.Write(append(body, '\n'))
}

// Answer writes v as JSON with status 200. v must have a JSON form.
func Answer(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // as in Refuse
}

// Allow says whether the request's method is one of those, and refuses it when not.
func Allow(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	for _, m := range methods {
		if r.Method == m {
			return true
		}
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	Refuse(w, Refusef(http.StatusMethodNotAllowed, "method %.20q is not allowed here, only %s", r.Method, strings.Join(methods, " and ")))
	return false
}

// Body reads a request's body of the media type, at most limit bytes. JSON must be UTF-8, valid and one value.
func Body(w http.ResponseWriter, r *http.Request, media string, limit int64) ([]byte, *Problem) {
	if p := checkMedia(r.Header, media); p != nil {
		return nil, p
	}
	var b bytes.Buffer
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, Refusef(http.StatusRequestEntityTooLarge, "the body is longer than %d bytes", limit)
	case err != nil:
		return nil, Refusef(http.StatusBadRequest, "the body could not be read to its end")
	}
	if media == "application/json" {
		if p := checkJSON(b.Bytes()); p != nil {
			return nil, p
		}
	}
	return b.Bytes(), nil
}

func checkMedia(h http.Header, media string) *Problem {
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || kind != media {
		return Refusef(http.StatusUnsupportedMediaType, "want Content-Type: %s", media)
	}
	if c, ok := params["charset"]; ok && !strings.EqualFold(c, "utf-8") {
		return Refusef(http.StatusUnsupportedMediaType, "want UTF-8")
	}
	if e := h.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return Refusef(http.StatusUnsupportedMediaType, "want a body without Content-Encoding")
	}
	return nil
}

func checkJSON(body []byte) *Problem {
	if !utf8.Valid(body) {
		return Refusef(http.StatusBadRequest, "the body is not UTF-8")
	}
	var ignored json.RawMessage
	if err := json.Unmarshal(body, &ignored); err != nil {
		return Refusef(http.StatusBadRequest, "the body is not JSON: %v", err)
	}
	return nil
}

// Members calls member for each member of the JSON object in body, which Body has read; value reads the member's
// value into a Go value. What member leaves unread must not be: it reads exactly one value or returns a Problem.
// Something other than an object, and a member that is there twice, is refused.
func Members(body []byte, member func(name string, value *json.Decoder) *Problem) *Problem {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return Refusef(http.StatusUnprocessableEntity, "want a JSON object")
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return Refusef(http.StatusBadRequest, "the body is not JSON")
		}
		if seen[name] {
			return Refusef(http.StatusBadRequest, "%.64q is there twice", name)
		}
		seen[name] = true
		if p := member(name, d); p != nil {
			return p
		}
	}
	return nil
}

// Health answers GET /healthz for a version.
func Health(w http.ResponseWriter, r *http.Request, version string) {
	if Allow(w, r, http.MethodGet, http.MethodHead) {
		Answer(w, map[string]string{"status": "ok", "version": version})
	}
}
