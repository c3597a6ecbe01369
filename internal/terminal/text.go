package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// IsTerminal says whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// OneLine makes text fit a row: every run of white space becomes one space.
func OneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// FirstLine is text's first line, with the number of those left out.
func FirstLine(s string) string {
	s = strings.TrimSpace(s)
	first, rest, more := strings.Cut(s, "\n")
	first = OneLine(first)
	if !more {
		return first
	}
	n := strings.Count(rest, "\n") + 1
	return fmt.Sprintf("%s … (+%s)", first, Count(n, "line"))
}

// Indent puts by before every line of s but the first.
func Indent(s, by string) string {
	return strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n"+by)
}

// Count is a number of things, such as "1 problem" or "2 problems".
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// WantsColour says whether w is a terminal that wants colour.
func WantsColour(w io.Writer) bool {
	return IsTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
