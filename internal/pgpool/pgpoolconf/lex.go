package pgpoolconf

import "strings"

// kind is what the lexer takes a piece of text for.
type kind uint8

const (
	kindSpace    kind = iota // blanks, tabs, carriage returns
	kindComment              // "#" up to, not including, a line end that must exist
	kindNewline              // one line feed
	kindKey                  // letters, digits, "_": a name, or a plain word as value
	kindString               // '...', quotes included
	kindWord                 // a word with any of - . _ : / in it
	kindInteger              // decimal or hexadecimal, then letters (a unit)
	kindFraction             // a number with a decimal point
	kindEquals               // "="
	kindStray                // any other single byte
)

// token is one piece of the text; all tokens of a text joined give it back.
type token struct {
	kind kind
	text string
	line int // 1-based, where the token begins
}

// lex cuts text into tokens. It never fails: what fits nothing is kindStray.
// The longest match wins, as in the scanner that flex generates.
func lex(text string) []token {
	var tokens []token
	line := 1
	for text != "" {
		k, n := match(text)
		tokens = append(tokens, token{kind: k, text: text[:n], line: line})
		if k == kindNewline {
			line++
		}
		text = text[n:]
	}
	return tokens
}

// match returns the kind and the length of the first token of a non-empty text.
func match(text string) (kind, int) {
	switch c := text[0]; {
	case c == '\n':
		return kindNewline, 1
	case isBlank(c):
		return kindSpace, span(text, isBlank)
	case c == '#':
		// The pattern asks for a following line feed: at the end of the file
		// a comment is not a comment.
		if n := strings.IndexByte(text, '\n'); n > 0 {
			return kindComment, n
		}
		return kindStray, 1
	case c == '=':
		return kindEquals, 1
	case c == '\'':
		if n := quoted(text); n > 0 {
			return kindString, n
		}
		return kindStray, 1
	case isLetter(c):
		key := span(text, isNameByte)
		if word := span(text, isWordByte); word > key {
			return kindWord, word
		}
		return kindKey, key
	}
	return matchNumber(text)
}

// matchNumber matches an integer or a number with a point, whichever is longer.
func matchNumber(text string) (kind, int) {
	sign := 0
	if text[0] == '-' || text[0] == '+' {
		sign = 1
	}
	digits := span(text[sign:], isDigit)
	integer := 0
	if digits > 0 {
		integer = sign + digits
		if rest := text[sign:]; strings.HasPrefix(rest, "0x") && span(rest[2:], isHexDigit) > 0 {
			integer = sign + 2 + span(rest[2:], isHexDigit)
		}
		integer += span(text[integer:], isUnitLetter)
	}
	fraction := 0
	if point := sign + digits; point < len(text) && text[point] == '.' {
		fraction = point + 1
		fraction += span(text[fraction:], isDigit)
		fraction += exponent(text[fraction:])
	}
	switch {
	case fraction > integer:
		return kindFraction, fraction
	case integer > 0:
		return kindInteger, integer
	}
	return kindStray, 1
}

// exponent returns the length of an exponent at the start of text, 0 if none.
func exponent(text string) int {
	if text == "" || (text[0] != 'e' && text[0] != 'E') {
		return 0
	}
	n := 1
	if n < len(text) && (text[n] == '-' || text[n] == '+') {
		n++
	}
	digits := span(text[n:], isDigit)
	if digits == 0 {
		return 0
	}
	return n + digits
}

// quoted returns the length of the quoted string at the start of text, 0 when
// no quote closes it on its line.
//
// The pattern is '([^'\n]|\\.)*': a backslash may, but need not, take the next
// character with it, and the longest reading wins. So a value may end with a
// backslash, unless another quote later on the line lets it go on.
func quoted(text string) int {
	longest := 0
	inside, escaped := true, false // the readings still possible at this byte
	for i := 1; i < len(text) && (inside || escaped) && text[i] != '\n'; i++ {
		c := text[i]
		if inside && c == '\'' {
			longest = i + 1
		}
		inside, escaped = escaped || inside && c != '\'', inside && c == '\\'
	}
	return longest
}

// span counts the leading bytes of text for which is holds.
func span(text string, is func(byte) bool) int {
	n := 0
	for n < len(text) && is(text[n]) {
		n++
	}
	return n
}

func isBlank(c byte) bool      { return c == ' ' || c == '\t' || c == '\r' }
func isDigit(c byte) bool      { return c >= '0' && c <= '9' }
func isUnitLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isHexDigit(c byte) bool   { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

// isLetter counts every byte above ASCII as a letter, as Pgpool-II does.
func isLetter(c byte) bool   { return isUnitLetter(c) || c == '_' || c >= 0x80 }
func isNameByte(c byte) bool { return isLetter(c) || isDigit(c) }
func isWordByte(c byte) bool { return isNameByte(c) || strings.IndexByte("-.:/", c) >= 0 }
