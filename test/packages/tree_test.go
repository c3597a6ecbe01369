package packages

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// tree is the root directory of a machine with a Debian release; what a test changes
// is gone after it.
type tree string

// newTree makes one. The packages are not installed but lie where apt finds them, so
// that a test installs them without a network.
func newTree(t *testing.T, release string, packages ...string) tree {
	t.Helper()
	base := cachedTree(t, release, packages)
	dir := t.TempDir()
	for _, sub := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(dir, "root")
	mount(t, "-t", "overlay", "overlay", "-o", fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", base,
		filepath.Join(dir, "upper"), filepath.Join(dir, "work")), root)
	// apt wants a terminal of its own for what it runs.
	mount(t, "-t", "proc", "proc", filepath.Join(root, "proc"))
	mount(t, "--bind", "/dev/pts", filepath.Join(root, "dev/pts"))
	return tree(root)
}

// mount mounts on the last argument until the end of the test.
func mount(t *testing.T, args ...string) {
	t.Helper()
	output(t, "mount", args...)
	at := args[len(args)-1]
	t.Cleanup(func() {
		if err := syscall.Unmount(at, 0); err != nil {
			t.Errorf("unmount %s: %v", at, err)
		}
	})
}

// cachedTree is the unchanged tree. It is named for what is in it, and made once.
func cachedTree(t *testing.T, release string, packages []string) string {
	t.Helper()
	cache := os.Getenv("REPOOL_TREES")
	if cache == "" {
		cache = "/var/cache/repool-trees"
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("minbase, downloaded: " + strings.Join(packages, " ")))
	dir := filepath.Join(cache, fmt.Sprintf("%s-%x", release, sum[:6]))
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	part := dir + ".part"
	if err := os.RemoveAll(part); err != nil {
		t.Fatal(err)
	}
	output(t, "debootstrap", "--variant=minbase", release, part, "http://deb.debian.org/debian")
	if len(packages) > 0 {
		output(t, "chroot", append([]string{part, "apt-get", "install", "-y", "-q", "--no-install-recommends",
			"--download-only"}, packages...)...)
	}
	policy := filepath.Join(part, "usr/sbin/policy-rc.d")
	if err := os.WriteFile(policy, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(part, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// command is a command line of the shell inside.
func (r tree) command(t *testing.T, line string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), "chroot", string(r), "/bin/sh", "-ec", line)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", "HOME=/root"}
	return cmd
}

// run runs one that must succeed, and returns what it printed.
func (r tree) run(t *testing.T, line string) string {
	t.Helper()
	out, err := r.command(t, line).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return strings.TrimSpace(string(out))
}

// copyIn puts a file into the tree's /root.
func (r tree) copyIn(t *testing.T, file string) string {
	t.Helper()
	output(t, "cp", file, filepath.Join(string(r), "root"))
	return "/root/" + filepath.Base(file)
}

// write writes a file of the tree.
func (r tree) write(t *testing.T, path, text string) {
	t.Helper()
	whole := filepath.Join(string(r), path)
	if err := os.MkdirAll(filepath.Dir(whole), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(whole, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// missing fails the test if a path of the tree exists.
func (r tree) missing(t *testing.T, paths ...string) {
	t.Helper()
	for _, p := range paths {
		if _, err := os.Lstat(filepath.Join(string(r), p)); err == nil {
			t.Errorf("%s is still there", p)
		}
	}
}
