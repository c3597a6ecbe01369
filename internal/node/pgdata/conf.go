package pgdata

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Setting is one assignment in a PostgreSQL configuration file.
type Setting struct {
	Name  string // lower case
	Value string // without quotes
	Line  int    // from 1
}

// Conf is the assignments of one file in their order. Include directives are
// assignments here too, under their names.
type Conf []Setting

// Get returns the value that counts, the last one, and whether there is any.
func (c Conf) Get(name string) (string, bool) {
	for _, s := range slices.Backward(c) {
		if s.Name == lowerASCII(name) {
			return s.Value, true
		}
	}
	return "", false
}

// ConfError says which line of a configuration file is not valid.
type ConfError struct {
	Line int
	Msg  string
}

// Error names the line.
func (e *ConfError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Msg) }

// ParseConf reads the text of postgresql.conf or postgresql.auto.conf. The
// error is a *ConfError for the first line that PostgreSQL would not take.
func ParseConf(text string) (Conf, error) {
	var c Conf
	for i, line := range strings.Split(text, "\n") {
		name, value, ok, err := parseConfLine(line)
		if err != nil {
			return nil, &ConfError{Line: i + 1, Msg: err.Error()}
		}
		if ok {
			c = append(c, Setting{Name: name, Value: value, Line: i + 1})
		}
	}
	return c, nil
}

// parseConfLine reads one line; ok is false for blank and comment lines. The
// grammar is guc-file.l's: name, optional "=", value, optional comment.
func parseConfLine(line string) (name, value string, ok bool, err error) {
	line = strings.TrimLeft(line, confBlank)
	if line == "" || line[0] == '#' {
		return "", "", false, nil
	}
	n := 0
	for n < len(line) && nameByte(line[n], n == 0) {
		n++
	}
	if n == 0 {
		return "", "", false, fmt.Errorf("a setting's name was expected at %.20q", line)
	}
	name, line = lowerASCII(line[:n]), line[n:]
	rest := strings.TrimLeft(line, confBlank)
	after, equals := strings.CutPrefix(rest, "=")
	if !equals && rest != "" && rest == line && rest[0] != '\'' {
		return "", "", false, fmt.Errorf("%.20q after the name %s is not valid", rest, name)
	}
	rest = strings.TrimLeft(after, confBlank)
	if strings.HasPrefix(rest, "'") {
		value, rest, err = confQuoted(rest)
	} else {
		n = 0
		for n < len(rest) && valueByte(rest[n]) {
			n++
		}
		value, rest = rest[:n], rest[n:]
		if n == 0 {
			err = fmt.Errorf("%s has no value", name)
		}
	}
	if err != nil {
		return "", "", false, err
	}
	if rest = strings.TrimLeft(rest, confBlank); rest != "" && rest[0] != '#' {
		return "", "", false, fmt.Errorf("%.20q after the value of %s is not valid", rest, name)
	}
	return name, value, true, nil
}

const confBlank = " \t\r\f\v"

// nameByte says whether b may occur in a name; a dot only inside.
func nameByte(b byte, first bool) bool {
	letter := b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '_' || b >= 0x80
	return letter || !first && (b >= '0' && b <= '9' || b == '$' || b == '.')
}

// valueByte says whether b may occur in a value without quotes.
func valueByte(b byte) bool {
	return nameByte(b, false) || b == '-' || b == '+' || b == ':' || b == '/'
}

// confQuoted reads a quoted value at the front of s, and gives what follows it.
// Inside, two quotes are one, and a backslash escapes as in C.
func confQuoted(s string) (value, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\'' && i+1 < len(s) && s[i+1] == '\'':
			b.WriteByte('\'')
			i++
		case s[i] == '\'':
			return b.String(), s[i+1:], nil
		case s[i] == '\\' && i+1 < len(s):
			n := confEscape(&b, s[i+1:])
			i += n
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", fmt.Errorf("the quote is not closed: %.40q", s)
}

// confEscape writes what the escape at the front of s (after the backslash)
// stands for, and gives its length.
func confEscape(b *strings.Builder, s string) int {
	if i := strings.IndexByte("bfnrt", s[0]); i >= 0 {
		b.WriteByte("\b\f\n\r\t"[i])
		return 1
	}
	n := 0
	for n < len(s) && n < 3 && s[n] >= '0' && s[n] <= '7' {
		n++
	}
	if n == 0 {
		b.WriteByte(s[0])
		return 1
	}
	v, _ := strconv.ParseUint(s[:n], 8, 16) // at most three octal digits
	b.WriteByte(byte(v))
	return n
}

// QuoteConf quotes a value for a configuration file.
func QuoteConf(value string) string {
	return "'" + confQuoter.Replace(value) + "'"
}

var confQuoter = strings.NewReplacer("'", "''", `\`, `\\`, "\n", `\n`, "\r", `\r`)

// SetConf returns text with the settings in set made to these values, and
// those in remove taken out. The last of several assignments counts in
// PostgreSQL, so it stays (or is rewritten in its place) and the earlier ones
// go; new settings come at the end in the order of their names. Comments,
// include directives and lines that make no sense stay as they are.
func SetConf(text string, set map[string]string, remove []string) string {
	want := map[string]string{}
	for name, value := range set {
		want[lowerASCII(name)] = value
	}
	gone := map[string]bool{}
	for _, name := range remove {
		if _, set := want[lowerASCII(name)]; !set {
			gone[lowerASCII(name)] = true
		}
	}
	lines := strings.Split(text, "\n")
	var out []string // built from the end: the last assignment comes first
	for _, line := range slices.Backward(lines) {
		name, _, ok, err := parseConfLine(line)
		if err != nil || !ok || isInclude(name) {
			out = append(out, line)
			continue
		}
		if gone[name] {
			continue
		}
		gone[name] = true
		if value, mine := want[name]; mine {
			line = name + " = " + QuoteConf(value)
		}
		out = append(out, line)
	}
	slices.Reverse(out)
	for len(out) > 0 && out[len(out)-1] == "" {
		out = out[:len(out)-1]
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !gone[name] {
			out = append(out, name+" = "+QuoteConf(want[name]))
		}
	}
	if len(out) == 0 {
		return ""
	}
	return strings.Join(out, "\n") + "\n"
}

// lowerASCII folds the case of a setting's name as PostgreSQL does: of ASCII
// letters alone, so that any other byte stays what it is.
func lowerASCII(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] >= 'A' && b[i] <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

// isInclude says whether name is a directive, which may occur several times.
func isInclude(name string) bool {
	return name == "include" || name == "include_if_exists" || name == "include_dir"
}
