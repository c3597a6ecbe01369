package pgpoolconf

import (
	"fmt"
	"sort"
	"strings"
)

// statement is one "name [=] value" of a source, as indexes into its tokens.
// The value can be any token but blanks and comments, also a line end, and is
// len(tokens) when the text ended first.
type statement struct {
	key, value int
}

// source is one file: its tokens, which print as the same bytes, and what they
// say up to the first syntax error.
type source struct {
	path       string
	tokens     []token
	statements []statement
	err        *SyntaxError
}

// parseSource never fails as such; the error, if any, is in the source, since
// what stands before it may matter first (a missing include).
func parseSource(path, text string) *source {
	s := &source{path: path, tokens: lex(text)}
	if n := strings.IndexByte(text, 0); n >= 0 {
		// Pgpool-II would cut the value there. Such a file is not a text.
		line := 1 + strings.Count(text[:n], "\n")
		s.err = &SyntaxError{File: path, Line: line, Msg: "zero byte in the text", Hint: "is this a pgpool.conf?"}
		return s
	}
	for i := s.skip(0); i < len(s.tokens); i = s.skip(i) {
		switch s.tokens[i].kind {
		case kindNewline:
			i++
			continue
		case kindKey:
		default:
			s.err = s.unexpected(i)
			return s
		}
		value := s.skip(i + 1)
		if s.kind(value) == kindEquals {
			value = s.skip(value + 1)
		}
		s.statements = append(s.statements, statement{key: i, value: value})
		i = value + 1
	}
	return s
}

// text prints the source: the same bytes that were parsed.
func (s *source) text() string {
	var b strings.Builder
	for _, t := range s.tokens {
		b.WriteString(t.text)
	}
	return b.String()
}

// skip returns the first index from i on that is neither blank nor comment.
func (s *source) skip(i int) int {
	for i < len(s.tokens) && (s.tokens[i].kind == kindSpace || s.tokens[i].kind == kindComment) {
		i++
	}
	return i
}

// kind is the kind of token i; the end of the text counts as a line end.
func (s *source) kind(i int) kind {
	if i < 0 || i >= len(s.tokens) {
		return kindNewline
	}
	return s.tokens[i].kind
}

// setting makes the public form of a statement.
func (s *source) setting(st statement) Setting {
	set := Setting{Name: s.tokens[st.key].text, File: s.path, Line: s.tokens[st.key].line}
	if st.value < len(s.tokens) {
		set.Value = s.tokens[st.value].text
	}
	switch s.kind(st.value) {
	case kindString:
		set.Value = set.Value[1 : len(set.Value)-1]
	case kindNewline:
		set.Odd = "the value is missing: Pgpool-II takes the end of the line as the value"
	case kindEquals, kindStray:
		set.Odd = fmt.Sprintf("Pgpool-II takes only the %s as the value; %s", set.Value, strayHint(set.Name, set.Value))
	}
	if set.Odd != "" {
		if prev := s.before(st.key); prev != nil {
			set.Odd += fmt.Sprintf("; the word follows the value of %s: quote both together", s.tokens[prev.key].text)
		}
	}
	return set
}

// before returns the statement that ends on the line of token i, left of it.
func (s *source) before(i int) *statement {
	n := sort.Search(len(s.statements), func(n int) bool { return s.statements[n].value >= i })
	if n == 0 {
		return nil
	}
	st := &s.statements[n-1]
	if s.kind(st.value) == kindNewline || s.tokens[st.value].line != s.tokens[i].line {
		return nil
	}
	return st
}

// strayHint is the remedy for a value of which only the first byte was taken.
func strayHint(name, first string) string {
	switch first {
	case "'":
		return "close the quote on the same line"
	case `"`:
		return "use single quotes"
	case "=":
		return "write one = only"
	}
	return fmt.Sprintf("put the value in quotes: %s = '%s…'", name, first)
}

// unexpected describes token i, found where a name has to stand.
func (s *source) unexpected(i int) *SyntaxError {
	t := s.tokens[i]
	e := &SyntaxError{File: s.path, Line: t.line}
	prev := s.before(i)
	if prev == nil {
		e.Msg, e.Hint = notName(t)
		return e
	}
	name, value := s.tokens[prev.key].text, s.tokens[prev.value]
	e.Msg = fmt.Sprintf("unexpected %q after the value of %s", t.text, name)
	switch {
	case value.kind == kindStray || value.kind == kindEquals:
		e.Hint = strayHint(name, value.text)
	case t.text == "#":
		e.Msg, e.Hint = notName(t)
	case value.kind == kindString && prev.value == i-1 && t.kind == kindString:
		e.Msg = "doubled quote in the value of " + name
		e.Hint = "Pgpool-II has no doubled quotes: use double quotes inside the value, or call a script"
	case value.kind == kindString:
		e.Hint = "a single quote inside a quoted value ends it: use double quotes inside"
	default:
		e.Hint = fmt.Sprintf("put the whole value in quotes: %s = '…'", name)
	}
	return e
}

// notName says what is wrong with a token that begins a line and is no name.
func notName(t token) (msg, hint string) {
	switch {
	case t.text == "#":
		return "comment on the last line without a line end", "end the file with a newline"
	case t.kind == kindWord && strings.Contains(t.text, "."):
		return fmt.Sprintf("name %q has a dot", t.text), "Pgpool-II has no dotted names: comment the line out"
	case t.kind == kindString || t.text == "'":
		return fmt.Sprintf("a name is expected, found %s", t.text), "names are written without quotes"
	case t.kind == kindEquals:
		return "the name before = is missing", "write name = value on one line"
	}
	return fmt.Sprintf("a name is expected, found %q", t.text),
		"names have letters, digits and _, and begin with a letter"
}
