package pgpoolconf

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// edit is a list of settings, name and value in turn.
type edit []string

func (e edit) apply(t testing.TB, ed *Editor) {
	t.Helper()
	for i := 0; i < len(e); i += 2 {
		if err := ed.Set(e[i], e[i+1]); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEditOfASample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/edit/sample.conf")
	if err != nil {
		t.Fatal(err)
	}
	f, err := situation{text: string(text),
		files: map[string]string{"hooks.conf": "failback_command = '/bin/true'\n"}}.load(t)
	if err != nil {
		t.Fatal(err)
	}
	all := edit{
		"port", "9999", "health_check_period", "5", "failover_command", `/usr/bin/repool hook failover "%h"`,
		"sr_check_period", "2", "sr_check_user", "pgpool", "auto_failback", "off", "search_primary_node_timeout", "10 s",
		"failback_command", "/usr/bin/repool hook failback", "follow_primary_command", "/usr/bin/repool hook follow-primary",
		"resync_command", "", "detach_false_primary", "on", "backend_application_name0", "node0", "backend_weight0", "1.5",
	}
	ed := f.Edit()
	all.apply(t, ed)
	var got strings.Builder
	for _, s := range ed.File().sources {
		got.WriteString("-- " + filepath.Base(s.path) + " --\n" + s.text())
	}
	golden(t, "testdata/edit/sample.golden", got.String())

	changes := len(ed.Changes())
	all.apply(t, ed)
	if n := len(ed.Changes()); n != changes {
		t.Errorf("a second time makes %d more changes: %+v", n-changes, ed.Changes()[changes:])
	}
	if f.sources[0].text() != string(text) {
		t.Error("the edited File changed")
	}
}

func TestEdit(t *testing.T) {
	t.Parallel()
	const marked = "\n" + Marker + "\n"
	for _, c := range []struct {
		name, text string
		edit       edit
		want       string
	}{
		{"empty file", "", edit{"x", "1"}, Marker + "\nx = '1'\n"},
		{"no line end at the end", "y = 1", edit{"x", "a b"}, "y = 1\n" + marked + "x = 'a b'\n"},
		{"two new settings", "y = 1\n", edit{"x", "1", "port", "1"}, "y = 1\n" + marked + "x = '1'\nport = 1\n"},
		{"block in the middle", marked + "x = '1'\n# mine\ny = 2\n", edit{"z", "3"},
			marked + "x = '1'\nz = '3'\n# mine\ny = 2\n"},
		{"block without settings", "y = 1\n" + Marker + "\n", edit{"x", "1"}, "y = 1\n" + Marker + "\nx = '1'\n"},
		{"block at an end without line end", Marker + "\nx = 1", edit{"z", "3"}, Marker + "\nx = 1\nz = '3'\n"},
		{"the last of several", "x = 1\nx = 2\n", edit{"x", "3"}, "x = 1\nx = 3\n"},
		{"number stays bare", "x = 1 # c\n", edit{"x", "5min"}, "x = 5min # c\n"},
		{"number becomes text", "x = 1 # c\n", edit{"x", "a b"}, "x = 'a b' # c\n"},
		{"quotes stay", "x = 'on'\n", edit{"x", "off"}, "x = 'off'\n"},
		{"same value in other form", "x = 'on'\ny = 1", edit{"x", "on"}, "x = 'on'\ny = 1"},
		{"no equals sign", "x 'a' y 'b'\n", edit{"x", "c"}, "x 'c' y 'b'\n"},
		{"no blank before the next name", "x='a'y='b'\n", edit{"x", "c"}, "x='c' y='b'\n"},
		{"comment right behind", "x=5#c\n", edit{"x", "6"}, "x=6#c\n"},
		{"index in another form", "backend_weight01 = 1\n", edit{"backend_weight1", "2"}, "backend_weight01 = 2\n"},
		{"missing value", "x =\ny = 1\n", edit{"x", "a"}, "x = 'a'\ny = 1\n"},
		{"missing value before a comment", "x = # c\n", edit{"x", "a"}, "x = 'a' # c\n"},
		{"missing value at the end", "x", edit{"x", "a"}, "x 'a'"},
		{"missing value that was meant to be empty", "x =", edit{"x", ""}, "x = ''"},
		{"path without quotes", "x = /tmp # c\n", edit{"x", "/run"}, "x = '/run' # c\n"},
		{"quote not closed", "x = 'tmp\n", edit{"x", "/run"}, "x = '/run'\n"},
		{"backslash and quote", "x = 'a'\n", edit{"x", `echo \'%h\'`}, `x = 'echo \'%h\''` + "\n"},
		{"carriage returns", "x = 1\r\ny = 2\r\n", edit{"x", "3"}, "x = 3\r\ny = 2\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ed := parseText(t, c.text).Edit()
			c.edit.apply(t, ed)
			if diff := cmp.Diff(c.want, ed.File().sources[0].text()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEditRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, setting, value, want string }{
		{"dotted name", "", "a.b", "1", "set a.b: not the name of a setting"},
		{"include", "", "include", "x", "set include: not the name of a setting"},
		{"index missing", "", "backend_port", "1", "set backend_port: backend_port needs an index"},
		{"several lines", "", "x", "a\nb", "set x: pgpool.conf cannot hold a value of several lines; call a script"},
		{"single quote", "", "x", "it's", "set x: pgpool.conf cannot hold a value with a single quote; use double quotes " +
			"or call a script"},
		{"backslash at the end before another quote", "x = 'a' # it's\n", "x", `a\`,
			"set x: the rest of its line does not let the value stand; put the setting on a line of its own"},
		{"unclosed quote over several words", "x = 'a b c\n", "x", "d",
			"set x: p.conf:1: a would change with it; put each setting on a line of its own"},
		{"setting without value at the end", "y", "x", "1",
			"set x: p.conf:1: y would change with it; put each setting on a line of its own"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ed := parseText(t, c.text).Edit()
			err := ed.Set(c.setting, c.value)
			if err == nil || err.Error() != c.want {
				t.Errorf("error is %v\nwant     %s", err, c.want)
			}
			if got := ed.File().sources[0].text(); got != c.text || len(ed.Changes()) > 0 {
				t.Errorf("text is %q although the edit was refused", got)
			}
		})
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	ed := parseText(t, "\nport = 1234\n").Edit()
	edit{"port", "9999", "x", "1", "port", "9999"}.apply(t, ed)
	want := []Change{
		{Name: "port", File: "p.conf", Line: 2, Old: "1234", New: "9999"},
		{Name: "x", File: "p.conf", Line: 5, New: "1", Added: true},
	}
	if diff := cmp.Diff(want, ed.Changes()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for i, want := range []string{"p.conf:2: port = '9999', was '1234'", "p.conf:5: x = '1' added"} {
		if got := ed.Changes()[i].String(); got != want {
			t.Errorf("prints as %s, want %s", got, want)
		}
	}
	if got := (Change{Name: "sr_check_password", Old: "secret", New: "secret"}).String(); strings.Contains(got, "secret") {
		t.Errorf("shows a password: %s", got)
	}
}

// editor loads a main file with an included one from disk.
func editor(t *testing.T) (ed *Editor, dir string) {
	t.Helper()
	dir = t.TempDir()
	situation{text: "port = 1\ninclude 'b.conf'\n", files: map[string]string{"b.conf": "x = 'a'\n"}}.write(t, dir)
	f, err := Load(filepath.Join(dir, "main.conf"))
	if err != nil {
		t.Fatal(err)
	}
	return f.Edit(), dir
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[entry.Name()] = string(text)
	}
	return out
}

func TestWriteKeepsABackup(t *testing.T) {
	t.Parallel()
	ed, dir := editor(t)
	path := filepath.Join(dir, "b.conf")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	owner := os.Getuid()
	if owner == 0 { // only root can give a file away
		owner = 65534
	}
	if err := os.Chown(path, owner, -1); err != nil {
		t.Fatal(err)
	}
	edit{"x", "b"}.apply(t, ed)
	done, err := ed.Write(".before")
	if err != nil || len(done) != 1 || filepath.Base(done[0].Path) != "b.conf" ||
		filepath.Base(done[0].Backup) != "b.conf.before" {
		t.Fatalf("wrote %+v, %v", done, err)
	}
	want := map[string]string{"main.conf": "port = 1\ninclude 'b.conf'\n", "b.conf": "x = 'b'\n",
		"b.conf.before": "x = 'a'\n"}
	if diff := cmp.Diff(want, contents(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	for _, name := range []string{"b.conf", "b.conf.before"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; info.Mode() != 0o640 || int(uid) != owner {
			t.Errorf("%s has mode %v and owner %d", name, info.Mode(), uid)
		}
	}
	edit{"x", "b"}.apply(t, ed)
	if done, err := ed.Write(".again"); err != nil || len(done) != 0 {
		t.Errorf("second write: %+v, %v", done, err)
	}
}

func TestWriteRefuses(t *testing.T) {
	t.Parallel()
	t.Run("file that changed meanwhile", func(t *testing.T) {
		ed, dir := editor(t)
		edit{"port", "2"}.apply(t, ed)
		if err := os.WriteFile(filepath.Join(dir, "main.conf"), []byte("port = 3\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ed.Write(".before"); !errors.Is(err, ErrChanged) {
			t.Errorf("error is %v", err)
		}
		if got := contents(t, dir); got["main.conf"] != "port = 3\n" || len(got) != 2 {
			t.Errorf("files are %q", got)
		}
	})
	t.Run("backup that is there already", func(t *testing.T) {
		ed, dir := editor(t)
		edit{"port", "2"}.apply(t, ed)
		if err := os.WriteFile(filepath.Join(dir, "main.conf.before"), []byte("precious"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ed.Write(".before"); !errors.Is(err, os.ErrExist) {
			t.Errorf("error is %v", err)
		}
		if got := contents(t, dir); got["main.conf.before"] != "precious" ||
			got["main.conf"] != "port = 1\ninclude 'b.conf'\n" {
			t.Errorf("files are %q", got)
		}
	})
	t.Run("suffix with a path", func(t *testing.T) {
		ed, _ := editor(t)
		for _, suffix := range []string{"", "/x", "/../x"} {
			if _, err := ed.Write(suffix); err == nil {
				t.Errorf("suffix %q is accepted", suffix)
			}
		}
	})
}

func TestWriteFollowsSymbolicLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	real := filepath.Join(dir, "real.conf")
	link := filepath.Join(dir, "link.conf")
	if err := errors.Join(os.WriteFile(real, []byte("x = 1\n"), 0o600), os.Symlink("real.conf", link)); err != nil {
		t.Fatal(err)
	}
	f, err := Load(link)
	if err != nil {
		t.Fatal(err)
	}
	ed := f.Edit()
	edit{"x", "2"}.apply(t, ed)
	if _, err := ed.Write(".before"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v %v", info, err)
	}
	if text, err := os.ReadFile(real); err != nil || string(text) != "x = 2\n" {
		t.Errorf("file is %q, %v", text, err)
	}
}

func TestEditsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f, err := Parse("p.conf", rapid.Custom(anyText).Draw(t, "text"))
		if err != nil {
			return
		}
		name := rapid.SampledFrom([]string{"x", "y_1", "port", "z"}).Draw(t, "name")
		checkSet(t, f, name, rapid.StringMatching(`[a-z0-9 .'\\/#%"-]{0,6}`).Draw(t, "value"))
	})
}

// checkSet makes one edit and, unless it is refused, checks what holds of any.
func checkSet(t interface{ Fatalf(string, ...any) }, f *File, name, value string) {
	ed := f.Edit()
	if err := ed.Set(name, value); err != nil {
		return
	}
	text := ed.File().sources[0].text()
	again, err := parse("p.conf", text, f.read)
	if err != nil {
		t.Fatalf("the edited text %q does not parse: %v", text, err)
	}
	if set, ok := again.Lookup(name); !ok || set.Value != value {
		t.Fatalf("%q reads back as %+v, want %q", text, set, value)
	}
	for _, old := range f.settings {
		set, ok := again.Lookup(old.Name)
		if want, _ := f.Lookup(old.Name); !sameName(old.Name, name) && old.Odd == "" && (!ok || set.Value != want.Value) {
			t.Fatalf("%q: %s was %q and is %q", text, old.Name, want.Value, set.Value)
		}
	}
	twice := again.Edit()
	if err := twice.Set(name, value); err != nil || len(twice.Changes()) > 0 {
		t.Fatalf("%q changes again: %+v %v", text, twice.Changes(), err)
	}
}

func sameName(a, b string) bool {
	a, _ = canonical(a)
	b, _ = canonical(b)
	return a == b
}
