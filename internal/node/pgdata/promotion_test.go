package pgdata

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// pair is a primary and two standbys that stream from it and hold all it has.
func pair(t *testing.T) (primary, one, two *cluster) {
	t.Helper()
	primary = newCluster(t)
	one, two = primary.copyOf(), primary.copyOf()
	primary.start()
	one.follow(primary)
	two.follow(primary)
	one.start()
	two.start()
	primary.script("create table t (id int)", "insert into t values (1)", "select pg_switch_wal()",
		"insert into t values (2)")
	eventually(t, "both standbys have replayed everything", func() bool {
		at := primary.sql("select pg_current_wal_lsn()")
		return one.sql("select pg_last_wal_replay_lsn()") == at && two.sql("select pg_last_wal_replay_lsn()") == at
	})
	return primary, one, two
}

// switchPoint is where c left timeline 1, as its history file says.
func (c *cluster) switchPoint() topology.LSN {
	c.t.Helper()
	h, err := ReadHistory(c.data, 2)
	if err != nil {
		c.t.Fatal(err)
	}
	lsn, ok := h.SwitchPoint(1)
	if !ok {
		c.t.Fatalf("history %s does not leave timeline 1", h.Text())
	}
	return lsn
}

// look opens c's own WAL and looks at lsn; the reader stays open for the test.
func (c *cluster) look(lsn topology.LSN) (*WAL, Look) {
	c.t.Helper()
	w, _, err := OpenOwnWAL(c.data)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { w.Close() })
	l, err := w.LookAt(lsn)
	if err != nil {
		c.t.Fatal(err)
	}
	return w, l
}

// Hazards 1 and 7 of the design: whether a former primary diverged is read
// from its WAL, and equal timeline numbers prove nothing.
func TestDivergenceIsReadFromTheWALAtTheSwitchPoint(t *testing.T) {
	t.Parallel()
	primary, one, two := pair(t)
	checkRunning(t, primary, one)
	primary.crash()
	checkGone(t, primary, one)
	one.run("pg_ctl", "-w", "-s", "-D", one.data, "promote")
	point := one.switchPoint()

	// The crashed primary lost nothing: its WAL ends at the switch point.
	w, look := primary.look(point)
	want(t, "place in the crashed primary", look.Place, PlaceEnd)
	control, err := ReadControl(primary.data)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "state after the crash", control.State, StateInProduction)
	end, err := w.EndOfWAL(control.RedoLSN)
	if err != nil || end.LSN != point || !end.Last.Same(look.Before) {
		t.Errorf("end of the crashed primary's WAL: got %s (%v), want the switch point %s", end.LSN, err, point)
	}
	if has, err := w.HasRecordAt(point); has || err != nil {
		t.Errorf("a record of its own at the switch point: got %v, %v", has, err)
	}

	// The new primary has the same record before it, and its own mark after it.
	wOne, mark := one.look(point)
	want(t, "history of the promoted standby", wOne.History().Text(), "1@"+point.String()+" → 2")
	want(t, "place in the new primary", mark.Place, PlaceRecord)
	want(t, "its first record", mark.Own.Desc(), "XLOG END_OF_RECOVERY")
	want(t, "on timeline", mark.Own.Timeline, 2)
	want(t, "same record before", mark.Before.Same(look.Before), true)
	want(t, "timeline of the record before", mark.Before.Timeline, 1)
	one.sql("insert into t values (3)")
	checkAcrossTimelines(t, one, control.RedoLSN)

	// A second standby promoted from the same point: same number, other content.
	two.run("pg_ctl", "-w", "-s", "-D", two.data, "promote")
	want(t, "the same switch point", two.switchPoint(), point)
	_, other := two.look(point)
	want(t, "same kind of record", other.Own.Desc(), mark.Own.Desc())
	want(t, "same record before", other.Before.Same(mark.Before), true)
	if other.Own.Same(mark.Own) || other.Own.CRC == mark.Own.CRC {
		t.Errorf("both promotions wrote the same record: %+v", other.Own)
	}

	// Crash recovery makes the primary diverge: a record at the switch point.
	primary.start()
	primary.crash()
	_, look = primary.look(point)
	want(t, "place after crash recovery", look.Place, PlaceRecord)
	want(t, "record of its own", look.Own.Desc(), "XLOG CHECKPOINT_SHUTDOWN")
}

// checkAcrossTimelines walks from timeline 1 over the switch to timeline 2.
func checkAcrossTimelines(t *testing.T, c *cluster, from topology.LSN) {
	t.Helper()
	w, _, err := OpenOwnWAL(c.data)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	commits := map[topology.TimelineID]int{}
	for r, err := range w.Records(from) {
		if err != nil {
			t.Fatal(err)
		}
		if _, ok, _ := r.Commit(); ok {
			commits[r.Timeline]++
		}
	}
	if commits[1] < 3 || commits[2] != 1 {
		t.Errorf("commits by timeline: got %v, want three or more on 1 and one on 2", commits)
	}
}

// lateStart is the server's own idea of its start.
func lateStart(c *cluster) time.Time {
	c.t.Helper()
	at, err := time.Parse("2006-01-02 15:04:05.999999", c.sql("select pg_postmaster_start_time() at time zone 'utc'"))
	if err != nil {
		c.t.Fatal(err)
	}
	return at
}

func checkRunning(t *testing.T, c, other *cluster) {
	t.Helper()
	p, alive, err := PostmasterAlive(c.data)
	if err != nil || !alive {
		t.Fatalf("the running server is not seen: %v", err)
	}
	want(t, "directory in the lock file", p.Dir, c.data)
	want(t, "socket folder", p.SocketDir, c.home)
	want(t, "port", p.Port, 5432)
	// The file has the second before pg_postmaster_start_time at the earliest.
	if said := lateStart(c); p.Started.After(said) || p.Started.Before(said.Add(-2*time.Second)) {
		t.Errorf("start: got %s, the server says %s", p.Started, said)
	}
	state, _, err := ServerState(c.data)
	if err != nil || state != topology.ServerRunning {
		t.Errorf("state of the running server: got %q, %v", state, err)
	}
	if err := syscall.Kill(p.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stopped server is seen as frozen", func() bool {
		state, _, err = ServerState(c.data)
		return err == nil && state == topology.ServerFrozen
	})
	if err := syscall.Kill(p.PID, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if s, err := Signals(other.data); err != nil || s != (SignalFiles{Standby: true}) {
		t.Errorf("signal files of a standby: got %+v, %v", s, err)
	}
}

// checkGone looks at lock files that a crash left: the PID is nobody's, or in
// use again by another program, or by the server of another directory.
func checkGone(t *testing.T, c, other *cluster) {
	t.Helper()
	running, err := ReadPostmasterPID(other.data)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(c.data, "postmaster.pid")
	left, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("the crash left no lock file: %v", err)
	}
	for what, text := range map[string]string{
		"as the crash left it":           string(left),
		"another program's PID":          strconv.Itoa(os.Getpid()) + "\n" + c.data + "\n",
		"another server's PID":           strconv.Itoa(running.PID) + "\n" + c.data + "\n",
		"empty, as after a power cut":    "",
		"zeros, as after a power cut":    "\x00\x00\x00\x00",
		"a PID beyond what there can be": "2147483647\n",
	} {
		if err := ReplaceFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if p, alive, err := PostmasterAlive(c.data); alive || err != nil || p.PID != 0 {
			t.Errorf("lock file with %s: got %+v, %v, %v", what, p, alive, err)
		}
	}
	if err := ReplaceFile(path, left); err != nil {
		t.Fatal(err)
	}
}
