package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// table prints rows in aligned columns. Colour never changes the widths.
type table struct {
	head []string
	rows [][]cell
}

// cell is one field and, for a terminal, its colour.
type cell struct {
	text  string
	paint string // an ANSI sequence, or empty
}

// The few colours: never the only carrier of a meaning.
const (
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
	faint  = "\x1b[2m"
	plain  = "\x1b[0m"
)

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

func txt(format string, a ...any) cell {
	if len(a) == 0 {
		return cell{text: format}
	}
	return cell{text: fmt.Sprintf(format, a...)}
}

func painted(colour, text string) cell { return cell{text: text, paint: colour} }

// write prints the table; the last column is not padded.
func (t *table) write(w io.Writer, colour bool) error {
	width := make([]int, len(t.head))
	for i, h := range t.head {
		width[i] = utf8.RuneCountInString(h)
	}
	for _, r := range t.rows {
		for i, c := range r {
			width[i] = max(width[i], utf8.RuneCountInString(c.text))
		}
	}
	var b strings.Builder
	line := func(cells []cell) {
		var l strings.Builder
		for i, c := range cells {
			text := c.text
			if colour && c.paint != "" {
				text = c.paint + text + plain
			}
			l.WriteString(text)
			if i < len(cells)-1 {
				l.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(c.text)+2))
			}
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	head := make([]cell, len(t.head))
	for i, h := range t.head {
		head[i] = painted(faint, h)
	}
	line(head)
	for _, r := range t.rows {
		line(r)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// isTerminal says whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// oneLine makes text fit a row: line ends and runs of blanks become one blank.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// firstLine is text's first line, with the number of those left out.
func firstLine(s string) string {
	s = strings.TrimSpace(s)
	first, rest, more := strings.Cut(s, "\n")
	first = oneLine(first)
	if !more {
		return first
	}
	n := strings.Count(rest, "\n") + 1
	return fmt.Sprintf("%s … (+%s)", first, count(n, "line"))
}

// indent puts by before every line of text but the first.
func indent(s, by string) string {
	return strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n"+by)
}
