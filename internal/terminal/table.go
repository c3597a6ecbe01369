package terminal

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Table prints rows in aligned columns. Colour never changes the widths.
type Table struct {
	Head []string
	rows [][]Cell
}

// Cell is one field and, for a terminal, its colour.
type Cell struct {
	text  string
	paint string // an ANSI sequence, or empty
}

// The colours. No meaning is carried by a colour alone.
const (
	Green  = "\x1b[32m"
	Yellow = "\x1b[33m"
	Red    = "\x1b[31m"
	Faint  = "\x1b[2m"
	Plain  = "\x1b[0m"
)

// Add appends a row.
func (t *Table) Add(cells ...Cell) { t.rows = append(t.rows, cells) }

// Text is a cell with text as fmt.Sprintf makes it; a format without arguments is
// used as it is.
func Text(format string, a ...any) Cell {
	if len(a) == 0 {
		return Cell{text: format}
	}
	return Cell{text: fmt.Sprintf(format, a...)}
}

// Painted is a cell in a colour.
func Painted(colour, text string) Cell { return Cell{text: text, paint: colour} }

// Paint gives text a colour where colours are wanted.
func Paint(wanted bool, colour, text string) string {
	if !wanted || colour == "" || text == "" {
		return text
	}
	return colour + text + Plain
}

// Write prints the table; the last column is not padded.
func (t *Table) Write(w io.Writer, colour bool) error {
	width := make([]int, len(t.Head))
	for i, h := range t.Head {
		width[i] = utf8.RuneCountInString(h)
	}
	for _, r := range t.rows {
		for i, c := range r {
			width[i] = max(width[i], utf8.RuneCountInString(c.text))
		}
	}
	var b strings.Builder
	line := func(cells []Cell) {
		var l strings.Builder
		for i, c := range cells {
			l.WriteString(Paint(colour, c.paint, c.text))
			if i < len(cells)-1 {
				l.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(c.text)+2))
			}
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	head := make([]Cell, len(t.Head))
	for i, h := range t.Head {
		head[i] = Painted(Faint, h)
	}
	line(head)
	for _, r := range t.rows {
		line(r)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
