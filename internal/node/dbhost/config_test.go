package dbhost

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/postgres"
	"github.com/repool/repool/internal/node/resync"
)

// fakeNode is a node whose data directory is made of these files; no server.
func fakeNode(t *testing.T, files map[string]string) *node {
	t.Helper()
	n := &node{t: t, dir: filepath.Join(shortTempDir(t), "data"), port: 5999}
	for name, text := range files {
		writeFile(t, filepath.Join(n.dir, name), text)
	}
	h, err := New(Options{DataDir: n.dir, Port: n.port, Database: postgres.Login{User: "repool"},
		Replication: postgres.Login{User: "repl", Passfile: "/etc/repool/pgpass"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	n.Host = h
	return n
}

// Hazard 10: the node's own configuration survives a copy of another node's.
func TestOwnConfigurationComesBack(t *testing.T) {
	t.Parallel()
	own := map[string]string{
		"PG_VERSION": "15\n", "postgresql.conf": "port = 1\ninclude_dir = 'conf.d'\ninclude 'own.inc'\nssl_key_file = " +
			"'keys/my.key'\n",
		"postgresql.auto.conf": "work_mem = '1MB'\n", "pg_hba.conf": "own hba", "conf.d/10.conf": "port = 2\n", "own.inc": "",
		"keys/my.key": "secret", "recovery_1st_stage.sh": "#!/bin/sh\n", "base/1/1259": "data",
	}
	n := fakeNode(t, own)
	if err := n.SaveConfig(resync.Home); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"postgresql.conf": "port = 7\n", "postgresql.auto.conf": "",
		"pg_hba.conf":    "theirs",
		"conf.d/99.conf": "port = 8\n", "base/1/1259": "theirs"} {
		writeFile(t, filepath.Join(n.path(resync.New), name), text)
	}
	if err := n.RestoreConfig(resync.New); err != nil {
		t.Fatal(err)
	}
	for name, text := range own {
		if name == "PG_VERSION" || strings.HasPrefix(name, "base") {
			continue
		}
		if got := readFile(t, filepath.Join(n.path(resync.New), name)); got != text {
			t.Errorf("%s is %q, want %q", name, got, text)
		}
	}
	if _, err := os.Stat(filepath.Join(n.path(resync.New), "conf.d", "99.conf")); err == nil {
		t.Error("another node's file in conf.d counts")
	}
	if got := readFile(t, filepath.Join(n.path(resync.New), "base/1/1259")); got != "theirs" {
		t.Error("data was overwritten")
	}
	// What is in repair may be another node's by then: the saved copy stays.
	n.move(resync.New, resync.InRepair)
	writeFile(t, filepath.Join(n.path(resync.InRepair), "pg_hba.conf"), "theirs")
	if err := n.SaveConfig(resync.InRepair); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, filepath.Join(n.savedDir(), "pg_hba.conf")); got != "own hba" {
		t.Errorf("the saved copy became %q", got)
	}
}

func TestConfigurationThatCannotFitIsRefused(t *testing.T) {
	t.Parallel()
	n := fakeNode(t, nil)
	writeFile(t, filepath.Join(n.path(resync.New), "base/1"), "")
	wantCode(t, n.RestoreConfig(resync.New), codes.ConfigMissing)
	writeFile(t, filepath.Join(n.path(resync.New), "postgresql.conf"), "data_directory = '/srv/other'\n")
	wantCode(t, n.RestoreConfig(resync.New), codes.ConfigMissing, "/srv/other")
}

// Hazards 22, 33, 34.
func TestWriteStandbyLeavesNothingThatPromotes(t *testing.T) {
	t.Parallel()
	n := fakeNode(t, map[string]string{"PG_VERSION": "15\n", "recovery.signal": "",
		"postgresql.conf": "recovery_target_name = 'x'\npromote_trigger_file = '/tmp/go'\nprimary_conninfo = " +
			"'host=base sslmode=verify-full password=''p'''\n",
		"postgresql.auto.conf": "recovery_target = 'immediate'\nrecovery_target_lsn = '0/1'\nprimary_slot_name = " +
			"'a'\nprimary_slot_name = 'b'\n"})
	up := topology.Upstream{Host: "db 1", Port: 6000}
	if err := n.WriteStandby(resync.Home, up, "slot", "app"); err != nil {
		t.Fatal(err)
	}
	c, _, err := autoConf(n.dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"recovery_target_name": "", "promote_trigger_file": "",
		"primary_slot_name":        "slot",
		"recovery_target_timeline": "latest",
		"primary_conninfo": "host='db 1' port=6000 user=repl passfile=/etc/repool/pgpass application_name=app " +
			"sslmode=verify-full"} {
		if got, ok := c.Get(name); !ok || got != want {
			t.Errorf("%s = %q (%t), want %q", name, got, ok, want)
		}
	}
	if len(c) != 5 {
		t.Errorf("settings: %+v", c)
	}
	sig, err := pgdata.Signals(n.dir)
	if err != nil || !sig.Standby || sig.Recovery {
		t.Errorf("signal files %+v, %v", sig, err)
	}
	writeFile(t, filepath.Join(n.dir, "backup_label"), "START WAL LOCATION: 0/2000028\nBACKUP METHOD: pg_start_backup\n")
	wantCode(t, n.WriteStandby(resync.Home, up, "slot", "app"), codes.ConfigMissing, "backup_label")
	writeFile(t, filepath.Join(n.dir, "backup_label"), "BACKUP METHOD: streamed\n")
	if err := n.WriteStandby(resync.Home, up, "slot", "app"); err != nil {
		t.Error(err)
	}
}

func TestInspectSaysWhatItSees(t *testing.T) {
	t.Parallel()
	n := newNode(t, 3, setup{})
	look := func() topology.Inspection {
		t.Helper()
		in, err := n.Inspect(t.Context())
		if err != nil || !in.OK() {
			t.Fatalf("%+v, %v", in, err)
		}
		return in
	}
	appendFile(t, filepath.Join(n.dir, "postgresql.conf"), "include_dir = 'more'\nmax_connections = 50\n")
	writeFile(t, filepath.Join(n.dir, "more", "a.conf"), "max_wal_senders = 5\n")
	writeFile(t, filepath.Join(n.dir, "postgresql.auto.conf"),
		"primary_conninfo = 'host=h port=7'\nprimary_slot_name = s\nmax_connections = 60\n")
	n.until("sizes are not measured", func() bool { return look().DataBytes > 0 })
	in := look()
	if in.Dir != topology.DirPresent || in.Version != 15 || in.Control == nil || !in.Control.WasCleanShutdown ||
		in.Server != topology.ServerStopped ||
		in.History.TLI != 1 || in.UpstreamHost != "h" || in.UpstreamPort != 7 || in.UpstreamSlot != "s" ||
		in.DataBytes == 0 || in.FreeBytes == 0 ||
		in.HotStandby["max_connections"] != 60 || in.HotStandby["max_wal_senders"] != 5 ||
		in.HotStandby["max_worker_processes"] != 8 {
		t.Errorf("stopped node: %+v", in)
	}
	writeFile(t, filepath.Join(n.dir, "global", "pg_control"), strings.Repeat("x", 8192))
	if in := look(); in.Control != nil || len(in.Odd) == 0 || in.Dir != topology.DirPresent {
		t.Errorf("garbled control file: %+v", in)
	}
	_, err := n.Vault(t.Context(), topology.RunRequest{}, resync.Home, nil)
	wantCode(t, err, codes.VaultFailed, "pg_control")
	wantCode(t, n.Settle(t.Context()), codes.SettleFailed)
	n.move(resync.Home, resync.InRepair)
	if in := look(); in.Dir != topology.DirInRepair {
		t.Errorf("moved to the work directory: %+v", in)
	}
	if err := n.Remove(resync.InRepair); err != nil {
		t.Fatal(err)
	}
	if in := look(); in.Dir != topology.DirMissing {
		t.Errorf("removed: %+v", in)
	}
	writeFile(t, filepath.Join(n.dir, "notes.txt"), "")
	if in := look(); in.Dir != topology.DirForeign {
		t.Errorf("foreign: %+v", in)
	}
	if err := os.Chmod(n.dir, 0); err != nil {
		t.Fatal(err)
	}
	in, err = n.Inspect(t.Context())
	if err != nil || in.Err == "" {
		t.Errorf("unreadable: %+v, %v", in, err)
	}
	if err := os.Chmod(n.dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

// Hazard 32: a setting made right before a crash counts in the first look after
// it, or the node would be started with what keeps it from starting.
func TestInspectSeesANewSettingAtOnce(t *testing.T) {
	t.Parallel()
	n := fakeNode(t, map[string]string{"PG_VERSION": "15\n", "postgresql.conf": "max_connections = 60\n",
		"postgresql.auto.conf": ""})
	look := func() int {
		t.Helper()
		in, err := n.Inspect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return in.HotStandby["max_connections"]
	}
	if got := look(); got != 60 {
		t.Fatalf("max_connections is %d, want 60", got)
	}
	for i, file := range []string{"postgresql.conf", "postgresql.auto.conf"} {
		want := 20 - i
		path := filepath.Join(n.dir, file)
		writeFile(t, path, fmt.Sprintf("max_connections = %d\n", want))
		later := time.Now().Add(time.Duration(i+1) * time.Second) // whatever the clock's grain
		if err := os.Chtimes(path, later, later); err != nil {
			t.Fatal(err)
		}
		if got := look(); got != want {
			t.Errorf("max_connections is %d after a change of %s, want %d", got, file, want)
		}
	}
}

func TestMoveRefusesAnOccupiedPlace(t *testing.T) {
	t.Parallel()
	n := fakeNode(t, map[string]string{"PG_VERSION": "15\n"})
	if err := os.Mkdir(n.path(resync.InRepair), 0o700); err != nil {
		t.Fatal(err) // an empty folder is nothing
	}
	n.move(resync.Home, resync.InRepair)
	writeFile(t, filepath.Join(n.dir, "PG_VERSION"), "15\n")
	wantCode(t, n.Move(resync.Home, resync.InRepair), codes.Internal, "already")
}

func TestSymlinkedDataDirectoryIsMovedItself(t *testing.T) {
	t.Parallel()
	base := shortTempDir(t)
	writeFile(t, filepath.Join(base, "disk", "pg", "PG_VERSION"), "15\n")
	link := filepath.Join(base, "data")
	if err := os.Symlink("disk/pg", link); err != nil {
		t.Fatal(err)
	}
	for range 2 { // also while it is away
		h, err := New(Options{DataDir: link})
		if err != nil || h.DataDir() != filepath.Join(base, "disk", "pg") ||
			h.WorkDir() != filepath.Join(base, "disk", "pg.repool") {
			t.Fatalf("%q, %q, %v", h.DataDir(), h.WorkDir(), err)
		}
		if there, err := h.Exists(resync.Home); err != nil || !there {
			continue
		}
		if err := h.Move(resync.Home, resync.InRepair); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(link); err != nil {
		t.Error("the symlink itself was moved")
	}
}

func TestWhatCopyProgramsPrintIsUnderstood(t *testing.T) {
	t.Parallel()
	for out, code := range map[string]codes.Code{
		"pg_rewind: error: could not find previous WAL record at 0/3000060: could not open file":       codes.RewindFailed,
		"pg_rewind: error: target server needs to use either data checksums or \"wal_log_hints = on\"": codes.RewindRefused,
		"pg_rewind: fatal: could not write file \"x\": No space left on device":                        codes.NoSpace,
		"pg_basebackup: error: could not receive data from WAL stream: server closed the connection":   codes.UpstreamLost,
		"pg_rewind: error: connection to server at \"h\", port 1 failed: Connection refused":           codes.UpstreamLost,
		"ERROR:  permission denied for function pg_ls_dir":                                             codes.RewindRefused,
		"ERROR:  replication slot \"repool_node1\" is active for PID 12":                               codes.SlotFailed,
	} {
		wantCode(t, rewindError(codes.RewindFailed, "rewind", out, errors.New("exit status 1")), code, out)
	}
	var done, total uint64
	showProgress("  1024/2048 kB (50%), 0/1 tablespace", func(d, n uint64) { done, total = d, n })
	if done != 1<<20 || total != 2<<20 {
		t.Errorf("progress %d of %d", done, total)
	}
	for _, line := range []string{"", "18014398509481984/1 kB (1%)", "1/18014398509481984 kB (1%)", "-1/2 kB (1%)x"} {
		showProgress(line, func(d, n uint64) {
			if d>>10 > 2 || n>>10 > 2 {
				t.Errorf("%q is read as %d of %d", line, d, n)
			}
		})
	}
}
