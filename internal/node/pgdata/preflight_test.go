package pgdata

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// Hazards 17, 18 and 48 of the design.
func TestOddFilesAreFoundBeforeTheyStopAResync(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		"base/1/1259": "x", "server.key": "x", "secret": "x", "wal/.wal-g/": "", "pg_tblspc/": "", "space/PG_15/": "",
	})
	at := func(name string) string { return filepath.Join(dir, name) }
	data := filepath.Join(dir, "data")
	if err := errors.Join(os.Mkdir(data, 0o700), os.Rename(at("base"), at("data/base")),
		os.Rename(at("server.key"), at("data/server.key")),
		os.Rename(at("secret"), at("data/secret")), os.Rename(at("pg_tblspc"), at("data/pg_tblspc")),
		os.Chmod(at("data/server.key"), 0o400), os.Chmod(at("data/secret"), 0), os.Chmod(at("wal/.wal-g"), 0o500),
		os.Symlink(at("wal"), at("data/pg_wal")), os.Symlink(at("space"), at("data/pg_tblspc/16390")),
		os.Symlink("/etc/postgresql", at("data/conf.d")), os.Symlink("/etc/postgresql", at("data/base/2")),
		syscall.Mkfifo(at("data/pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", at("data/.s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	expect := []string{
		".s.PGSQL.5432: socket", "base/2: symlink (to /etc/postgresql)", "pg_wal/.wal-g: read-only (mode -r-x------)",
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(at("data/base/1/1259"), 12345, 0); err != nil {
			t.Fatal(err)
		}
		expect = append(expect, "base/1/1259: foreign owner (user id 12345, the data directory has 0)")
	}
	found, err := OddFiles(data)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range found {
		got = append(got, o.String())
	}
	slices.Sort(got)
	slices.Sort(expect)
	want(t, "odd files", fmt.Sprintf("%q", got), fmt.Sprintf("%q", expect))
	spaces, err := Tablespaces(data)
	want(t, "tablespaces", fmt.Sprint(spaces, err), fmt.Sprintf("[{16390 %s}] <nil>", at("space")))
}

func TestMountPoints(t *testing.T) {
	t.Parallel()
	for dir, mounted := range map[string]bool{"/proc": true, "/": true, t.TempDir(): false} {
		got, err := IsMountPoint(dir)
		if got != mounted || err != nil {
			t.Errorf("%s: got %v, %v", dir, got, err)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/proc", link); err != nil {
		t.Fatal(err)
	}
	if got, err := IsMountPoint(link); !got || err != nil {
		t.Errorf("link to /proc: got %v, %v", got, err)
	}
	if _, err := IsMountPoint("/no/such/folder"); err == nil {
		t.Error("no error for a folder that is not there")
	}
	// A mount point inside the tree is listed and not entered.
	o := oddWalk{mounts: map[string]bool{}}
	dir := tree(t, map[string]string{"base/5/1": "x", "pg_stat_tmp/x": "x"})
	st, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	o.owner, o.dev = ownerOf(st), deviceOf(st)
	o.mounts[filepath.Join(dir, "pg_stat_tmp")] = true
	if err := o.walk(dir, ""); err != nil || fmt.Sprint(o.found) != "[pg_stat_tmp: mount point]" {
		t.Errorf("mount point inside: got %v, %v", o.found, err)
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		"data/base/1/1": "12345", "data/PG_VERSION": "15\n", "data/pg_tblspc/": "", "wal/0001": "1234567",
		"wal/archive_status/x": "", "space/1": "12",
	})
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.Symlink(at("wal"), at("data/pg_wal")), os.Symlink(at("space"), at("data/pg_tblspc/1")),
		os.Symlink(at("data"), at("link"))); err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{at("data"), at("link")} {
		size, err := Size(data)
		want(t, "size", fmt.Sprint(size, err), "10 <nil>")
		size, err = WALSize(data)
		want(t, "size of WAL", fmt.Sprint(size, err), "7 <nil>")
	}
	plain := tree(t, map[string]string{"a": "1234", "pg_wal/1": "123456"})
	size, err := Size(plain)
	want(t, "size with a plain pg_wal", fmt.Sprint(size, err), "4 <nil>")
	if _, err := Size(at("nothing")); err == nil {
		t.Error("no error for a folder that is not there")
	}
}
