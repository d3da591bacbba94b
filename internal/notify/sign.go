package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const signatureVersion = "v1="

// sign is the value of the signature header. The timestamp is signed with the body, so that a message that was
// overheard can't be sent again later.
func sign(secret []byte, timestamp int64, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(strconv.AppendInt(nil, timestamp, 10))
	mac.Write([]byte{'.'})
	mac.Write(body)
	return signatureVersion + hex.EncodeToString(mac.Sum(nil))
}

// Verify is the receiver's side: it answers an error unless the message was signed with the secret, and its timestamp
// is at most tolerance away from now.
func Verify(secret []byte, h http.Header, body []byte, now time.Time, tolerance time.Duration) error {
	timestamp, err := strconv.ParseInt(h.Get(HeaderTimestamp), 10, 64)
	if err != nil {
		return errors.New("the message has no timestamp")
	}
	have := h.Get(HeaderSignature)
	if !strings.HasPrefix(have, signatureVersion) {
		return errors.New("the message is not signed")
	}
	if !hmac.Equal([]byte(have), []byte(sign(secret, timestamp, body))) {
		return errors.New("the signature is not that of this message")
	}
	if age := now.Sub(time.Unix(timestamp, 0)); age.Abs() > tolerance {
		return errors.New("the message is too old, or its sender's clock is wrong")
	}
	return nil
}
