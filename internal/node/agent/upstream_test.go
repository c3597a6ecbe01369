package agent

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/postgres"
	"github.com/repool/repool/internal/node/resync"
)

// server is a real PostgreSQL on a socket in a directory of its own.
type server struct {
	t    *testing.T
	bin  string
	dir  string
	cred *syscall.Credential // nil: as ourselves
}

// newServer makes and starts one; PostgreSQL refuses to run as root.
func newServer(t *testing.T) *server {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		t.Fatal("no PostgreSQL in /usr/lib/postgresql: install postgresql-15")
	}
	dir, err := os.MkdirTemp("/tmp", "repool-up-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s := &server{t: t, bin: filepath.Dir(found[len(found)-1]), dir: dir}
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		s.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	s.exec("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C")
	s.append("postgresql.auto.conf", fmt.Sprintf("listen_addresses = ''\nunix_socket_directories = '%s'\nport = 54999\n"+
		"fsync = off\nwal_level = logical\nmax_wal_size = '32MB'\n", dir))
	s.start()
	t.Cleanup(func() { s.exec("pg_ctl", "stop", "-D", s.data(), "-m", "immediate") })
	return s
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

func (s *server) start() {
	s.t.Helper()
	s.exec("pg_ctl", "start", "-w", "-D", s.data(), "-l", filepath.Join(s.dir, "log"))
}

// exec runs one of PostgreSQL's programs.
func (s *server) exec(name string, args ...string) {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir, cmd.Env = s.dir, []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	out, err := os.Create(filepath.Join(s.dir, "out"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		s.t.Fatalf("%s %v: %v\n%s", name, args, err, text)
	}
}

// append adds text to a file of the data directory, which must be there or be
// an empty one to make.
func (s *server) append(name, text string) {
	s.t.Helper()
	f, err := os.OpenFile(filepath.Join(s.data(), name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// sql runs statements one by one and returns the last one's first value.
func (s *server) sql(stmts ...string) string {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), fmt.Sprintf("host=%s port=54999 user=postgres dbname=postgres", s.dir))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(s.t.Context())
	var last string
	for _, q := range stmts {
		rows, err := conn.Query(s.t.Context(), q, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			s.t.Fatalf("%s: %v", q, err)
		}
		for rows.Next() {
			if v, err := rows.Values(); err == nil && len(v) > 0 {
				last = fmt.Sprint(v[0])
			}
		}
		if rows.Err() != nil {
			s.t.Fatalf("%s: %v", q, rows.Err())
		}
	}
	return last
}

// upstream is the server as a request would name it.
func (s *server) upstream(tli topology.TimelineID) topology.Upstream {
	s.t.Helper()
	id, err := strconv.ParseUint(s.sql("select system_identifier::text from pg_control_system()"), 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return topology.Upstream{
		Node: 1, Host: s.dir, Port: 54999, SystemID: topology.SystemID(id), History: topology.History{TLI: tli},
	}
}

// wantCode fails the test unless err has that code and names the text.
func wantCode(t *testing.T, err error, code codes.Code, text string) {
	t.Helper()
	var e *resync.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want code %s and %q in it", err, code, text)
	}
}

// impatient is a link that does not wait long for a checkpoint.
func impatient(role string) *Upstream {
	u := NewUpstream(postgres.Login{User: role})
	u.checkpointWait = 200 * time.Millisecond
	return u
}

// TestUpstreamOnARealServer takes one server through the life of a primary.
func TestUpstreamOnARealServer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	u := impatient("postgres")
	up := s.upstream(1)

	t.Run("confirm", func(t *testing.T) {
		if err := u.Confirm(t.Context(), up); err != nil {
			t.Error(err)
		}
		other := up
		other.SystemID++
		wantCode(t, u.Confirm(t.Context(), other), codes.UpstreamChanged, "system identifier")
		other = up
		other.History.TLI = 2
		wantCode(t, u.Confirm(t.Context(), other), codes.UpstreamChanged, "timeline 1, not 2")
		other = up
		other.Port++
		wantCode(t, u.Confirm(t.Context(), other), codes.UpstreamLost, "node 1")
	})
	t.Run("size and position", func(t *testing.T) {
		if size, err := u.Size(t.Context(), up); err != nil || size < 1<<20 {
			t.Errorf("size %d, %v", size, err)
		}
		if at, err := u.Position(t.Context(), up); err != nil || at == 0 {
			t.Errorf("position %s, %v", at, err)
		}
	})
	t.Run("slot", func(t *testing.T) { slotLife(t, s, u, up) })
	t.Run("no right to checkpoint", func(t *testing.T) {
		s.sql("create role weak login")
		weak := impatient("weak")
		if err := weak.Checkpoint(t.Context(), up); err != nil {
			t.Errorf("nothing to do: %v", err)
		}
		other := up
		other.History.TLI = 7
		err := weak.Checkpoint(t.Context(), other)
		if err == nil || !strings.Contains(err.Error(), "pg_checkpoint") && !strings.Contains(err.Error(), "superuser") {
			t.Errorf("without the right: %v", err)
		}
	})
	t.Run("a standby, then promoted", func(t *testing.T) {
		s.exec("pg_ctl", "stop", "-w", "-D", s.data(), "-m", "fast")
		s.append("standby.signal", "")
		s.start()
		wantCode(t, u.Confirm(t.Context(), up), codes.UpstreamChanged, "standby")
		s.sql("select pg_promote()")
		up2 := s.upstream(2)
		if err := u.Confirm(t.Context(), up2); err != nil {
			t.Error(err)
		}
		wantCode(t, u.Confirm(t.Context(), up), codes.UpstreamChanged, "timeline 2, not 1")
		// Hazard 2: pg_rewind right after a promotion.
		if err := u.Checkpoint(t.Context(), up2); err != nil {
			t.Error(err)
		}
		if tli := s.sql("select timeline_id from pg_control_checkpoint()"); tli != "2" {
			t.Errorf("the control file is on timeline %s", tli)
		}
	})
}

// slotLife: made reserved, left alone while good, made again when useless
// (hazards 37 and 38), refused when it is not ours to drop.
func slotLife(t *testing.T, s *server, u *Upstream, up topology.Upstream) {
	const reserved = "select restart_lsn is not null and wal_status is distinct from 'lost' " +
		"from pg_replication_slots where slot_name = 'repool_node0'"
	ensure := func(what string) {
		t.Helper()
		if err := u.EnsureSlot(t.Context(), up, "repool_node0"); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if ok := s.sql(reserved); ok != "true" {
			t.Errorf("%s: not reserved (%s)", what, ok)
		}
	}
	ensure("new")
	at := s.sql("select restart_lsn::text from pg_replication_slots")
	ensure("again")
	if now := s.sql("select restart_lsn::text from pg_replication_slots"); now != at {
		t.Errorf("a good slot was moved from %s to %s", at, now)
	}
	s.sql("select pg_drop_replication_slot('repool_node0')", "select pg_create_physical_replication_slot('repool_node0')")
	ensure("made without reserving WAL")
	s.sql("alter system set max_slot_wal_keep_size = '16MB'", "select pg_reload_conf()",
		"create table filler as select repeat(md5(i::text), 40) t from generate_series(1, 60000) i",
		"checkpoint", "select pg_switch_wal()", "checkpoint")
	if st := s.sql("select wal_status from pg_replication_slots"); st != "lost" {
		t.Fatalf("the slot is %s, the test wants a lost one", st)
	}
	ensure("lost")
	s.sql("select pg_drop_replication_slot('repool_node0')",
		"select pg_create_logical_replication_slot('repool_node0', 'pgoutput')")
	err := u.EnsureSlot(t.Context(), up, "repool_node0")
	wantCode(t, err, codes.SlotFailed, "logical")
	s.sql("select pg_drop_replication_slot('repool_node0')")
}
