package pgpoolconf

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file of testdata, or rewrites it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// odd are the settings that Pgpool-II takes for something else than was meant.
func odd(f *File) []Setting {
	var out []Setting
	for _, set := range f.settings {
		if set.Odd != "" {
			out = append(out, set)
		}
	}
	return out
}

// TestPool reads each file of testdata/pool and compares what it finds.
func TestPool(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/pool/*.conf")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			f, err := Parse(filepath.Base(path), string(text))
			if err != nil {
				t.Fatal(err)
			}
			version, _ := ParseVersion(path) // zero for most: the default
			golden(t, strings.TrimSuffix(path, ".conf")+".golden", describe(t, f, version))
		})
	}
}

func describe(t *testing.T, f *File, v Version) string {
	t.Helper()
	var b strings.Builder
	pool, err := f.Pool(v)
	text, jsonErr := json.MarshalIndent(pool, "", "  ")
	if jsonErr != nil {
		t.Fatal(jsonErr)
	}
	fmt.Fprintf(&b, "%s\n", text)
	if err != nil {
		fmt.Fprintf(&b, "\nerrors\n%v\n", err)
	}
	for _, err := range f.Rejected(v) {
		fmt.Fprintf(&b, "rejected: %v\n", err)
	}
	for _, set := range odd(f) {
		fmt.Fprintf(&b, "odd: line %d: %s: %s\n", set.Line, set.Name, set.Odd)
	}
	for _, u := range f.Unknown(v) {
		fmt.Fprintf(&b, "unknown: line %d: %s, meant %q\n", u.Line, u.Name, u.Suggestion)
	}
	return b.String()
}

func TestDefaultsByVersion(t *testing.T) {
	t.Parallel()
	f := parseText(t, "backend_port0 = 5432\nlogdir = '/log'\nwork_dir = '/work'")
	for version, want := range map[Version]string{
		{4, 2, 9}:   "shutdown true, user nobody, sr 0s, database template1, in /log",
		{4, 3, 8}:   "shutdown true, user nobody, sr 10s, database template1, in /log",
		{4, 3, 9}:   "shutdown false, user nobody, sr 10s, database template1, in /log",
		{4, 4, 5}:   "shutdown true, user nobody, sr 10s, database template1, in /log",
		{4, 4, 6}:   "shutdown false, user nobody, sr 10s, database template1, in /log",
		{4, 5, 0}:   "shutdown true, user nobody, sr 10s, database template1, in /log",
		{4, 5, 1}:   "shutdown false, user nobody, sr 10s, database template1, in /log",
		{4, 6, 0}:   "shutdown false, user , sr 10s, database template1, in /log",
		{4, 7, 3}:   "shutdown false, user , sr 10s, database postgres, in /work",
		(Version{}): "shutdown true, user nobody, sr 10s, database template1, in /work",
	} {
		p, err := f.Pool(version)
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("shutdown %v, user %s, sr %v, database %s, in %s", p.Failover.OnShutdown,
			p.Backends[0].HealthCheck.User, p.SRCheck.Period, p.Recovery.Database, p.WorkDir)
		if got != want {
			t.Errorf("%v: %s\nwant %s", version, got, want)
		}
	}
}

// TestWorkDirOfAnyVersion: without a version, whichever name is set counts.
func TestWorkDirOfAnyVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "/var/log/postgresql", "logdir = '/log'": "/log", "work_dir = '/work'": "/work",
		"work_dir = '/work'\nlogdir = '/log'": "/log",
	} {
		if p, err := parseText(t, text).Pool(Version{}); err != nil || p.WorkDir != want {
			t.Errorf("%q: %s, %v", text, p.WorkDir, err)
		}
	}
}

func TestBackends(t *testing.T) {
	t.Parallel()
	p, err := parseText(t, "backend_hostname0 = 'a' backend_port0 = 5432 backend_port2 = 5433").Pool(Version{})
	if err != nil || len(p.Backends) != 3 {
		t.Fatalf("%+v %v", p.Backends, err)
	}
	for id, unused := range []bool{false, true, false} {
		if b := p.Backends[id]; b.ID != id || b.Unused() != unused || b.Flags.DisallowToFailover {
			t.Errorf("backend %d: %+v", id, b)
		}
	}
	if p, err := parseText(t, "").Pool(Version{}); err != nil || len(p.Backends) != 0 {
		t.Errorf("empty file: %+v %v", p.Backends, err)
	}
}
