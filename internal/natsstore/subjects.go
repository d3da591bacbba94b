package natsstore

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// names builds the subjects and stream names of a namespace.
type names struct{ ns string }

// No underscore: it ends the namespace in a stream's name, so that no two namespaces share one.
var namespacePattern = regexp.MustCompile(`^[A-Za-z0-9-]{1,32}$`)

func newNames(ns string) (names, error) {
	if !namespacePattern.MatchString(ns) {
		return names{}, fmt.Errorf("namespace %q: want 1 to 32 letters, digits or -", ns)
	}
	return names{ns}, nil
}

func (n names) root() string  { return "sl." + n.ns + "." }
func (n names) ctrl() string  { return "SLUICE_" + n.ns + "_CTRL" }
func (n names) blobs() string { return "SLUICE_" + n.ns + "_BLOB" }

func (n names) logStream(log string) string   { return "SLUICE_" + n.ns + "_LOG_" + token(log) }
func (n names) logSubject(log string) string  { return n.root() + "log." + token(log) }
func (n names) head(key string) string        { return n.root() + "ctrl." + path(key) }
func (n names) lease(name string) string      { return n.root() + "lease." + path(name) }
func (n names) fence(name string) string      { return n.root() + "fence." + path(name) }
func (n names) manifest(name string) string   { return n.root() + "blob.m." + token(name) }
func (n names) chunks(name, id string) string { return n.root() + "blob.c." + token(name) + "." + id }
func (n names) allChunks(name string) string  { return n.root() + "blob.c." + token(name) + ".>" }
func (n names) entries(key string) string     { return n.root() + "hist." + path(key) + ".*" }
func (n names) entry(k string, r uint64) string {
	return n.root() + "hist." + path(k) + "." + strconv.FormatUint(r, 10)
}

// heads is the narrowest filter that covers the heads of all keys with that prefix.
func (n names) heads(prefix string) string {
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		return n.head(prefix[:i]) + ".>"
	}
	return n.root() + "ctrl.>"
}

// key is the inverse of head.
func (n names) key(subject string) (string, error) {
	return unpath(strings.TrimPrefix(subject, n.root()+"ctrl."))
}

// path maps any key to one or more subject tokens, one per segment between slashes, so that a
// prefix of segments is a subject filter. token maps any string to one token.
//
// Letters, digits, - and _ stand for themselves, every other byte is =XX, and an empty segment,
// which subjects don't have, is a single =.
func path(key string) string {
	segments := strings.Split(key, "/")
	for i, s := range segments {
		segments[i] = token(s)
	}
	return strings.Join(segments, ".")
}

func token(s string) string {
	if s == "" {
		return "="
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'=', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

func unpath(tokens string) (string, error) {
	segments := strings.Split(tokens, ".")
	for i, t := range segments {
		s, err := untoken(t)
		if err != nil {
			return "", fmt.Errorf("subject %q is not ours: %w", tokens, err)
		}
		segments[i] = s
	}
	return strings.Join(segments, "/"), nil
}

func untoken(t string) (string, error) {
	if t == "=" {
		return "", nil
	}
	var b strings.Builder
	for i := 0; i < len(t); i++ {
		if t[i] != '=' {
			b.WriteByte(t[i])
			continue
		}
		if i+3 > len(t) {
			return "", fmt.Errorf("token %q ends within an escape", t)
		}
		c, err := strconv.ParseUint(t[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("token %q: %w", t, err)
		}
		b.WriteByte(byte(c))
		i += 2
	}
	return b.String(), nil
}
