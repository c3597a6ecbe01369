package pgdata

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/repool/repool/internal/core/topology"
)

// dumped is one line of pg_waldump.
type dumped struct {
	rmgr       string
	length, tx uint64
	lsn, prev  topology.LSN
	desc       string
}

var dumpLine = regexp.MustCompile(`^rmgr: (\S+)\s+len \(rec/tot\):\s*\d+/\s*(\d+), tx:\s*(\d+), ` +
	`lsn: ([0-9A-F/]+), prev ([0-9A-F/]+), desc: (.*)$`)

// waldump runs pg_waldump from lsn to the end of WAL. It ends with an error
// there, as it should; its records are on stdout.
func (c *cluster) waldump(from topology.LSN, tli topology.TimelineID, opts ...string) []dumped {
	c.t.Helper()
	args := append([]string{"-p", filepath.Join(c.data, "pg_wal"), "-s", from.String(), "-t", tli.String()}, opts...)
	out, _ := c.command(filepath.Join(c.bin, "pg_waldump"), args...).Output()
	var all []dumped
	for line := range strings.Lines(string(out)) {
		m := dumpLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			c.t.Fatalf("pg_waldump printed a line of unknown form: %q", line)
		}
		d := dumped{rmgr: m[1], desc: m[6]}
		d.length, _ = strconv.ParseUint(m[2], 10, 64)
		d.tx, _ = strconv.ParseUint(m[3], 10, 64)
		d.lsn, d.prev = lsnOf(c.t, m[4]), lsnOf(c.t, m[5])
		all = append(all, d)
	}
	if len(all) == 0 {
		c.t.Fatalf("pg_waldump printed no record from %s", from)
	}
	return all
}

func lsnOf(t testing.TB, s string) topology.LSN {
	t.Helper()
	lsn, err := topology.ParseLSN(s)
	if err != nil {
		t.Fatal(err)
	}
	return lsn
}

// workload makes WAL of every kind that the package looks into, over several
// segments: pages with images, long records, subtransactions, prepared and
// aborted transactions, DDL, multi-inserts, updates, deletes, switches.
func (c *cluster) workload() {
	c.t.Helper()
	c.script(
		"create table a (id int primary key, v text)",
		"insert into a select g, repeat('x', 100) from generate_series(1, 3000) g",
		"checkpoint",
		"update a set v = 'y' where id <= 50",
		"delete from a where id between 51 and 60",
		"begin; insert into a values (9001, 's'); savepoint s; insert into a values (9002, 't'); release s; savepoint u; "+
			"insert into a values (9003, 'no'); rollback to u; commit",
		"begin; insert into a values (9100, 'aborted'); rollback",
		"begin; insert into a values (9200, 'p'); prepare transaction 'one'",
		"commit prepared 'one'",
		"insert into a values (1, 'z') on conflict (id) do update set v = 'conflict'",
		"create table b as select g as id, repeat('long', 300) as t from generate_series(1, 2000) g",
		"copy b (id) from program 'seq 5001 5100'",
		"select pg_switch_wal()",
		"select pg_logical_emit_message(true, 'big', repeat('0123456789', 200000))",
		"drop table b",
		"checkpoint",
		"insert into a values (9300, 'after'), (9301, 'after')",
		"select pg_switch_wal()",
		"select pg_logical_emit_message(false, 'small', repeat('z', 20000))",
		"insert into a select g, 'tail' from generate_series(10001, 10040) g",
	)
}

// liveWorkload is a crashed cluster with the workload in its WAL.
func liveWorkload(t *testing.T) *cluster {
	t.Helper()
	c := newCluster(t, "--wal-segsize=1", "--data-checksums")
	c.config("wal_level = logical\nmax_prepared_transactions = 5\nwal_compression = on\n")
	c.start()
	c.workload()
	c.crash()
	return c
}

