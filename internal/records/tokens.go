package records

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

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
}

const tokenPrefix = "slc"

// CreateToken makes a bearer token and returns it in clear, for the only time: the store keeps its
// SHA-256. (The secret has 256 random bits, so a slow hash would add nothing.)
func (r *Records) CreateToken(ctx context.Context, t Token, now time.Time) (Token, string, error) {
	if rank[t.Role] == 0 {
		return Token{}, "", &release.Error{
			Kind: release.KindInvalid, Op: "create token", Msg: fmt.Sprintf("there is no role %q", t.Role),
			Remedy: "use viewer, operator or admin",
		}
	}
	if t.Name == "" || len(t.Name) > 64 {
		return Token{}, "", &release.Error{
			Kind: release.KindInvalid, Op: "create token", Msg: "a token needs a name of at most 64 characters",
			Remedy: "name the person or machine that will use it",
		}
	}
	var raw [40]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return Token{}, "", err
	}
	t.ID, t.Created = hex.EncodeToString(raw[:8]), now
	secret := base64.RawURLEncoding.EncodeToString(raw[8:])
	value, err := encode(tokenRecord{
		V: layout, Name: t.Name, Role: t.Role, Groups: t.Groups, Hash: hashSecret(secret),
		Created: now, By: t.By, Expires: t.Expires,
	})
	if err != nil {
		return Token{}, "", err
	}
	_, err = r.store.Commit(ctx, store.Batch{Writes: []store.Write{{Key: tokenKey(t.ID), Value: value}}})
	if err != nil {
		return Token{}, "", translate("create token", err)
	}
	return t, tokenPrefix + "_" + t.ID + "_" + secret, nil
}

// Authenticate returns who a bearer token belongs to. Any fault is the same KindDenied, so that it
// tells a guesser nothing.
func (r *Records) Authenticate(ctx context.Context, bearer string, now time.Time) (Who, error) {
	denied := &release.Error{
		Kind: release.KindDenied, Op: "check the token", Msg: "the token is not valid",
		Remedy: "ask an admin for a new one (sluice token create)",
	}
	parts := strings.SplitN(bearer, "_", 3)
	if len(parts) != 3 || parts[0] != tokenPrefix || !isTokenID(parts[1]) {
		return Who{}, denied
	}
	e, err := r.store.Get(ctx, tokenKey(parts[1]))
	if errors.Is(err, store.ErrNotFound) {
		return Who{}, denied
	}
	if err != nil {
		return Who{}, translate("check the token", err)
	}
	var rec tokenRecord
	if err := decode(e, &rec); err != nil {
		return Who{}, err
	}
	same := subtle.ConstantTimeCompare([]byte(rec.Hash), []byte(hashSecret(parts[2]))) == 1
	expired := !rec.Expires.IsZero() && now.After(rec.Expires)
	if !same || expired || !rec.Revoked.IsZero() {
		return Who{}, denied
	}
	return Who{Name: rec.Name, Role: rec.Role, Groups: rec.Groups}, nil
}

// Tokens returns all tokens, without secrets, also revoked and expired ones.
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
		out = append(out, Token{
			ID: strings.TrimPrefix(e.Key, "token/"), Name: rec.Name, Role: rec.Role, Groups: rec.Groups,
			Created: rec.Created, By: rec.By, Expires: rec.Expires, Revoked: rec.Revoked,
		})
	}
	return out, nil
}

// RevokeToken makes a token invalid at once and for ever.
func (r *Records) RevokeToken(ctx context.Context, id string, now time.Time) error {
	for {
		e, err := r.store.Get(ctx, tokenKey(id))
		if errors.Is(err, store.ErrNotFound) || !isTokenID(id) {
			return &release.Error{Kind: release.KindNotFound, Op: "revoke token", Msg: fmt.Sprintf("there is no token %q", id), Remedy: "sluice token list shows the ids"}
		}
		if err != nil {
			return translate("revoke token", err)
		}
		var rec tokenRecord
		if err := decode(e, &rec); err != nil {
			return err
		}
		rec.Revoked = now
		value, err := encode(rec)
		if err != nil {
			return err
		}
		_, err = r.store.Commit(ctx, store.Batch{Writes: []store.Write{{Key: e.Key, Value: value, Expect: e.Revision}}})
		if !isConflict(err) {
			return translate("revoke token", err)
		}
	}
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
