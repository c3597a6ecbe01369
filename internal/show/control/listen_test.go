package control

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSocketIsPrivateAndCleanedUp(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "run")
	path := filepath.Join(dir, "repool.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("socket: %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("its directory: %v, %v", info.Mode(), err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another process is already listening") {
		t.Errorf("a live socket is taken away: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestCloseLeavesTheNextOnesSocket: an old controller that ends late must not
// take the socket of the one that has taken its place.
func TestCloseLeavesTheNextOnesSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	old, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	next, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	_ = old.Close()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the new socket is gone: %v", err)
	}
}

func TestListenTakesNobodysFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(path, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("listen: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "data" {
		t.Errorf("the file is gone: %v", err)
	}
	if _, err := Listen("/" + strings.Repeat("x", 101)); err == nil ||
		!strings.Contains(err.Error(), "controller.socket") {
		t.Errorf("a path that is too long: %v", err)
	}
}

// TestLongDirectory: the private directory in between must not make the name
// longer than a socket's may be.
func TestLongDirectory(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("/tmp", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, strings.Repeat("d", 95-len(dir)), "s")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeController{}
	if err := serveOn(t, l, NewHandler(f)).Look(t.Context(), "x"); err != nil {
		t.Error(err)
	}
}
