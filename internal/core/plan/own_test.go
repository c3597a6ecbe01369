package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
)

// refusing is a standby on the line whose last start its server refused.
func refusing(t *testing.T) *scene {
	s := newScene(t).learn()
	s.stopped(1).status(1, topology.PoolDown)
	s.node(1).Agent.ConfigID = "one"
	s.expect("", "resync/start standby-down")
	s.failed(1, "r1", topology.MethodStart, codes.ServerConfig)
	s.node(1).Agent.Run.Hint = "correct the line"
	return s
}

// Hazard 59: a server that cannot start because of its configuration is never
// copied and never parked; it is tried again when the configuration changes, and
// at a slow pace.
func TestServerThatRefusesToStartIsNotCopied(t *testing.T) {
	t.Parallel()
	s := refusing(t)
	ds := s.expect("", "none server-config")
	if d := ds[1]; d.Severity != codes.Refused || d.Hint != "correct the line" || !strings.Contains(d.Reason,
		"as the test says") {
		t.Errorf("%+v", d)
	}
	tries := 0
	for range 600 {
		s.later(10 * time.Second)
		d := s.step()[1]
		switch short(d) {
		case "none server-config":
		case "resync/start standby-down":
			tries++
			s.failed(1, "r"+d.Reason+s.now.String(), topology.MethodStart, codes.ServerConfig)
		default:
			t.Fatalf("after %s: %s: %s", s.now.Sub(start), short(d), d.Reason)
		}
	}
	if tries < 15 || tries > 60 {
		t.Errorf("%d starts in 100 minutes", tries)
	}
	s.later(10 * time.Minute).step()
	s.failed(1, "last", topology.MethodStart, codes.ServerConfig)
	s.later(time.Second).expect("", "none server-config")
	s.node(1).Agent.ConfigID = "another"
	if got := s.later(4 * time.Second).step(); short(got[1]) != "resync/start standby-down" {
		t.Errorf("after a change: %s", short(got[1]))
	}
}

// Nor where the primary has not kept the WAL that it needs: first it must start.
func TestServerThatRefusesToStartWithItsWALGone(t *testing.T) {
	t.Parallel()
	s := refusing(t)
	s.node(1).Lineage.StreamGap = true
	s.expect("", "none server-config")
	s.later(10*time.Minute).expect("", "resync/start wal-gone")
	s.failed(1, "r2", topology.MethodStart, codes.NotStreaming)
	s.later(time.Second).step()
	s.later(time.Minute).expect("", "resync/base-backup wal-gone")
}

// What is no question of its start goes on: a directory that is gone is copied.
func TestServerThatRefusesToStartAndIsGone(t *testing.T) {
	t.Parallel()
	s := refusing(t)
	s.expect("", "none server-config")
	s.node(1).Agent.Dir = topology.DirMissing
	s.later(time.Minute).expect("", "resync/base-backup no-data")
}

// A person who asks for a copy gets it.
func TestServerThatRefusesToStartIsCopiedOnRequest(t *testing.T) {
	t.Parallel()
	s := refusing(t)
	s.expect("", "none server-config")
	s.mem = Consent(s.mem, 1, topology.MethodBaseBackup)
	s.later(time.Minute).expect("", "resync/base-backup standby-down")
}

// Once a run has ended well, the old reason counts no longer.
func TestServerThatStartsAgain(t *testing.T) {
	t.Parallel()
	s := refusing(t)
	s.expect("", "none server-config")
	s.run(1, topology.RunState{ID: "r2", Method: topology.MethodStart, Outcome: topology.RunDone})
	s.later(time.Second).step()
	if m := s.memory(1); m.LastCode != "" || m.ConfigFailures != 0 {
		t.Errorf("%+v", m)
	}
}

// A server that listens elsewhere is not blamed on pg_hba.conf.
func TestServerThatListensElsewhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		host string
		a    topology.Inspection
		want string
		says string
	}{
		"another port": {"10.0.0.11", topology.Inspection{Port: 5433, ListenAddr: "*"}, "wait server-elsewhere",
			"5433"},
		"no TCP": {"10.0.0.11", topology.Inspection{Port: 5432}, "wait server-elsewhere", "TCP"},
		"another directory": {"/tmp", topology.Inspection{Port: 5432, SocketDir: "/run/pg"}, "wait server-elsewhere",
			"/run/pg"},
		"one directory with two names": {"/run/pg", topology.Inspection{Port: 5432, SocketDir: "/var/run/pg/"},
			"wait server-silent", ""},
		"where it should": {"10.0.0.11", topology.Inspection{Port: 5432, ListenAddr: "localhost"},
			"wait server-silent", ""},
		"not known": {"10.0.0.11", topology.Inspection{}, "wait server-silent", ""},
	} {
		s := newScene(t).learn()
		n := s.node(1)
		n.Host = c.host
		n.SQL = topology.SQLFacts{Source: topology.Source{At: s.now, Err: "timeout"}}
		n.Agent.Port, n.Agent.SocketDir, n.Agent.ListenAddr = c.a.Port, c.a.SocketDir, c.a.ListenAddr
		s.status(1, topology.PoolDown)
		if d := s.expect("", c.want)[1]; !strings.Contains(d.Reason, c.says) {
			t.Errorf("%s: %q", name, d.Reason)
		}
	}
}

// pg_rewind stops at a tablespace inside the data directory: that is known before.
func TestInPlaceTablespacesAreNotRewound(t *testing.T) {
	t.Parallel()
	s := newScene(t).learn()
	s.promoted(1).standby(2, 1).lineage(0, 1, topology.LineageDiverged).learn()
	s.later(time.Minute)
	s.node(0).Agent.InPlace, s.node(1).Agent.InPlace = 1, 1
	d := s.expect("resync/base-backup diverged")[0]
	if why := d.Rejected; !strings.Contains(why[len(why)-2].Why, "allow_in_place_tablespaces") {
		t.Errorf("%v", why)
	}
}