func TestReadingACrashedClusterAgreesWithPostgreSQLsOwnPrograms(t *testing.T) {
	t.Parallel()
	c := liveWorkload(t)
	t.Run("control file as pg_controldata prints it", c.checkControl)
	w, control, err := OpenOwnWAL(c.data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	oldest, err := w.OldestSegment(control.RedoLSN)
	if err != nil {
		t.Fatal(err)
	}
	first, err := w.FirstRecordAfter(oldest)
	if err != nil {
		t.Fatal(err)
	}
	dump := c.waldump(first.Start, 1)
	t.Run("every record as pg_waldump prints it", func(t *testing.T) { checkRecords(t, w, oldest, dump) })
	t.Run("walking back", func(t *testing.T) { checkBackwards(t, w, dump) })
	t.Run("commits and row changes", func(t *testing.T) { checkTransactions(t, w, first.Start, dump) })
	t.Run("a torn tail is an ordinary end", func(t *testing.T) { c.checkTornTail(t, w, dump) })
}

func (c *cluster) checkControl(t *testing.T) {
	got, err := ReadControl(c.data)
	if err != nil {
		t.Fatal(err)
	}
	said := keyValues(c.run("pg_controldata", c.data))
	onOff := map[bool]string{true: "on", false: "off"}
	for key, value := range map[string]any{
		"pg_control version number": got.ControlVersion, "Catalog version number": got.CatalogVersion,
		"Database system identifier": got.SystemID, "Database cluster state": got.State,
		"pg_control last modified":          got.Time.Format("Mon Jan _2 15:04:05 2006"),
		"Latest checkpoint location":        got.CheckpointLSN,
		"Latest checkpoint's REDO location": got.RedoLSN, "Latest checkpoint's TimeLineID": got.Timeline,
		"Latest checkpoint's PrevTimeLineID": got.PrevTimeline, "Minimum recovery ending location": got.MinRecoveryPoint,
		"Latest checkpoint's full_page_writes": onOff[got.FullPageWrites],
		"Time of latest checkpoint":            got.CheckpointTime.Format("Mon Jan _2 15:04:05 2006"),
		"Min recovery ending loc's timeline":   got.MinRecoveryTLI, "Backup start location": got.BackupStart,
		"Backup end location": got.BackupEnd, "End-of-backup record required": map[bool]string{true: "yes",
			false: "no"}[got.BackupEndRequired],
		"wal_level setting": got.WALLevel, "wal_log_hints setting": onOff[got.WALLogHints],
		"max_connections setting": got.MaxConnections, "max_worker_processes setting": got.MaxWorkerProcesses,
		"max_wal_senders setting": got.MaxWALSenders, "max_prepared_xacts setting": got.MaxPreparedXacts,
		"max_locks_per_xact setting": got.MaxLocksPerXact, "track_commit_timestamp setting": onOff[got.TrackCommitTimestamp],
		"Database block size": got.BlockSize, "Blocks per segment of large relation": got.RelSegBlocks,
		"WAL block size": got.WALBlockSize, "Bytes per WAL segment": got.SegmentSize,
		"Data page checksum version": got.DataChecksumMethod,
	} {
		if _, ok := said[key]; !ok {
			t.Errorf("pg_controldata has no %q", key)
		}
		want(t, key, value, said[key])
	}
	want(t, "checksums", got.DataChecksums, true)
	major, err := MajorVersion(c.data)
	want(t, "major version", fmt.Sprint(major, err), filepath.Base(filepath.Dir(c.bin))+" <nil>")
}

// checkRecords compares each record, its blocks included, with pg_waldump's.
func checkRecords(t *testing.T, w *WAL, from topology.LSN, dump []dumped) {
	i, spans, multi, kinds := 0, 0, 0, map[string]int{}
	end, err := w.Walk(from, func(r Record) error {
		if i >= len(dump) {
			return fmt.Errorf("a record at %s that pg_waldump does not have", r.Start)
		}
		d := dump[i]
		i++
		got := dumped{rmgr: r.Rmgr.String(), length: uint64(r.Len), tx: uint64(r.XID), lsn: r.Start, prev: r.Prev,
			desc: d.desc}
		if got != d {
			t.Errorf("record %d: got %+v, want %+v", i, got, d)
		}
		parts, err := r.Decode()
		if err != nil {
			return err
		}
		for _, b := range parts.Blocks {
			ref := fmt.Sprintf("blkref #%d: rel %s", b.ID, b.Rel)
			if !strings.Contains(d.desc, ref) || !strings.Contains(d.desc, fmt.Sprintf("blk %d", b.Number)) {
				t.Errorf("record at %s: got %s blk %d, pg_waldump says %s", r.Start, ref, b.Number, d.desc)
			}
		}
		want(t, "blocks of "+r.Start.String(), len(parts.Blocks), strings.Count(d.desc, "blkref #"))
		if _, kind, _ := strings.Cut(r.Desc(), " "); recordKinds[r.Rmgr] != nil && strings.Contains(r.Desc(), "_") &&
			!strings.HasPrefix(d.desc, kind) {
			t.Errorf("record at %s: got kind %s, pg_waldump says %.40s", r.Start, kind, d.desc)
		}
		kinds[r.Desc()]++
		if w.pageStart(r.Start) != w.pageStart(r.End-1) {
			spans++
		}
		if r.Len > 1<<20 {
			multi++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "records", i, len(dump))
	if spans < 10 || multi == 0 {
		t.Errorf("the workload has only %d records over pages and %d over segments", spans, multi)
	}
	for _, kind := range []string{"Heap2 MULTI_INSERT", "XLOG SWITCH", "Transaction COMMIT_PREPARED",
		"Transaction ABORT", "Heap HOT_UPDATE"} {
		if kinds[kind] == 0 {
			t.Errorf("the workload has no record of kind %s", kind)
		}
	}
	want(t, "end follows the last record", end.Last.Start, dump[len(dump)-1].lsn)
	if end.Reason == nil || end.Beyond != 0 {
		t.Errorf("the end has reason %v and valid WAL beyond at %s", end.Reason, end.Beyond)
	}
}

// checkBackwards asks for the record before many positions.
func checkBackwards(t *testing.T, w *WAL, dump []dumped) {
	for i := 1; i < len(dump); i += 1 + i%7 {
		r, err := w.RecordBefore(dump[i].lsn)
		if err != nil || r.Start != dump[i-1].lsn {
			t.Errorf("before %s: got %s (%v), want %s", dump[i].lsn, r.Start, err, dump[i-1].lsn)
		}
		has, err := w.HasRecordAt(dump[i].lsn)
		want(t, "a record at "+dump[i].lsn.String(), fmt.Sprint(has, err), "true <nil>")
		look, err := w.LookAt(dump[i].lsn + 8)
		if err != nil || look.Place != PlaceInside || !look.Diverged() {
			t.Errorf("inside the record at %s: got %v, %v", dump[i].lsn, look.Place, err)
		}
	}
	var lastCheckpoint topology.LSN
	for i, d := range dump {
		if lastCheckpoint != 0 && i%97 == 0 {
			got, err := w.LastCheckpointBefore(d.lsn)
			if err != nil || got.Record.Start != lastCheckpoint {
				t.Fatalf("checkpoint before %s: got %s (%v), want %s", d.lsn, got.Record.Start, err, lastCheckpoint)
			}
		}
		if strings.HasPrefix(d.desc, "CHECKPOINT_") {
			lastCheckpoint = d.lsn
			got, err := w.LastCheckpointBefore(d.lsn + topology.LSN(align8(d.length)) + 64)
			if err != nil || !strings.Contains(d.desc, "redo "+got.Redo.String()+"; tli "+got.Timeline.String()+";") {
				t.Errorf("checkpoint %s: got redo %s (%v), pg_waldump says %s", d.lsn, got.Redo, err, d.desc)
			}
		}
	}
}

// checkTornTail damages copies of the last records, as a crash of the host may.
func (c *cluster) checkTornTail(t *testing.T, w *WAL, dump []dumped) {
	last := dump[len(dump)-1]
	from := dump[len(dump)-20].lsn
	name := topology.WALFileName(1, last.lsn, w.seg)
	whole, err := os.ReadFile(filepath.Join(c.data, "pg_wal", name))
	if err != nil {
		t.Fatal(err)
	}
	at := int(last.lsn - w.segStart(last.lsn))
	for what, tear := range map[string]func([]byte) []byte{
		"cut inside the record's header": func(b []byte) []byte { return b[:at+10] },
		"cut inside the record":          func(b []byte) []byte { return b[:at+int(last.length)-1] },
		"a flipped bit":                  func(b []byte) []byte { b[at+int(last.length)-1] ^= 1; return b },
		"zeros":                          func(b []byte) []byte { clear(b[at:]); return b },
		"a wrong link back":              func(b []byte) []byte { b[at+8] ^= 8; return b },
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), tear(append([]byte(nil), whole...)), 0o600); err != nil {
			t.Fatal(err)
		}
		torn, err := OpenWALDir(dir, 1, topology.History{}, w.seg)
		if err != nil {
			t.Fatal(err)
		}
		end, err := torn.EndOfWAL(max(from, w.segStart(last.lsn)))
		if err != nil || end.LSN > last.lsn || end.Reason == nil {
			t.Errorf("%s: got end %s, reason %v, error %v; want an end at or before %s", what, end.LSN, end.Reason, err,
				last.lsn)
		}
		look, err := torn.LookAt(last.lsn)
		if err != nil || look.Diverged() {
			t.Errorf("%s: got %v, %v; want no record there", what, look.Place, err)
		}
		torn.Close()
	}
}
