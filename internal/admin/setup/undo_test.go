package setup

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// applied is a pool that is down and was set up; before are its files until then.
func applied(t *testing.T) (dir string, before map[string]string) {
	t.Helper()
	dir, o := offline(t)
	before = files(t, dir)
	p, err := Make(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Apply(t.Context(), func(Item) {}); err != nil {
		t.Fatal(err)
	}
	return dir, before
}

func undoPlan(t *testing.T, dir string) *Plan {
	t.Helper()
	o := options(t, dir)
	o.ShimDir = dir
	p, err := Undo(t.Context(), o, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func apply(t *testing.T, p *Plan) {
	t.Helper()
	if err := p.Apply(t.Context(), func(Item) {}); err != nil {
		t.Fatal(err)
	}
}

// TestUndoPutsFilesBack holds that what the servers do not need is as it was, byte for byte and with its mode, without
// copies; and that what a node may still need stays while nobody answers for it.
func TestUndoPutsFilesBack(t *testing.T) {
	dir, before := applied(t)
	set := files(t, dir)
	p := undoPlan(t, dir)
	if !maps.Equal(set, files(t, dir)) {
		t.Error("making a plan has changed files")
	}
	if !strings.Contains(text(p, dir), "- repool:***") {
		t.Errorf("the line of pcp.conf is not shown without its hash:\n%s", text(p, dir))
	}
	apply(t, p)
	after := files(t, dir)
	kept := map[string]bool{"repool.yaml": true, "pgpass": true, "pcppass": true, "repool.yaml.setup.json": true}
	for path, was := range before {
		if after[path] != was {
			t.Errorf("%s is not as before:\n%s\nwas\n%s", path, after[path], was)
		}
	}
	for path := range after {
		if _, was := before[path]; !was && !kept[filepath.Base(path)] {
			t.Errorf("%s is left", path)
		}
	}
	for name := range kept {
		if after[filepath.Join(dir, name)] == "" {
			t.Errorf("%s was removed, though no node said that it does not need repool", name)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "units")); !os.IsNotExist(err) {
		t.Error("the directory that was created for the unit is left")
	}
	if again := undoPlan(t, dir); again.ToDo() != 0 {
		t.Errorf("there is still something to do:\n%s", text(again, dir))
	}
}

// TestUndoLeavesWhatSomebodyChanged holds that only lines that are as setup wrote them are put back.
func TestUndoLeavesWhatSomebodyChanged(t *testing.T) {
	dir, before := applied(t)
	conf := filepath.Join(dir, "pgpool.conf")
	set := read(t, conf)
	mine := strings.Replace(set, "auto_failback = off", "auto_failback = off # mine", 1) + "port = 9999\n"
	if mine == set+"port = 9999\n" {
		t.Fatalf("no auto_failback in\n%s", set)
	}
	write(t, conf, mine, 0o640)
	write(t, filepath.Join(dir, "failover.sh"), "#!/bin/sh\n# mine\n", 0o755)
	p := undoPlan(t, dir)
	if !strings.Contains(text(p, dir), "1 of the places that setup edited in DIR/pgpool.conf were changed since") {
		t.Errorf("nothing is said of the changed line:\n%s", text(p, dir))
	}
	apply(t, p)
	want := strings.Replace(before[conf], "auto_failback = yes", "auto_failback = off # mine", 1) + "port = 9999\n"
	if got := files(t, dir)[conf]; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := read(t, filepath.Join(dir, "failover.sh")); got != "#!/bin/sh\n# mine\n" {
		t.Errorf("somebody's script was replaced: %q", got)
	}
}

// TestReverse holds that hunks are found again wherever they are now.
func TestReverse(t *testing.T) {
	for name, c := range map[string]struct{ before, after, now, want string }{
		"untouched":               {"a\nb\n", "a\nB\nc\n", "a\nB\nc\n", "a\nb\n"},
		"no line feed at the end": {"a\nb", "a\nb\nc\n", "a\nb\nc\n", "a\nb"},
		"a line above":            {"a\nb\n", "a\nB\n", "new\na\nB\n", "new\na\nb\n"},
		"another added line":      {"a\n", "a\nb\nc\n", "a\nb\nmine\nc\n", "a\nmine\n"},
		"one of two was changed":  {"a\nb\n", "A\nB\n", "A\nmine\n", "a\nmine\n"},
		"already put back":        {"a\n", "b\n", "a\n", "a\n"},
		"all of it was added":     {"", "a\nb\n", "a\nb\n", ""},
		"added and then more":     {"", "a\nb\n", "a\nb\nmine\n", "mine\n"},
	} {
		t.Run(name, func(t *testing.T) {
			change := &fileChange{Before: checksum(c.before), After: checksum(c.after), Hunks: hunks(c.before, c.after)}
			if got, _ := reverse(c.now, change, c.before); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestForgedRecord holds that root does not put back what another user may have written.
func TestForgedRecord(t *testing.T) {
	dir, _ := applied(t)
	record := recordPath(filepath.Join(dir, "repool.yaml"))
	if err := os.Chmod(record, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Undo(t.Context(), options(t, dir), false); err == nil || !strings.Contains(err.Error(), record) {
		t.Errorf("got %v, want a refusal", err)
	}
}

// TestRecordHoldsNoSecret holds that passwords and their hashes are not in it.
func TestRecordHoldsNoSecret(t *testing.T) {
	dir, _ := applied(t)
	record := read(t, recordPath(filepath.Join(dir, "repool.yaml")))
	line := strings.TrimSpace(read(t, filepath.Join(dir, "pcppass")))
	if password := line[strings.LastIndexByte(line, ':')+1:]; len(password) < 20 || strings.Contains(record, password) {
		t.Errorf("the password %q is in the record", password)
	}
}
