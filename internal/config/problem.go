package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Problem is one thing wrong with a configuration, with its place.
type Problem struct {
	// File is the path as it was given.
	File string
	// Line and Col count from 1; zero: the place is not known, or the problem
	// is something that is missing.
	Line, Col int
	// Msg says what is wrong and what to write instead.
	Msg string
}

// Error is "file:line:col: message", as compilers and editors have it.
func (p *Problem) Error() string {
	if p.Line == 0 {
		return p.File + ": " + p.Msg
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Col, p.Msg)
}

// place is a position in the YAML text.
type place struct{ line, col int }

// problems gathers all there is to say about one file.
type problems struct {
	file string
	at   map[string]place // of each key and list item that was given, by its path
	list []*Problem
}

// add notes a problem at the given place.
func (ps *problems) add(at place, format string, args ...any) {
	ps.list = append(ps.list, &Problem{File: ps.file, Line: at.line, Col: at.col, Msg: fmt.Sprintf(format, args...)})
}

// addAt notes a problem with the setting of that path, such as
// "nodes[1].agent"; the message begins with the path.
func (ps *problems) addAt(path, format string, args ...any) {
	ps.add(ps.at[path], "%s: %s", path, fmt.Sprintf(format, args...))
}

// err joins everything in the order of the file; nil if there is nothing.
func (ps *problems) err() error {
	slices.SortStableFunc(ps.list, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	errs := make([]error, len(ps.list))
	for i, p := range ps.list {
		errs[i] = p
	}
	return errors.Join(errs...)
}
