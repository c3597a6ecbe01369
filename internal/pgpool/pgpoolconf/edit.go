package pgpoolconf

import (
	"errors"
	"fmt"
	"strings"
)

// Marker is the comment above the settings that an Editor adds.
const Marker = "# repool: added by repool setup"

// Change is one setting that an Editor changed or added.
type Change struct {
	Name string
	File string
	Line int    // in the text before the change; for an added setting after it
	Old  string // the value before; empty when added
	New  string
	// Added tells that the file did not have the setting.
	Added bool
}

// String tells a person what changed. Passwords are not shown, though the fields
// hold them.
func (c Change) String() string {
	old, now := "'"+c.Old+"'", "'"+c.New+"'"
	if isSecret(c.Name) {
		old, now = "(not shown)", "(not shown)"
	}
	if c.Added {
		return fmt.Sprintf("%s:%d: %s = %s added", c.File, c.Line, c.Name, now)
	}
	return fmt.Sprintf("%s:%d: %s = %s, was %s", c.File, c.Line, c.Name, now, strings.ReplaceAll(old, "\n", `\n`))
}

// Editor changes settings and leaves everything else as it is, byte for byte:
// order, comments, spelling. Setting what already holds changes nothing.
type Editor struct {
	file    *File
	before  map[string]string // path → text as loaded
	changes []Change
}

// Edit starts an editor. The File itself stays as it is.
func (f *File) Edit() *Editor {
	e := &Editor{file: f, before: map[string]string{}}
	for _, s := range f.sources {
		e.before[s.path] = s.text()
	}
	return e
}

// File is the configuration with the changes so far.
func (e *Editor) File() *File { return e.file }

// Changes lists what was changed so far, in the order of the calls.
func (e *Editor) Changes() []Change { return append([]Change(nil), e.changes...) }

// Edited is a file's text before and after an Editor's changes.
type Edited struct{ Path, Before, After string }

// Edits are the files that Write would replace.
func (e *Editor) Edits() []Edited {
	var out []Edited
	for _, s := range e.file.sources {
		if text := s.text(); text != e.before[s.path] {
			out = append(out, Edited{Path: s.path, Before: e.before[s.path], After: text})
		}
	}
	return out
}

// Set makes value the one that Pgpool-II takes for name. Where the name is set,
// the value of its last line changes, in whichever file that stands; otherwise a
// line is added under Marker in the main file. The result is parsed again: when
// it does not say exactly this and else what it said before, nothing changes and
// the error tells why.
func (e *Editor) Set(name, value string) error {
	if err := checkEdit(name, value); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	change := Change{Name: name, New: value}
	i, exists := e.file.find(name)
	var s *source
	var text string
	if exists {
		old := e.file.settings[i]
		if old.Value == value && old.Odd == "" {
			return nil
		}
		s = e.file.places[i].source
		change.File, change.Line, change.Old = old.File, old.Line, old.Value
		text = s.replaced(e.file.places[i].statement, value)
	} else {
		s = e.file.sources[0]
		change.File, change.Added = s.path, true
		text, change.Line = s.added(name, value)
	}
	next, err := e.reparse(s.path, text)
	if err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	if err := sameBut(e.file, next, name, value); err != nil {
		return fmt.Errorf("set %s: %w", name, err)
	}
	e.file, e.changes = next, append(e.changes, change)
	return nil
}

// checkEdit refuses what no line of pgpool.conf can say.
func checkEdit(name, value string) error {
	if tokens := lex(name); len(tokens) != 1 || tokens[0].kind != kindKey || name == "include" {
		return errors.New("not the name of a setting")
	}
	if _, err := canonical(name); err != nil {
		return err
	}
	if strings.ContainsAny(value, "\n\x00") {
		return errors.New("pgpool.conf cannot hold a value of several lines; call a script")
	}
	if quote := "'" + value + "'"; quoted(quote) != len(quote) {
		return errors.New("pgpool.conf cannot hold a value with a single quote; use double quotes or call a script")
	}
	return nil
}

