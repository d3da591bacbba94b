package ofrep

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// The protocol's error codes that a server gives.
const (
	parseError     = "PARSE_ERROR"
	invalidContext = "INVALID_CONTEXT"
	missingKey     = "TARGETING_KEY_MISSING"
	flagNotFound   = "FLAG_NOT_FOUND"
)

// fault is an error's body. Key is there in answers about one flag.
type fault struct {
	Key     string `json:"key,omitempty"`
	Code    string `json:"errorCode,omitempty"`
	Details string `json:"errorDetails,omitempty"`
	status  int
}

// bodyTime is how long a body may take to arrive.
const bodyTime = 10 * time.Second

// maxUnit is the longest targeting key, in bytes: as long as the gateway takes for a unit.
const maxUnit = 1024

// unit reads the evaluation context down to the targeting key; nothing else of it matters here.
func (h *Handler) unit(w http.ResponseWriter, r *http.Request) (string, *fault) {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTime)) // a test's recorder has none
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.o.Body))
	if err != nil {
		w.Header().Set("Connection", "close") // where the body ends is not known
		if errors.As(err, new(*http.MaxBytesError)) {
			return "", &fault{Code: parseError, Details: fmt.Sprintf("a body has at most %d bytes", h.o.Body), status: http.StatusRequestEntityTooLarge}
		}
		return "", bad(parseError, "the body could not be read")
	}
	_ = rc.SetReadDeadline(time.Time{})
	var request struct {
		Context json.RawMessage `json:"context"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return "", bad(parseError, "the body is not a JSON object with a context")
	}
	var context map[string]json.RawMessage
	if json.Unmarshal(request.Context, &context) != nil || context == nil {
		return "", bad(invalidContext, `"context" must be an object`)
	}
	var key *string
	if raw, ok := context["targetingKey"]; ok && json.Unmarshal(raw, &key) != nil {
		return "", bad(invalidContext, `"context.targetingKey" must be text`)
	}
	if key == nil || strings.TrimSpace(*key) == "" {
		return "", bad(missingKey, `"context.targetingKey" names the user and is needed`)
	}
	unit := strings.TrimSpace(*key)
	if len(unit) > maxUnit {
		return "", bad(invalidContext, fmt.Sprintf(`"context.targetingKey" has at most %d bytes`, maxUnit))
	}
	return unit, nil
}

func bad(code, details string) *fault {
	return &fault{Code: code, Details: details, status: http.StatusBadRequest}
}

// writeJSON answers with a body whose bytes depend on v alone.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // texts, numbers and maps of them always marshal
		panic(err)
	}
	write(w, status, body)
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "private, no-cache")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone; nothing is left to do then
}
