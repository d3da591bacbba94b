package ofrep

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// authorized looks for one of the gateway's API keys, where the protocol puts it or where the gateway does.
func (h *Handler) authorized(r *http.Request) bool {
	if len(h.o.APIKeys) == 0 {
		return true
	}
	key := r.Header.Get("X-API-Key")
	if key == "" {
		key = r.Header.Get("X-Sluice-Key")
	}
	if key == "" {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return false
		}
		key = strings.TrimSpace(token)
	}
	sum, found := sha256.Sum256([]byte(key)), 0
	for i := range h.o.APIKeys {
		found |= subtle.ConstantTimeCompare(sum[:], h.o.APIKeys[i][:])
	}
	return found == 1
}

// mayListen also takes the token that bulk answers carry in the stream's address: a browser's EventSource sends no
// headers.
func (h *Handler) mayListen(r *http.Request) bool {
	token := r.URL.Query().Get("token")
	return h.token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(h.token)) == 1 || h.authorized(r)
}

// streamToken is good for listening to this process only, until it ends; it opens nothing else.
func streamToken(keys [][32]byte) string {
	if len(keys) == 0 {
		return ""
	}
	return rand.Text()
}

// refuseKey answers as the protocol says: without a body.
func refuseKey(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", "Bearer")
	w.WriteHeader(http.StatusUnauthorized)
}
