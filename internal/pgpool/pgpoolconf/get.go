package pgpoolconf

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// text is the value as it stands. The error, a *ValueError, is for a value that
// Pgpool-II misreads.
func (set Setting) text() (string, error) {
	if set.Odd != "" {
		return "", &ValueError{Setting: set, Msg: set.Odd}
	}
	return set.Value, nil
}

// Bool reads a boolean. It refuses anything that is not a boolean, where Pgpool-II would silently
// take it for "on".
func (set Setting) Bool() (bool, error) {
	if _, err := set.text(); err != nil {
		return false, err
	}
	on, ok := parseBool(set.Value)
	if !ok {
		return false, &ValueError{Setting: set, Msg: "not a boolean, and Pgpool-II takes it for on", Hint: "write on or off"}
	}
	return on, nil
}

// duration reads a time. A bare number counts in base, which is a millisecond, a
// second or a minute, as the parameter has it.
func (set Setting) duration(base time.Duration) (time.Duration, error) {
	word, ok := timeWord[base]
	if !ok {
		return 0, fmt.Errorf("%s: no parameter has a base unit of %v", set.Name, base)
	}
	n, err := set.number(word)
	if err == nil && n > math.MaxInt64/int64(base) {
		err = &ValueError{Setting: set, Msg: "number out of range"}
	}
	if err != nil {
		return 0, err
	}
	return time.Duration(n) * base, nil
}

// number reads a whole number in the base unit, empty for none, within the limits
// of a known parameter.
func (set Setting) number(base string) (int64, error) {
	if _, err := set.text(); err != nil {
		return 0, err
	}
	lo, hi := int64(math.MinInt32), int64(math.MaxInt64)
	hint := ""
	if p, index, _ := find(set.Name); p != nil && p.kind == valueInt {
		lo, hi = p.min, p.max
		if p.unit == "" {
			base = ""
		} else if p.bare && index < 0 {
			// Its record of the default lacks the unit, in all versions.
			base, hint = "", fmt.Sprintf("without a node index Pgpool-II wants a bare number, counted in %s", p.unit)
		}
	}
	n, wrong := parseNumber(set.Value, base)
	if wrong != "" {
		return 0, &ValueError{Setting: set, Msg: wrong, Hint: hint}
	}
	if n < lo || n > hi {
		return 0, &ValueError{Setting: set, Msg: fmt.Sprintf("outside %d to %d", lo, hi)}
	}
	return n, nil
}

// real reads a number as C's atof does: what does not fit is cut off.
func (set Setting) real() (float64, error) {
	if _, err := set.text(); err != nil {
		return 0, err
	}
	m := decimal.FindStringSubmatch(set.Value)
	if m == nil || strings.Trim(set.Value[len(m[0]):], blanks) != "" {
		return 0, &ValueError{Setting: set, Msg: "not a number, and Pgpool-II takes what it can read of it, or 0"}
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0, &ValueError{Setting: set, Msg: "number out of range"}
	}
	if p, _, _ := find(set.Name); p != nil && (n < float64(p.min) || n > float64(p.max)) {
		return 0, &ValueError{Setting: set, Msg: fmt.Sprintf("outside %d to %d", p.min, p.max)}
	}
	return n, nil
}

// word reads one of the words of an enumeration, in lower case or as Pgpool-II
// documents it.
func (set Setting) word(words []string) (string, error) {
	if _, err := set.text(); err != nil {
		return "", err
	}
	i := slices.IndexFunc(words, func(w string) bool { return strings.EqualFold(w, set.Value) })
	if i < 0 {
		return "", &ValueError{Setting: set, Msg: "unknown word", Hint: "known are " + strings.Join(words, ", ")}
	}
	return words[i], nil
}

// Rejected lists the values that this version of Pgpool-II would not start with,
// or take for something else. The zero Version stands for any. All settings
// count, also those that a later line overrides. Errors are *ValueError.
func (f *File) Rejected(v Version) []error {
	var out []error
	for _, set := range f.settings {
		p, _, _ := find(set.Name)
		if p == nil || !p.in(v) {
			continue
		}
		if err := p.check(set); err != nil {
			out = append(out, err)
		}
	}
	return append(out, f.missingDirectories()...)
}

func (p *parameter) check(set Setting) (err error) {
	switch p.kind {
	case valueText:
		_, err = set.text()
		if err == nil && p.name == "backend_flag" {
			_, err = Flags{}.add(set)
		}
	case valueBool:
		_, err = set.Bool()
	case valueInt:
		_, err = set.number(p.unit)
	case valueReal:
		_, err = set.real()
	case valueWord:
		_, err = set.word(strings.Fields(p.words))
	}
	return err
}

// missingDirectories finds nodes without data directory although a recovery
// command is set: Pgpool-II refuses to start then.
func (f *File) missingDirectories() []error {
	has := func(name string) bool {
		set, _ := f.Lookup(name)
		value, err := set.text()
		return err == nil && value != ""
	}
	if !has("recovery_1st_stage_command") && !has("recovery_2nd_stage_command") {
		return nil
	}
	var out []error
	for node := range maxNodes {
		port, ok := f.Lookup(fmt.Sprintf("backend_port%d", node))
		if !ok {
			continue
		}
		directory := fmt.Sprintf("backend_data_directory%d", node)
		if !has(directory) {
			out = append(out, &ValueError{
				Setting: port, Msg: "the node has no data directory although a recovery command is set",
				Hint: "set " + directory,
			})
		}
	}
	return out
}
