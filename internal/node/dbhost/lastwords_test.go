package dbhost

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

// TestServerThatCannotStartForAReasonOfItsOwn is hazard 59: a server that names its
// configuration, or what that needs on its host, as the reason is not one whose
// data are suspect. What is wrong with the data is still a failed start.
func TestServerThatCannotStartForAReasonOfItsOwn(t *testing.T) {
	t.Parallel()
	conf := func(line string) func(*testing.T, *node) {
		return func(t *testing.T, n *node) { appendFile(t, filepath.Join(n.dir, "postgresql.conf"), line+"\n") }
	}
	tests := []struct {
		name   string
		breaks func(*testing.T, *node)
		code   codes.Code
		says   []string
	}{
		{"recovery.conf is left over", func(t *testing.T, n *node) {
			writeFile(t, filepath.Join(n.dir, "recovery.conf"), "standby_mode = on\n")
		}, codes.ServerConfig, []string{"recovery.conf", "move"}},
		{"an unknown setting", conf("checkpoint_completion_targets = 0.9"), codes.ServerConfig,
			[]string{"checkpoint_completion_targets", "postgresql.conf\" line ", "correct the line"}},
		{"a bad value", conf("shared_buffers = 'much'"), codes.ServerConfig, []string{"shared_buffers", "line"}},
		{"a library that is missing", conf("shared_preload_libraries = 'plantuner'"), codes.ServerConfig,
			[]string{"plantuner", "install"}},
		{"the same in a csvlog", conf("shared_preload_libraries = 'plantuner'\nlogging_collector = on\n" +
			"log_destination = csvlog\nlog_directory = log"), codes.ServerConfig, []string{"plantuner"}},
		{"a certificate that is missing", conf("ssl = on\nssl_cert_file = 'nowhere.crt'"), codes.ServerConfig,
			[]string{"nowhere.crt", "ssl"}},
		{"a pg_hba.conf that cannot be read", func(t *testing.T, n *node) {
			writeFile(t, filepath.Join(n.dir, "pg_hba.conf"), "local all all trusty\n")
		}, codes.ServerConfig, []string{"trusty", "pg_hba.conf"}},
		{"the port is in use", func(t *testing.T, n *node) {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", n.port))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
		}, codes.ServerConfig, []string{"Address already in use", "ss -ltnxp"}},
		{"the mode of the data directory", func(t *testing.T, n *node) {
			if err := os.Chmod(n.dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}, codes.ServerConfig, []string{"invalid permissions", "0700"}},
		{"a restore_command that the shell cannot find", func(t *testing.T, n *node) {
			conf("restore_command = '/nonexistent/restore %f %p'")(t, n)
			writeFile(t, filepath.Join(n.dir, "standby.signal"), "")
		}, codes.ServerConfig, []string{"restore_command", "command not found"}},
		{"hot_standby is off", func(t *testing.T, n *node) {
			conf("hot_standby = off")(t, n)
			writeFile(t, filepath.Join(n.dir, "standby.signal"), "")
		}, codes.ServerConfig, []string{"hot_standby"}},
		{"the checkpoint's WAL is missing", func(t *testing.T, n *node) {
			segments, err := filepath.Glob(filepath.Join(n.dir, "pg_wal", "0*"))
			if err != nil || len(segments) == 0 {
				t.Fatal(segments, err)
			}
			for _, s := range segments {
				if err := os.Remove(s); err != nil {
					t.Fatal(err)
				}
			}
		}, codes.StartFailed, []string{"checkpoint"}},
		{"the control file is ruined", func(t *testing.T, n *node) {
			writeFile(t, filepath.Join(n.dir, "global", "pg_control"), strings.Repeat("x", 8192))
		}, codes.StartFailed, []string{"CONTROL"}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, topology.NodeID(i), setup{})
			tt.breaks(t, n)
			wantCode(t, n.StartServer(t.Context()), tt.code, tt.says...)
		})
	}
}

// TestIsolatedRecoveryNamesTheConfiguration: the same where the server of an
// isolated recovery reads the node's configuration.
func TestIsolatedRecoveryNamesTheConfiguration(t *testing.T) {
	t.Parallel()
	n := newNode(t, 0, setup{})
	n.start()
	n.crash()
	appendFile(t, filepath.Join(n.dir, "postgresql.conf"), "shared_preload_libraries = 'plantuner'\n")
	n.move(resync.Home, resync.InRepair)
	wantCode(t, n.Settle(t.Context()), codes.ServerConfig, "plantuner")
	n.move(resync.InRepair, resync.Home)
}

// TestOwnReason reads logs that no server of this release writes here.
func TestOwnReason(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		log  string
		says string // empty: no reason of its own
	}{
		"jsonlog": {`{"timestamp":"x","error_severity":"FATAL","message":"could not access file \"plantuner\""}`,
			"plantuner"},
		"the program itself": {"/usr/lib/bin/postgres: error while loading shared libraries: libicu.so.72\n",
			"libicu"},
		"Debian's wrapper": {"Error: Config owner (postgres:107) and data owner (root:0) do not match, and config " +
			"owner is not root\n", "owner"},
		"Debian's wrapper, quoting": {"Error: /usr/lib/postgresql/15/bin/pg_ctl start " +
			"exited with status 1: \n", ""},
		"clients that were too early": {"2026-01-01 UTC [7] FATAL:  the database system is starting up\n", ""},
		"the stream":                  {"[8] FATAL:  could not start WAL streaming: ERROR:  in use\n", ""},
		"damage in recovery": {"LOG:  invalid checkpoint record\nFATAL:  could not open file \"base/1/1\"\n" +
			"LOG:  startup process (PID 4) exited with exit code 1\n", ""},
		"a panic": {"FATAL:  could not access file \"x\"\nPANIC:  could not locate a valid checkpoint record\n", ""},
		"nothing": {"", ""},
	} {
		if got := strings.Join(ownReason(parseLog(c.log)), "; "); (got == "") != (c.says == "") ||
			!strings.Contains(got, c.says) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestRecoveryConfIsNotCarriedAlong: a copy brings neither the upstream's nor the
// node's own recovery.conf home; the node's own is kept.
func TestRecoveryConfIsNotCarriedAlong(t *testing.T) {
	t.Parallel()
	n := newNode(t, 0, setup{})
	writeFile(t, filepath.Join(n.dir, "recovery.conf"), "standby_mode = on\n")
	if err := n.SaveConfig(resync.Home); err != nil {
		t.Fatal(err)
	}
	n.move(resync.Home, resync.InRepair)
	copyDir(t, template.get(t), n.path(resync.New))
	writeFile(t, filepath.Join(n.path(resync.New), "recovery.conf"), "another node's\n")
	if err := n.RestoreConfig(resync.New); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(n.path(resync.New), "recovery.conf")); !os.IsNotExist(err) {
		t.Errorf("recovery.conf is in the copy: %v", err)
	}
	if got := readFile(t, filepath.Join(n.savedDir(), "recovery.conf")); got != "standby_mode = on\n" {
		t.Errorf("the node's own is kept as %q", got)
	}
}
