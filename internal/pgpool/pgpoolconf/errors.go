package pgpoolconf

import (
	"fmt"
	"strings"
)

// SyntaxError says why Pgpool-II would not read the file: it does not start
// with such a file, and on reload keeps its old settings.
type SyntaxError struct {
	File string
	Line int // 1-based
	Msg  string
	Hint string // what to do; empty when not known
	Err  error  // cause, for an included file that could not be read
}

func (e *SyntaxError) Error() string {
	return located(e.File, e.Line, e.Msg, e.Hint)
}

func (e *SyntaxError) Unwrap() error { return e.Err }

// ValueError says that a setting's value is not what the parameter needs. The
// text of a password is never part of the message.
type ValueError struct {
	Setting Setting
	Msg     string
	Hint    string // what to do; empty when not known
}

func (e *ValueError) Error() string {
	value := "'" + e.Setting.Value + "'"
	if isSecret(e.Setting.Name) {
		value = "(not shown)"
	}
	msg := fmt.Sprintf("%s = %s: %s", e.Setting.Name, strings.ReplaceAll(value, "\n", `\n`), e.Msg)
	return located(e.Setting.File, e.Setting.Line, msg, e.Hint)
}

func located(file string, line int, msg, hint string) string {
	text := fmt.Sprintf("%s:%d: %s", file, line, msg)
	if hint != "" {
		text += "; " + hint
	}
	return text
}

// isSecret tells names whose values must not be shown.
func isSecret(name string) bool {
	return strings.Contains(name, "password") || strings.Contains(name, "authkey")
}
