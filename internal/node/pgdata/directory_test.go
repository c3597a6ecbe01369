package pgdata

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/repool/repool/internal/core/topology"
)

// tree makes files (with their text) and folders (names ending in a slash).
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if name[len(name)-1] == '/' {
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestHistories(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		"pg_wal/00000003.history":     "1\t0/3000000\tno recovery target specified\n2\t0/5000060\tbefore x\n",
		"pg_wal/00000002.history":     "1\t0/3000000\tno recovery target specified\n",
		"pg_wal/0000000a.history":     "lower case is no history file",
		"pg_wal/00000004.history.tmp": "nor is this",
	})
	all, err := Histories(dir)
	if err != nil || len(all) != 2 {
		t.Fatalf("got %v, %v", all, err)
	}
	want(t, "second", all[1].Text(), "1@0/3000000 → 2@0/5000060 → 3")
	one, err := ReadHistory(dir, 1)
	if err != nil || one.Text() != "1" {
		t.Errorf("timeline 1: got %v, %v", one, err)
	}
	if _, err := ReadHistory(dir, 7); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such file: got %v", err)
	}
	for what, text := range map[string]string{"empty": "", "zeros": "\x00\x00", "no ancestor": "# nothing\n",
		"no LSN": "1 yesterday\n"} {
		dir := tree(t, map[string]string{"pg_wal/00000002.history": text})
		var corrupt *CorruptError
		if _, err := Histories(dir); !errors.As(err, &corrupt) {
			t.Errorf("%s: got error %v, want a CorruptError", what, err)
		}
	}
}

// A standby fetches history files before any WAL; only WAL puts it on a line.
func TestTheOwnHistoryNeedsWALAndNotOnlyAFile(t *testing.T) {
	t.Parallel()
	control := controlImage(1300)
	order.PutUint32(control[48:], 1)
	order.PutUint32(control[144:], 0)
	order.PutUint32(control[228:], synthSeg)
	dir := tree(t, map[string]string{
		"global/pg_control":       string(sealControl(control)),
		"pg_wal/00000002.history": "1\t0/200100\tx\n",
		"pg_wal/00000009.history": "8\t0/200100\tof another line\n",
	})
	own := func(text string) {
		t.Helper()
		h, err := OwnHistory(dir)
		if err != nil || h.Text() != text {
			t.Errorf("own history: got %s (%v), want %s", h.Text(), err, text)
		}
	}
	own("1")
	s := newSynth(15)
	s.noop(0x100 - longPageHeader)
	s.store(t, filepath.Join(dir, "pg_wal"), 1)
	own("1")
	s.tli = 2
	s.noop(64)
	s.store(t, filepath.Join(dir, "pg_wal"), 2)
	own("1@0/200100 → 2")
}

func TestMajorVersion(t *testing.T) {
	t.Parallel()
	for text, good := range map[string]int{"15\n": 15, "18": 18, "9.6\n": 0, "": 0, "x": 0} {
		got, err := MajorVersion(tree(t, map[string]string{"PG_VERSION": text}))
		if got != good || (err == nil) != (good > 0) {
			t.Errorf("%q: got %d, %v", text, got, err)
		}
	}
}

func TestSignals(t *testing.T) {
	t.Parallel()
	s, err := Signals(tree(t, map[string]string{"recovery.signal": "", "backup_label": "x", "tablespace_map": ""}))
	if err != nil || s != (SignalFiles{Recovery: true, BackupLabel: true, TablespaceMap: true}) {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestPostmasterPID(t *testing.T) {
	t.Parallel()
	full := "4711\n/data\n1700000000\n5433\n/run/postgresql\nlocalhost\n  1234  5678\nready   \n"
	p, err := parsePostmasterPID("postmaster.pid", []byte(full))
	if err != nil || p.PID != 4711 || p.Dir != "/data" || p.Started.Unix() != 1700000000 || p.Port != 5433 ||
		p.SocketDir != "/run/postgresql" || p.ListenAddr != "localhost" || p.ShmemKey != "1234  5678" ||
		p.Status != PostmasterReady {
		t.Errorf("full file: got %+v, %v", p, err)
	}
	p, err = parsePostmasterPID("postmaster.pid", []byte("-77\n/data\n"))
	if err != nil || p.PID != 77 || !p.Standalone {
		t.Errorf("single-user server, half written: got %+v, %v", p, err)
	}
	for _, text := range []string{"", "x\n", "0\n", "-2147483648\n", "99999999999\n", "1\n/d\nnoon\n",
		"1\n/d\n1\n70000\n"} {
		var corrupt *CorruptError
		if _, err := parsePostmasterPID("postmaster.pid", []byte(text)); !errors.As(err, &corrupt) {
			t.Errorf("%q: got error %v, want a CorruptError", text, err)
		}
	}
	state, _, err := ServerState(t.TempDir())
	if err != nil || state != topology.ServerStopped {
		t.Errorf("no lock file: got %q, %v", state, err)
	}
}
