package plan

import (
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/topology"
)

// roundTo is how exactly times are shown.
const roundTo = 100 * time.Millisecond

// The fixed parts of the estimates, in seconds: starting a server and finding
// its place; a rewind's settling, dry run and checkpoint; a base backup's
// checkpoint, verification and swap.
const (
	fixedReload = 0.5
	fixedStart  = 1.0
	fixedRewind = 2.0
	fixedBackup = 5.0
)

// skipsSourceWAL is the first major version whose pg_rewind leaves out the
// source's WAL from before the fork (hazard 3: all of it is copied up to 18).
const skipsSourceWAL = 19

// estimate is what a method would cost on this node.
func (s *subject) estimate(m topology.Method) Estimate {
	p := &s.w.primary.n
	switch m {
	case topology.MethodAttach:
		return Estimate{Basis: "nothing is copied"}
	case topology.MethodFollow:
		return Estimate{Seconds: fixedReload, Basis: "new upstream by reload, no restart"}
	case topology.MethodStart, topology.MethodAdopt:
		return Estimate{Seconds: fixedStart, Basis: "one start, nothing is copied but the missing WAL"}
	case topology.MethodRewind:
		bytes, basis := s.lineage().OwnBytes, "its own WAL past the divergence"
		if major(p.SQL.Version) < skipsSourceWAL {
			bytes += p.Agent.WALBytes
			basis = "the primary's whole pg_wal, which pg_rewind copies, and its own WAL past the divergence"
		}
		return s.w.copying(bytes, fixedRewind, basis)
	case topology.MethodBaseBackup, topology.MethodDeltaCopy:
		return s.w.copying(s.backupBytes(), fixedBackup, "the databases' size on the primary")
	}
	return Estimate{Basis: "the operator's own command: not known"}
}

func (w *world) copying(bytes uint64, fixed float64, basis string) Estimate {
	seconds := fixed
	if w.pol.BytesPerSecond > 0 {
		seconds += float64(bytes) / float64(w.pol.BytesPerSecond)
	}
	return Estimate{Bytes: bytes, Seconds: seconds, Basis: basis}
}

// backupBytes is how much a base backup copies; zero when unknown.
func (s *subject) backupBytes() uint64 {
	p := &s.w.primary.n
	if p.SQL.DatabaseBytes != 0 {
		return p.SQL.DatabaseBytes
	}
	if s.w.primary.agent {
		return p.Agent.DataBytes
	}
	return 0
}

// major is the major version of a server_version_num.
func major(num int) int { return num / 10000 }

// size prints bytes for people.
func size(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, prefix := float64(n), "KMGTPE"
	i := -1
	for f >= unit {
		f /= unit
		i++
	}
	return fmt.Sprintf("%.1f %ciB", f, prefix[i])
}
