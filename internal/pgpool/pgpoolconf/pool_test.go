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
	pool, err := f.PoolWith(Defaults{Version: v})
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
	for _, set := range f.Odd() {
		fmt.Fprintf(&b, "odd: line %d: %s: %s\n", set.Line, set.Name, set.Odd)
	}
	for _, u := range f.UnknownIn(v) {
		fmt.Fprintf(&b, "unknown: line %d: %s, meant %q\n", u.Line, u.Name, u.Suggestion)
	}
	return b.String()
}

func TestDefaultsByVersion(t *testing.T) {
	t.Parallel()
	f := parseText(t, "backend_port0 = 5432")
	for version, want := range map[Version]string{
		{4, 2, 9}:   "shutdown true, user nobody, sr 0s, quorum false, database template1",
		{4, 3, 8}:   "shutdown true, user nobody, sr 10s, quorum true, database template1",
		{4, 3, 9}:   "shutdown false, user nobody, sr 10s, quorum true, database template1",
		{4, 4, 5}:   "shutdown true, user nobody, sr 10s, quorum true, database template1",
		{4, 4, 6}:   "shutdown false, user nobody, sr 10s, quorum true, database template1",
		{4, 5, 0}:   "shutdown true, user nobody, sr 10s, quorum true, database template1",
		{4, 5, 1}:   "shutdown false, user nobody, sr 10s, quorum true, database template1",
		{4, 6, 0}:   "shutdown false, user , sr 10s, quorum true, database template1",
		{4, 7, 3}:   "shutdown false, user , sr 10s, quorum true, database postgres",
		(Version{}): "shutdown true, user nobody, sr 10s, quorum true, database template1",
	} {
		p, err := f.PoolWith(Defaults{Version: version})
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("shutdown %v, user %s, sr %v, quorum %v, database %s", p.Failover.OnNodeShutdown,
			p.Nodes[0].HealthCheck.User, p.SRCheck.Period, p.Watchdog.NeedQuorum, p.Recovery.Database)
		if got != want {
			t.Errorf("%v: %s\nwant %s", version, got, want)
		}
	}
	p, err := f.PoolWith(Defaults{SocketDir: "/tmp", WorkDir: "/tmp/w"})
	if err != nil || p.PCP.SocketDir != "/tmp" || p.SocketDir != "/tmp" || p.WorkDir != "/tmp/w" {
		t.Errorf("built from source: %+v %v", p, err)
	}
}

func TestNodes(t *testing.T) {
	t.Parallel()
	p, err := parseText(t, "backend_hostname0 = 'a' backend_port0 = 5432 backend_port2 = 5433").Pool()
	if err != nil || len(p.Nodes) != 3 {
		t.Fatalf("%+v %v", p.Nodes, err)
	}
	for id, want := range []struct{ unused, local bool }{{false, false}, {true, true}, {false, true}} {
		n := p.Nodes[id]
		if n.ID != id || n.Unused() != want.unused || n.Local() != want.local || !n.Flags.AllowToFailover() {
			t.Errorf("node %d: %+v", id, n)
		}
	}
	if p, err := parseText(t, "").Pool(); err != nil || len(p.Nodes) != 0 {
		t.Errorf("empty file: %+v %v", p.Nodes, err)
	}
}
