package pcp

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// passFile is a copy of testdata/pcppass with the mode it must have.
func passFile(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("testdata/pcppass")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pcppass")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLookupPassword(t *testing.T) {
	t.Parallel()
	file := passFile(t)
	for _, tc := range []struct {
		name, host, port, user string
		unixDefault            bool
		want                   string
	}{
		{"first line of two", "10.0.0.1", "9898", "admin", false, "first"},
		{"socket in the default directory", "/var/run/postgresql", "9898", "admin", true, "by socket"},
		{"no host", "", "9898", "admin", false, "by socket"},
		{"socket in another directory", "/run/pool", "9898", "admin", false, "by directory"},
		{"TCP to localhost", "localhost", "9898", "admin", false, "by socket"},
		{"escapes", "fe80::1", "9898", "admin", false, `colons: and \ backslash`},
		{"any port", "10.0.0.2", "77", "who:ever", false, "any port"},
		{"any host and user", "elsewhere", "9898", "nobody", false, "everybody"},
		{"an escaped asterisk is only an asterisk", "*", "1", "literal", false, "star"},
		{"an escaped asterisk does not match", "x", "1", "literal", false, ""},
		{"a line with too few fields", "short", "1", "line", false, ""},
		{"no line", "10.0.0.1", "9899", "admin", false, ""},
		{"a comment", "# host", "port", "user", false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := LookupPassword(file, tc.host, tc.port, tc.user, tc.unixDefault)
			if got != tc.want || errors.Is(err, ErrNoPassword) != (tc.want == "") {
				t.Errorf("got %q, %v, expected %q", got, err, tc.want)
			}
		})
	}
}

func TestPassFileNotUsed(t *testing.T) {
	t.Parallel()
	file := passFile(t)
	for _, mode := range []os.FileMode{0o640, 0o604, 0o610, 0o601} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if p, err := LookupPassword(file, "10.0.0.1", "9898", "admin", false); p != "" || !errors.Is(err, ErrNoPassword) {
			t.Errorf("mode %o: got %q, %v", mode, p, err)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"", dir, filepath.Join(dir, "missing")} {
		if p, err := LookupPassword(name, "10.0.0.1", "9898", "admin", false); p != "" || !errors.Is(err, ErrNoPassword) {
			t.Errorf("%q: got %q, %v", name, p, err)
		}
	}
}

func TestDefaultPassFile(t *testing.T) {
	t.Setenv("HOME", "/home/joe")
	t.Setenv("PCPPASSFILE", "/etc/pool/pass")
	if got := DefaultPassFile(); got != "/etc/pool/pass" {
		t.Errorf("got %s", got)
	}
	t.Setenv("PCPPASSFILE", "")
	if got := DefaultPassFile(); got != "/home/joe/.pcppass" {
		t.Errorf("got %s", got)
	}
	t.Setenv("HOME", "")
	if got := DefaultPassFile(); got != "" {
		t.Errorf("got %s", got)
	}
}
