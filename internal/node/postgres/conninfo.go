package postgres

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Param is one keyword of a libpq connection string.
type Param struct {
	Key   string
	Value string
}

// ConnInfo is a libpq connection string taken apart, in its order, with the
// keywords this package does not know kept as they are.
type ConnInfo []Param

// ErrConnURI is returned for a connection string in the form of a URI, which
// ParseConnInfo does not read.
var ErrConnURI = errors.New("the connection string is a URI; write it as keyword=value")

// ParseConnInfo reads "keyword=value" pairs as libpq does: blanks around "=",
// single quotes around values, a backslash before a quote or a backslash.
// Its errors never show values: one of them may be a password.
func ParseConnInfo(text string) (ConnInfo, error) {
	if strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://") {
		return nil, ErrConnURI
	}
	var c ConnInfo
	for s := strings.TrimLeft(text, connBlank); s != ""; s = strings.TrimLeft(s, connBlank) {
		n := strings.IndexAny(s, "="+connBlank)
		if n < 0 || !strings.HasPrefix(strings.TrimLeft(s[n:], connBlank), "=") {
			return nil, fmt.Errorf("connection string: no \"=\" after keyword number %d", len(c)+1)
		}
		key := s[:n]
		if key == "" {
			return nil, fmt.Errorf("connection string: no keyword before \"=\" number %d", len(c)+1)
		}
		s = strings.TrimLeft(s[n:], connBlank)
		value, rest, ok := connValue(strings.TrimLeft(s[1:], connBlank))
		if !ok {
			return nil, fmt.Errorf("connection string: the quote of %q is not closed", key)
		}
		c, s = append(c, Param{Key: key, Value: value}), rest
	}
	return c, nil
}

const connBlank = " \t\n\r\f\v"

// connValue reads one value at the front of s, and gives what follows it.
func connValue(s string) (value, rest string, ok bool) {
	quoted := strings.HasPrefix(s, "'")
	if quoted {
		s = s[1:]
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == '\\' && !quoted: // a lone backslash at the end is dropped
		case quoted && s[i] == '\'':
			return b.String(), s[i+1:], true
		case !quoted && strings.IndexByte(connBlank, s[i]) >= 0:
			return b.String(), s[i:], true
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), "", !quoted
}

// Get returns the value that counts, the last one, and whether there is any.
func (c ConnInfo) Get(key string) (string, bool) {
	for _, p := range slices.Backward(c) {
		if p.Key == key {
			return p.Value, true
		}
	}
	return "", false
}

// With returns a copy in which key has just this value, in its old place or at
// the end.
func (c ConnInfo) With(key, value string) ConnInfo {
	out := ConnInfo{}
	set := false
	for _, p := range c {
		if p.Key != key {
			out = append(out, p)
		} else if !set {
			out, set = append(out, Param{Key: key, Value: value}), true
		}
	}
	if !set {
		out = append(out, Param{Key: key, Value: value})
	}
	return out
}

// add appends a keyword, unless its value is empty.
func (c ConnInfo) add(key, value string) ConnInfo {
	if value == "" {
		return c
	}
	return append(c, Param{Key: key, Value: value})
}

// Without returns a copy that lacks the keys.
func (c ConnInfo) Without(keys ...string) ConnInfo {
	out := ConnInfo{}
	for _, p := range c {
		if !slices.Contains(keys, p.Key) {
			out = append(out, p)
		}
	}
	return out
}

// String prints the connection string, with quotes where they are needed. It
// holds the password if there is one.
func (c ConnInfo) String() string {
	parts := make([]string, len(c))
	for i, p := range c {
		parts[i] = p.Key + "=" + quoteConn(p.Value)
	}
	return strings.Join(parts, " ")
}

// quoteConn quotes a value for a connection string, if it must be.
func quoteConn(v string) string {
	if v != "" && !strings.ContainsAny(v, connBlank+`'\=`) {
		return v
	}
	return "'" + connQuoter.Replace(v) + "'"
}

var connQuoter = strings.NewReplacer("'", `\'`, `\`, `\\`)
