package hook

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInstallShims(t *testing.T) {
	t.Parallel()
	dir, data := t.TempDir(), t.TempDir()
	old := filepath.Join(dir, "failover.sh")
	if err := os.WriteFile(old, []byte("#!/bin/sh\necho mine\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	planned, err := PlanShims([]string{dir}, []string{data}, "/usr/bin/repool", "")
	if err != nil || len(planned) != 8 {
		t.Fatalf("planned %v, %v", planned, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "resync.sh")); err == nil {
		t.Error("planning has written")
	}
	changes, err := InstallShims([]string{dir}, []string{data}, "/usr/bin/repool", "")
	if err != nil || len(changes) != 8 {
		t.Fatalf("%v, %v", changes, err)
	}
	if kept, err := os.ReadFile(changes[0].Backup); err != nil || string(kept) != "#!/bin/sh\necho mine\n" {
		t.Errorf("backup %q: %q, %v", changes[0].Backup, kept, err)
	}
	for _, path := range []string{old, filepath.Join(data, "recovery_1st_stage"),
		filepath.Join(data, "pgpool_remote_start")} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	if again, err := InstallShims([]string{dir}, []string{data}, "/usr/bin/repool", ""); err != nil || len(again) != 0 {
		t.Errorf("again: %v, %v", again, err)
	}
	// Another path: replaced, and a shim of ours needs no backup.
	moved, err := InstallShims([]string{dir}, nil, "/opt/repool", "")
	if err != nil || len(moved) != 3 || moved[0].Backup != "" {
		t.Errorf("moved: %v, %v", moved, err)
	}
	if _, err := InstallShims([]string{dir}, nil, "repool", ""); err == nil {
		t.Error("a relative path was accepted")
	}
	if _, err := InstallShims([]string{filepath.Join(dir, "none")}, nil, "/usr/bin/repool", ""); err == nil {
		t.Error("a directory that is not there was accepted")
	}
}

// The scripts must pass on empty and odd arguments as they are.
func TestShimsPassArgumentsOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	repool := filepath.Join(dir, "odd $name's repool")
	if err := os.WriteFile(repool, []byte("#!/bin/sh\nfor a in \"$@\"; do printf '<%s>' \"$a\"; done\n"),
		0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := InstallShims([]string{dir}, nil, repool, "/etc/a b.yaml"); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(dir, "failover.sh"), "0", "", "-1", "a b", "$x").Output()
	if want := "<hook><failover><--config></etc/a b.yaml><--><0><><-1><a b><$x>"; err != nil || string(out) != want {
		t.Errorf("%s, %v, want %s", out, err, want)
	}
}

// The copies in packaging/hooks are what setup installs for the Debian package.
func TestPackagedShims(t *testing.T) {
	t.Parallel()
	for _, s := range Shims("/usr/bin/repool", "") {
		got, err := os.ReadFile(filepath.Join("../../../packaging/hooks", s.Name))
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(s.Text, string(got)); diff != "" {
			t.Errorf("%s is out of date (-want +got):\n%s", s.Name, diff)
		}
		if !strings.HasPrefix(s.Text, "#!/bin/sh\n") {
			t.Errorf("%s is no script", s.Name)
		}
	}
}
