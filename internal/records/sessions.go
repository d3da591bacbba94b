package records

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/store"
)

// maxSessions bounds the sessions of browsers. Each has a slot of its own; a login takes one that is free, or else
// the one that would end first among a few.
const (
	maxSessions = 1024
	slotTries   = 8
)

// sessionRecord is stored under session/SLOT.
type sessionRecord struct {
	V       int       `json:"v"`
	Hash    string    `json:"hash"`            // SHA-256 of the secret, hex; "" after logout
	Token   string    `json:"token,omitempty"` // id of the token it was opened with: it says what the session may
	Who     Who       `json:"who"`             // without a token: whom the identity provider named
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
}

// Session is what a browser holds after a login.
type Session struct {
	Cookie  string // slot and secret; its only copy
	CSRF    string // must come with every request that changes something
	Who     Who
	Expires time.Time
}

// OpenSession begins a session of a person. With a token (Who.ID) the session ends with it and has its role and groups
// at any time; without one it has those of who until it ends.
func (r *Records) OpenSession(ctx context.Context, who Who, now time.Time, lasts time.Duration) (Session, error) {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand ends the process instead
	secret := base64.RawURLEncoding.EncodeToString(raw[:])
	rec := sessionRecord{V: layout, Hash: hashSecret(secret), Token: who.ID, Created: now, Expires: now.Add(lasts)}
	if who.ID == "" {
		rec.Who = who
	}
	value, err := encode(rec)
	if err != nil {
		return Session{}, err
	}
	for {
		slot, rev, err := r.freeSlot(ctx, now)
		if err != nil {
			return Session{}, err
		}
		_, err = r.store.Commit(ctx, store.Batch{Writes: []store.Write{{Key: sessionKey(slot), Value: value, Expect: rev}}})
		if isConflict(err) {
			continue // another login took it
		}
		cookie := fmt.Sprintf("%d.%s", slot, secret)
		return Session{Cookie: cookie, CSRF: csrfOf(secret), Who: who, Expires: rec.Expires}, translate("log in", err)
	}
}

// freeSlot looks at a few slots by chance.
func (r *Records) freeSlot(ctx context.Context, now time.Time) (slot int, rev store.Revision, err error) {
	var first time.Time
	for range slotTries {
		var b [2]byte
		_, _ = rand.Read(b[:]) // as above
		try := int(binary.LittleEndian.Uint16(b[:])) % maxSessions
		rec, at, err := r.session(ctx, try)
		if err != nil {
			return 0, 0, err
		}
		if at == 0 || rec.Hash == "" || !now.Before(rec.Expires) {
			return try, at, nil
		}
		if first.IsZero() || rec.Expires.Before(first) {
			slot, rev, first = try, at, rec.Expires
		}
	}
	return slot, rev, nil
}

// session reads a slot; revision 0 if it was never used.
func (r *Records) session(ctx context.Context, slot int) (sessionRecord, store.Revision, error) {
	var rec sessionRecord
	e, err := r.store.Get(ctx, sessionKey(slot))
	if errors.Is(err, store.ErrNotFound) {
		return rec, 0, nil
	}
	if err != nil {
		return rec, 0, translate("check the session", err)
	}
	return rec, e.Revision, decode(e, &rec)
}

// ResumeSession returns whose session a cookie is. KindDenied for one that is over, forged or unknown.
func (r *Records) ResumeSession(ctx context.Context, cookie string, now time.Time) (Session, error) {
	denied := release.Denied("check the session", "the session is over").Fix("log in again")
	slot, secret, ok := splitCookie(cookie)
	if !ok {
		return Session{}, denied
	}
	rec, _, err := r.session(ctx, slot)
	if err != nil {
		return Session{}, err
	}
	same := subtle.ConstantTimeCompare([]byte(rec.Hash), []byte(hashSecret(secret))) == 1
	if !same || !now.Before(rec.Expires) {
		return Session{}, denied
	}
	who := rec.Who
	if rec.Token != "" {
		token, _, err := r.loadToken(ctx, rec.Token)
		if errors.Is(err, store.ErrNotFound) || err == nil && token.over(now) {
			return Session{}, denied
		}
		if err != nil {
			return Session{}, err
		}
		who = token.who(rec.Token)
	}
	return Session{Cookie: cookie, CSRF: csrfOf(secret), Who: who, Expires: rec.Expires}, nil
}

// CloseSession ends a session at once. One that is over already stays so.
func (r *Records) CloseSession(ctx context.Context, cookie string) error {
	slot, secret, ok := splitCookie(cookie)
	for ok {
		rec, rev, err := r.session(ctx, slot)
		if err != nil || rev == 0 || subtle.ConstantTimeCompare([]byte(rec.Hash), []byte(hashSecret(secret))) != 1 {
			return err
		}
		value, err := encode(sessionRecord{V: layout})
		if err != nil {
			return err
		}
		_, err = r.store.Commit(ctx, store.Batch{Writes: []store.Write{{Key: sessionKey(slot), Value: value, Expect: rev}}})
		if !isConflict(err) {
			return translate("log out", err)
		}
	}
	return nil
}

func splitCookie(cookie string) (slot int, secret string, ok bool) {
	first, secret, ok := strings.Cut(cookie, ".")
	slot, err := strconv.Atoi(first)
	return slot, secret, ok && err == nil && slot >= 0 && slot < maxSessions && len(secret) == 43
}

// csrfOf derives the value that a page must send along from the secret that only its cookie holds.
func csrfOf(secret string) string {
	sum := sha256.Sum256([]byte("csrf:" + secret))
	return hex.EncodeToString(sum[:16])
}
