package records

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"time"
	"unicode"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/store"
)

// Roles, from the least to the most.
const (
	Viewer   = "viewer"   // reads
	Operator = "operator" // and commands releases, sends feedback, applies files
	Admin    = "admin"    // and gives out tokens
)

var rank = map[string]int{Viewer: 1, Operator: 2, Admin: 3}

// Allows says whether role is enough where need is needed.
func Allows(role, need string) bool { return rank[role] >= rank[need] && rank[need] > 0 }

// Require returns KindDenied unless who has the needed role.
func Require(who Who, need string) error {
	if Allows(who.Role, need) {
		return nil
	}
	return errNoRole(need)
}

// Token describes a bearer token without its secret.
type Token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Role    string    `json:"role"`
	Groups  []string  `json:"groups,omitempty"`
	Created time.Time `json:"created"`
	By      string    `json:"by"`
	Expires time.Time `json:"expires,omitzero"`
	Revoked time.Time `json:"revoked,omitzero"`
	Rotates string    `json:"rotates,omitempty"` // id of the token that this one takes the place of
}

const (
	tokenPrefix = "slc"
	maxName     = 64 // bytes in a token's name and in a group's
	maxGroups   = 32
)

// CreateToken is IssueToken by Token.By.
func (r *Records) CreateToken(ctx context.Context, t Token, now time.Time) (Token, string, error) {
	return r.IssueToken(ctx, t, Change{Who: Who{Name: t.By}, Now: now})
}

// IssueToken makes a bearer token and returns it in clear, for the only time: the store keeps its
// SHA-256. (The secret has 256 random bits, so a slow hash would add nothing.)
func (r *Records) IssueToken(ctx context.Context, t Token, c Change) (Token, string, error) {
	if err := checkToken(t); err != nil {
		return Token{}, "", err
	}
	t.By = c.Who.Name
	t, rec, clear := newToken(t, c.Now)
	for {
		err := r.commitTokens(ctx, c, "token.create", t.ID+" "+t.Name, describeToken(t), store.Write{Key: tokenKey(t.ID)}, rec)
		if !isConflict(err) {
			return t, clear, translate("create token", err)
		}
	}
}

func checkToken(t Token) error {
	const op = "create token"
	switch {
	case rank[t.Role] == 0:
		return release.Invalid(op, "there is no role %q", t.Role).Fix("use viewer, operator or admin")
	case !plainName(t.Name):
		return release.Invalid(op, "a token needs a name of at most %d printable characters", maxName).Fix("name the person or machine that will use it")
	case len(t.Groups) > maxGroups:
		return release.Invalid(op, "a token has at most %d groups", maxGroups)
	}
	for _, g := range t.Groups {
		if !plainName(g) {
			return release.Invalid(op, "a group's name has 1 to %d printable characters", maxName)
		}
	}
	return nil
}

