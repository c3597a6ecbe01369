package pgpoolconf

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const (
	// maxDepth is how deep includes may nest: the limit of Pgpool-II.
	maxDepth = 10
	// maxIncludes bounds files that include each other many times over.
	maxIncludes = 1000
	// maxFileBytes bounds one file, so that a wrong path cannot fill memory.
	maxFileBytes = 16 << 20
)

// Setting is one "name = value" in a file.
type Setting struct {
	Name string // as written
	// Value is what Pgpool-II takes: without the outer quotes, nothing else
	// changed, so a backslash stays a backslash.
	Value string
	File  string
	Line  int // of the name, 1-based
	// Odd says why the value is hardly what the writer meant although
	// Pgpool-II accepts it; empty for an ordinary setting.
	Odd string
}

// File is pgpool.conf with everything it includes. It never changes; an Editor
// makes a new one.
type File struct {
	sources  []*source      // the main file first, then as first included
	settings []Setting      // in the order Pgpool-II applies them
	places   []place        // of each setting
	keys     []string       // of each setting, its canonical name
	last     map[string]int // canonical name → index of the setting that counts
	read     func(path string) (string, error)
}

// place is where a setting stands.
type place struct {
	source *source
	statement
}

// Load reads pgpool.conf. Errors are *SyntaxError, or wrap the one from reading
// the main file. (Pgpool-II itself takes a missing main file for an empty one.)
func Load(path string) (*File, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("read pgpool.conf: %w", err)
	}
	text, err := readText(path)
	if err != nil {
		return nil, fmt.Errorf("read pgpool.conf: %w", err)
	}
	return parse(path, text, readText)
}

// Parse reads text as Load reads a file. The name stands in errors, and relative
// includes are looked up beside it.
func Parse(name, text string) (*File, error) {
	return parse(name, text, readText)
}

func parse(name, text string, read func(string) (string, error)) (*File, error) {
	f := &File{last: map[string]int{}, read: read}
	main := parseSource(name, text)
	f.sources = append(f.sources, main)
	visits := 0
	if err := f.walk(main, 0, &visits); err != nil {
		return nil, err
	}
	return f, f.index()
}

// walk takes up the settings of s, and of what it includes, in reading order.
func (f *File) walk(s *source, depth int, visits *int) error {
	for _, st := range s.statements {
		set := s.setting(st)
		if set.Name != "include" {
			f.settings = append(f.settings, set)
			f.places = append(f.places, place{s, st})
			continue
		}
		fail := func(msg, hint string, err error) error {
			return &SyntaxError{File: set.File, Line: set.Line, Msg: msg, Hint: hint, Err: err}
		}
		if set.Odd != "" {
			return fail("include without a file name", "write include 'file'", nil)
		}
		if depth++; depth > maxDepth {
			return fail(fmt.Sprintf("includes nest deeper than %d", maxDepth), "does a file include itself?", nil)
		}
		if *visits++; *visits > maxIncludes {
			return fail(fmt.Sprintf("more than %d includes", maxIncludes), "do files include each other?", nil)
		}
		included, err := f.include(s.path, set.Value)
		if err != nil {
			return fail(fmt.Sprintf("include '%s': %v", set.Value, err),
				"Pgpool-II does not start without the file: create it or take the line out", err)
		}
		if err := f.walk(included, depth, visits); err != nil {
			return err
		}
		depth--
	}
	if s.err != nil {
		return s.err
	}
	return nil
}

// include returns the file that from names, read once however often included.
func (f *File) include(from, name string) (*source, error) {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(from), path)
	}
	for _, s := range f.sources {
		if s.path == path {
			return s, nil
		}
	}
	text, err := f.read(path)
	if err != nil {
		return nil, err
	}
	s := parseSource(path, text)
	f.sources = append(f.sources, s)
	return s, nil
}

// index finds the last setting of each name, and refuses bad array indexes.
func (f *File) index() error {
	for i, set := range f.settings {
		key, err := canonical(set.Name)
		if err != nil {
			return &SyntaxError{File: set.File, Line: set.Line, Msg: err.Error(), Hint: indexHint(set.Name)}
		}
		f.keys = append(f.keys, key)
		f.last[key] = i
	}
	return nil
}

// Lookup returns the setting of that name that counts, which is the last one.
// Indexes are compared as numbers: backend_port01 is backend_port1.
func (f *File) Lookup(name string) (Setting, bool) {
	i, ok := f.find(name)
	if !ok {
		return Setting{}, false
	}
	return f.settings[i], true
}

// LookupNode is Lookup for a parameter with a node index. A setting with the
// index wins over one without, wherever they stand.
func (f *File) LookupNode(name string, node int) (Setting, bool) {
	if set, ok := f.Lookup(fmt.Sprintf("%s%d", name, node)); ok {
		return set, true
	}
	return f.Lookup(name)
}

func (f *File) find(name string) (int, bool) {
	key, err := canonical(name)
	if err != nil {
		return 0, false
	}
	i, ok := f.last[key]
	return i, ok
}

// readText reads a regular file of a sensible size.
func readText(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", &os.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxFileBytes {
		return "", &os.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %d bytes", maxFileBytes)}
	}
	return string(text), nil
}