// reparse parses the whole configuration with one file's text replaced.
func (e *Editor) reparse(path, text string) (*File, error) {
	texts := map[string]string{}
	for _, s := range e.file.sources {
		texts[s.path] = s.text()
	}
	texts[path] = text
	main := e.file.sources[0].path
	next, err := parse(main, texts[main], func(path string) (string, error) {
		if text, ok := texts[path]; ok {
			return text, nil
		}
		return e.file.read(path)
	})
	if err != nil {
		return nil, fmt.Errorf("the line would break: %w", err)
	}
	next.read = e.file.read
	return next, nil
}

// sameBut checks that after an edit all settings but one have the values they
// had before, and that one the new value. Settings that were misread before may
// go with the value they belong to.
func sameBut(before, after *File, name, value string) error {
	key, _ := canonical(name)
	if set, ok := after.Lookup(name); !ok || set.Value != value || set.Odd != "" {
		return errors.New("the rest of its line does not let the value stand; put the setting on a line of its own")
	}
	for other, i := range before.last {
		old := before.settings[i]
		j, ok := after.last[other]
		if other == key || ok && after.settings[j].Value == old.Value || old.Odd != "" && !ok {
			continue
		}
		return fmt.Errorf("%s:%d: %s would change with it; put each setting on a line of its own", old.File, old.Line,
			old.Name)
	}
	for other := range after.last {
		if _, ok := before.last[other]; !ok && other != key {
			return fmt.Errorf("a setting %s would appear with it; put the setting on a line of its own", other)
		}
	}
	return nil
}

// replaced prints s with another value in one statement.
func (s *source) replaced(st statement, value string) string {
	from, to := st.value, st.value+1
	lead, tail := "", ""
	switch s.kind(from) {
	case kindNewline:
		// No value yet: it goes right after the name or the equals sign.
		for from--; s.kind(from) == kindSpace || s.kind(from) == kindComment; {
			from--
		}
		from, to = from+1, from+1
		lead = " "
	case kindEquals, kindStray:
		// What follows without a blank was meant to belong to the value.
		for to < len(s.tokens) && !isEnd(s.tokens[to].kind) {
			to++
		}
	}
	if !isEnd(s.kind(to)) {
		tail = " " // keep the next word apart from the new value
	}
	bare := from < to && isBare(s.tokens[from].kind)
	var b strings.Builder
	for _, t := range s.tokens[:from] {
		b.WriteString(t.text)
	}
	b.WriteString(lead + written(value, bare) + tail)
	for _, t := range s.tokens[min(to, len(s.tokens)):] {
		b.WriteString(t.text)
	}
	return b.String()
}

func isEnd(k kind) bool { return k == kindSpace || k == kindNewline || k == kindComment }
func isBare(k kind) bool {
	return k == kindKey || k == kindWord || k == kindInteger || k == kindFraction
}

// written is a value as it stands in the file: in quotes, unless the old one had
// none and the new one needs none.
func written(value string, bare bool) string {
	if tokens := lex(value); bare && len(tokens) == 1 && isBare(tokens[0].kind) {
		return value
	}
	return "'" + value + "'"
}

// added prints s with a new setting, and the line it stands on. It goes to the
// end of the marked block, which is made at the end of the file.
func (s *source) added(name, value string) (text string, line int) {
	p, _, _ := find(name)
	bare := p != nil && p.kind != valueText
	entry := name + " = " + written(value, bare) + "\n"
	text = s.text()
	lines := strings.SplitAfter(text, "\n")
	for i, l := range lines {
		if strings.TrimRight(l, "\r\n") != Marker {
			continue
		}
		for i++; i < len(lines) && isEntry(lines[i]); i++ {
		}
		head := strings.Join(lines[:i], "")
		return endLine(head) + entry + strings.Join(lines[i:], ""), i + 1
	}
	head := endLine(text)
	if head != "" {
		head += "\n"
	}
	head += Marker + "\n"
	return head + entry, strings.Count(head, "\n") + 1
}

// isEntry tells a line of the marked block: one that begins with a name.
func isEntry(line string) bool {
	return line != "" && isLetter(line[0])
}

// endLine ends the last line of a text, if any, with a line feed.
func endLine(text string) string {
	if text == "" || strings.HasSuffix(text, "\n") {
		return text
	}
	return text + "\n"
}