// plainName keeps line breaks and control characters out of logs, lists and records.
func plainName(s string) bool {
	return s != "" && len(s) <= maxName && s == strings.TrimSpace(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func newToken(t Token, now time.Time) (Token, tokenRecord, string) {
	var raw [40]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand ends the process instead
	t.ID, t.Created = hex.EncodeToString(raw[:8]), now
	secret := base64.RawURLEncoding.EncodeToString(raw[8:])
	rec := tokenRecord{
		V: layout, Name: t.Name, Role: t.Role, Groups: t.Groups, Hash: hashSecret(secret), Created: now, By: t.By, Expires: t.Expires, Rotates: t.Rotates,
	}
	return t, rec, tokenPrefix + "_" + t.ID + "_" + secret
}

func describeToken(t Token) string {
	out := "role " + t.Role
	if len(t.Groups) > 0 {
		out += ", groups " + join(t.Groups)
	}
	if !t.Expires.IsZero() {
		out += ", until " + t.Expires.UTC().Format(time.RFC3339)
	}
	return out
}

// commitTokens stores a changed or new token, and perhaps another one, with the act that says so.
func (r *Records) commitTokens(ctx context.Context, c Change, what, subject, detail string, w store.Write, rec tokenRecord, more ...store.Write) error {
	var err error
	if w.Value, err = encode(rec); err != nil {
		return err
	}
	act, err := r.act(ctx, c, what, subject, detail)
	if err != nil {
		return err
	}
	_, err = r.store.Commit(ctx, store.Batch{Writes: append([]store.Write{w, act}, more...)})
	return err
}

// ErrTokenOver is in the chain of the error that answers a right token which has expired or was revoked.
var ErrTokenOver = errors.New("token over")

// TokenID returns the id that a bearer token carries in clear, "" if it has not the form of one.
func TokenID(bearer string) string {
	parts := strings.SplitN(bearer, "_", 3)
	if len(parts) != 3 || parts[0] != tokenPrefix || !isTokenID(parts[1]) {
		return ""
	}
	return parts[1]
}

// Authenticate returns who a bearer token belongs to. Any fault is KindDenied. Only whoever has the right secret is
// told that the token has expired or was revoked; all others learn nothing.
func (r *Records) Authenticate(ctx context.Context, bearer string, now time.Time) (Who, error) {
	denied := release.Denied("check the token", "the token is not valid").Fix("ask an admin for a new one (sluice token create)")
	id := TokenID(bearer)
	if id == "" {
		return Who{}, denied
	}
	rec, _, err := r.loadToken(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return Who{}, err
	}
	secret := bearer[len(tokenPrefix)+1+len(id)+1:]
	switch { // an unknown id costs the same comparison
	case subtle.ConstantTimeCompare([]byte(rec.Hash), []byte(hashSecret(secret))) != 1 || err != nil:
		return Who{}, denied
	case !rec.Revoked.IsZero():
		denied.Msg, denied.Cause = "the token was revoked", ErrTokenOver
		return Who{}, denied
	case rec.over(now):
		denied.Msg, denied.Cause = "the token expired at "+rec.Expires.UTC().Format(time.RFC3339), ErrTokenOver
		return Who{}, denied
	}
	return rec.who(id), nil
}

func (r *Records) loadToken(ctx context.Context, id string) (tokenRecord, store.Revision, error) {
	var rec tokenRecord
	e, err := r.store.Get(ctx, tokenKey(id))
	if errors.Is(err, store.ErrNotFound) {
		return rec, 0, err
	}
	if err != nil {
		return rec, 0, translate("check the token", err)
	}
	return rec, e.Revision, decode(e, &rec)
}

// over says whether a token is of no use any more.
func (t tokenRecord) over(now time.Time) bool {
	return !t.Revoked.IsZero() || !t.Expires.IsZero() && !now.Before(t.Expires)
}

func (t tokenRecord) who(id string) Who {
	return Who{ID: id, Name: t.Name, Role: t.Role, Groups: t.Groups}
}

func (t tokenRecord) public(id string) Token {
	return Token{
		ID: id, Name: t.Name, Role: t.Role, Groups: t.Groups, Created: t.Created, By: t.By, Expires: t.Expires, Revoked: t.Revoked, Rotates: t.Rotates,
	}
}

// Tokens returns all tokens by id, without secrets, also revoked and expired ones.
func (r *Records) Tokens(ctx context.Context) ([]Token, error) {
	entries, err := r.store.List(ctx, "token/")
	if err != nil {
		return nil, translate("list tokens", err)
	}
	out := make([]Token, 0, len(entries))
	for _, e := range entries {
		var rec tokenRecord
		if err := decode(e, &rec); err != nil {
			return nil, err
		}
		out = append(out, rec.public(strings.TrimPrefix(e.Key, "token/")))
	}
	return out, nil
}

// RevokeToken is EndToken without a person.
func (r *Records) RevokeToken(ctx context.Context, id string, now time.Time) error {
	return r.EndToken(ctx, id, Change{Now: now})
}

// EndToken makes a token invalid at once and for ever. What was revoked before stays as it is.
func (r *Records) EndToken(ctx context.Context, id string, c Change) error {
	const op = "revoke token"
	for {
		rec, rev, err := r.findToken(ctx, op, id)
		if err == nil {
			err = c.check(op, rev)
		}
		if err != nil || !rec.Revoked.IsZero() {
			return err
		}
		rec.Revoked = c.Now
		err = r.commitTokens(ctx, c, "token.revoke", id+" "+rec.Name, "", store.Write{Key: tokenKey(id), Expect: rev}, rec)
		if !isConflict(err) {
			return translate(op, err)
		}
	}
}

func (r *Records) findToken(ctx context.Context, op, id string) (tokenRecord, store.Revision, error) {
	missing := release.NotFound(op, "there is no token %.40q", id).Fix("sluice token list shows the ids")
	if !isTokenID(id) {
		return tokenRecord{}, 0, missing
	}
	rec, rev, err := r.loadToken(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return rec, 0, missing
	}
	return rec, rev, err
}

// Rotation says how a token is replaced.
type Rotation struct {
	Grace time.Duration // how long the old one is still valid; 0: it ends at once
	Lasts time.Duration // of the new one; 0: as long as the old one was meant to last
}

// RotateToken replaces a token by a new one with the same name, role and groups, which it returns in clear, for the only
// time. KindConflict for a token that is over.
func (r *Records) RotateToken(ctx context.Context, id string, o Rotation, c Change) (Token, string, error) {
	const op = "rotate token"
	for {
		old, rev, err := r.findToken(ctx, op, id)
		if err == nil {
			err = c.check(op, rev)
		}
		if err != nil {
			return Token{}, "", err
		}
		if old.over(c.Now) {
			return Token{}, "", release.Conflict(op, "the token is over already").Fix("create a new one")
		}
		t := old.public("")
		t.Rotates, t.By, t.Revoked, t.Expires = id, c.Who.Name, time.Time{}, old.next(c.Now, o.Lasts)
		t, rec, clear := newToken(t, c.Now)
		value, err := encode(rec)
		if err != nil {
			return Token{}, "", err
		}
		if o.Grace > 0 {
			old.Expires = earlier(old.Expires, c.Now.Add(o.Grace))
		} else {
			old.Revoked = c.Now
		}
		err = r.commitTokens(ctx, c, "token.rotate", id+" "+old.Name, "replaced by "+t.ID+", "+describeToken(t),
			store.Write{Key: tokenKey(id), Expect: rev}, old, store.Write{Key: tokenKey(t.ID), Value: value})
		if !isConflict(err) {
			return t, clear, translate(op, err)
		}
	}
}

// next is when the successor expires: after the time that the former was given.
func (t tokenRecord) next(now time.Time, lasts time.Duration) time.Time {
	switch {
	case lasts > 0:
		return now.Add(lasts)
	case t.Expires.IsZero():
		return time.Time{}
	}
	return now.Add(t.Expires.Sub(t.Created))
}

// earlier returns the earlier of two times, of which a may be zero: never.
func earlier(a, b time.Time) time.Time {
	if !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}

func isTokenID(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == 16
}

func hashSecret(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func isConflict(err error) bool { return errors.Is(err, store.ErrConflict) }

// IsConflict says whether somebody else changed the record at the same moment.
func IsConflict(err error) bool { return isConflict(err) }

// ErrFenced says that the leadership under which a decision was taken is over.
var ErrFenced = store.ErrFenced
