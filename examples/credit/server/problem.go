package server

import (
	"encoding/json"
	"net/http"
)

// problem is a refusal in the form of RFC 9457. Title is filled in from Status.
type problem struct {
	Type   string  `json:"type"`
	Title  string  `json:"title"`
	Status int     `json:"status"`
	Detail string  `json:"detail"`
	Errors []fault `json:"errors,omitempty"`
}

// fault is one thing wrong with a body, at a place named by a JSON Pointer (RFC 6901).
type fault struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`

	status int // 400 or 422
}

func refuse(w http.ResponseWriter, p problem) {
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	body, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and an int always have a JSON form
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	// An error here means that the client is gone: nobody is left to tell.
	_, _ = w.Write(append(body, '\n'))
}

func answer(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // as in refuse
}
