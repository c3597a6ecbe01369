package pgdata

import (
	"bytes"
	"errors"
	"iter"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// Commit is one committed transaction, as its commit record says.
type Commit struct {
	XID uint32 `json:"xid"`
	// LSN is where the commit record starts, End where it ends.
	LSN  topology.LSN `json:"lsn"`
	End  topology.LSN `json:"end"`
	Time time.Time    `json:"time"` // by the clock of the node that wrote it, UTC
	// Database and Tablespace are OIDs; zero where the record does not say.
	Database   uint32    `json:"database,omitempty"`
	Tablespace uint32    `json:"tablespace,omitempty"`
	Subxacts   []uint32  `json:"subxacts,omitempty"`
	Dropped    []RelFile `json:"dropped,omitempty"` // files removed at commit
	// Invalidations counts messages to caches: more than none means that the
	// transaction changed a system catalog (DDL, ANALYZE).
	Invalidations int `json:"invalidations,omitempty"`
	// Prepared: a COMMIT PREPARED; GID is its global identifier, if logged.
	Prepared bool   `json:"prepared,omitempty"`
	GID      string `json:"gid,omitempty"`
}

// Record kinds of resource manager Transaction.
const (
	xactOpMask         = 0x70
	xactHasInfo        = 0x80
	xactCommit         = 0x00
	xactPrepare        = 0x10
	xactAbort          = 0x20
	xactCommitPrepared = 0x30
	xactAbortPrepared  = 0x40
)

// Flags that say which parts follow in a commit or abort record.
const (
	xinfoDatabase     = 1 << 0
	xinfoSubxacts     = 1 << 1
	xinfoRelations    = 1 << 2
	xinfoInvalid      = 1 << 3
	xinfoTwoPhase     = 1 << 4
	xinfoGID          = 1 << 7
	xinfoDroppedStats = 1 << 8
)

// postgresEpoch is where PostgreSQL's timestamps count from.
var postgresEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// timestamp turns microseconds since 2000 into a time.
func timestamp(us uint64) time.Time {
	n := int64(us)
	return time.Unix(postgresEpoch.Unix()+n/1e6, n%1e6*1000).UTC()
}

// Commit reads a commit or commit-prepared record; ok is false for any other.
func (r Record) Commit() (c Commit, ok bool, err error) {
	op := r.Info & xactOpMask
	if r.Rmgr != RmgrXact || (op != xactCommit && op != xactCommitPrepared) {
		return Commit{}, false, nil
	}
	c, err = r.endOfTransaction()
	c.Prepared = op == xactCommitPrepared
	return c, err == nil, err
}

// endOfTransaction reads the body that commit and abort records share. The
// XID of a prepared transaction is in the body, not in the header.
func (r Record) endOfTransaction() (Commit, error) {
	d, err := r.Decode()
	if err != nil {
		return Commit{}, err
	}
	c := Commit{XID: r.XID, LSN: r.Start, End: r.End}
	in := cursor{b: d.Main}
	c.Time = timestamp(in.u64())
	if r.Info&xactHasInfo != 0 {
		c.parts(&in, in.u32(), r.Info&xactOpMask, r.major)
	}
	if in.err != nil {
		return Commit{}, &WALError{File: r.file, LSN: r.Start, Msg: "read end of transaction: " + in.err.Error()}
	}
	return c, nil
}

// parts reads the optional parts in the order in which they follow. Flags that
// later versions may add stand for parts behind all of these.
func (c *Commit) parts(in *cursor, xinfo uint32, op uint8, major int) {
	if xinfo&xinfoDatabase != 0 {
		c.Database, c.Tablespace = in.u32(), in.u32()
	}
	if xinfo&xinfoSubxacts != 0 {
		for n := in.count(4); n > 0; n-- {
			c.Subxacts = append(c.Subxacts, in.u32())
		}
	}
	if xinfo&xinfoRelations != 0 {
		for n := in.count(12); n > 0; n-- {
			c.Dropped = append(c.Dropped, RelFile{Tablespace: in.u32(), Database: in.u32(), Relation: in.u32()})
		}
	}
	if xinfo&xinfoDroppedStats != 0 {
		size := 12
		if major >= 18 {
			size = 16
		}
		in.take(in.count(size) * size)
	}
	if xinfo&xinfoInvalid != 0 && op != xactAbort && op != xactAbortPrepared {
		c.Invalidations = in.count(16)
		in.take(c.Invalidations * 16)
	}
	if xinfo&xinfoTwoPhase != 0 {
		c.XID = in.u32()
		if xinfo&xinfoGID != 0 {
			end := bytes.IndexByte(in.b, 0)
			if end < 0 {
				in.fail("the global identifier has no end")
				return
			}
			c.GID = string(in.take(end))
			in.u8()
		}
	}
}

// count reads how many items of size bytes follow, and fails when there is no
// room for them.
func (c *cursor) count(size int) int {
	n := int(int32(c.u32()))
	if n < 0 || n > len(c.b)/size {
		c.fail("%d items of %d bytes announced, %d bytes left", n, size, len(c.b))
		return 0
	}
	return n
}

// Commits iterates over the transactions whose commit record is at or after
// from, in the order of their commits. from is as in Walk. It ends silently at
// the end of WAL; any error comes once, at the end.
func (w *WAL) Commits(from topology.LSN) iter.Seq2[Commit, error] {
	return func(yield func(Commit, error) bool) {
		_, err := w.Walk(from, func(r Record) error {
			c, ok, err := r.Commit()
			if err != nil || !ok {
				return err
			}
			if !yield(c, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Commit{}, err)
		}
	}
}
