package topology

import "fmt"

// JudgeLineage compares a node's WAL with the primary's and gives the verdict;
// Source and Primary of the result are the caller's to fill.
//
// primary is the primary's history, probe the node's WAL seen against it.
// record is the primary's own record that ends where probe.Last ends, nil when
// it could not be read, with the reason in recordErr. walFrom is the start of
// the oldest WAL that the primary still has, zero when unknown; with a record it
// does not matter, since the primary's WAL has no gaps.
//
// Equal numbers prove nothing: without equal content of the last common record
// the verdict is never "on line", and no rewind is offered (hazard 1).
func JudgeLineage(primary History, probe WALProbe, record *WALRecord, recordErr string, walFrom LSN) Lineage {
	l := Lineage{TLI: probe.CommonTLI, Point: probe.Limit, DataID: probe.DataID}
	switch {
	case !primary.Known() || !probe.Own.Known():
		l.Proof = "a history is unknown: nothing can be compared"
		return l
	case !probe.Shared:
		l.Verdict = LineageForeign
		l.Proof = fmt.Sprintf("history %s shares no timeline with the primary's %s", probe.Own.Text(), primary.Text())
		return l
	case probe.Last == nil:
		l = judgeWithoutRecord(l, probe, "the node has no readable WAL record on the common line")
		l.StreamGap = walFrom != 0 && probe.End != 0 && probe.End < walFrom
		return l
	case record == nil:
		return judgeUnmatched(l, probe, recordErr, walFrom)
	case !sameRecord(*probe.Last, *record):
		return judgeForged(l, primary, probe, *record)
	case probe.Overwritten != 0:
		return judgeOverwritten(l, primary, probe)
	case probe.Beyond:
		l.Verdict, l.ProvenTo = LineageDiverged, probe.Last.End
		l.OwnBytes = probe.End.Minus(probe.Limit)
		l.RewindWAL = probe.LastCheckpoint != 0
		l.Proof = fmt.Sprintf("the node has a record of its own at %s, where the primary left timeline %d; the record "+
			"before it is the primary's (CRC %08X)",
			probe.Limit, probe.CommonTLI, record.CRC)
		return l
	}
	l.Verdict, l.Point, l.ProvenTo = LineageOnLine, probe.Last.End, probe.Last.End
	l.Proof = fmt.Sprintf("the node's last record, at %s, is the primary's (CRC %08X), and it has none past it",
		probe.Last.Start, record.CRC)
	return l
}

// judgeWithoutRecord: the numbers alone. They can prove a divergence, since no
// line agrees past its own switch point, but nothing else: the node may have left the
// primary's line long before that point, under one timeline number (hazard 1).
func judgeWithoutRecord(l Lineage, probe WALProbe, why string) Lineage {
	l.Proof = why
	if probe.Beyond {
		l.Verdict = LineageDiverged
		l.OwnBytes = probe.End.Minus(probe.Limit)
		l.Proof = fmt.Sprintf("the node has a record of its own at %s, where the primary left timeline %d; the content "+
			"before it was not compared: %s",
			probe.Limit, probe.CommonTLI, why)
	}
	return l
}

// judgeUnmatched: the primary's record could not be read. Where its WAL is
// proven gone, the node cannot stream either, whatever its line.
func judgeUnmatched(l Lineage, probe WALProbe, recordErr string, walFrom LSN) Lineage {
	gap := walFrom != 0 && probe.Last.End < walFrom
	if recordErr == "" {
		recordErr = "the primary's record was not read"
	}
	if gap {
		recordErr = fmt.Sprintf("the primary's WAL begins at %s, after the node's last record at %s", walFrom,
			probe.Last.Start)
	}
	l = judgeWithoutRecord(l, probe, recordErr)
	l.StreamGap = gap
	if l.Verdict == LineageUnknown {
		l.Point = probe.Last.End
	}
	return l
}

// judgeForged: one timeline number, two contents. Only the beginning of that
// timeline is surely shared, and pg_rewind would not notice (hazard 1).
func judgeForged(l Lineage, primary History, probe WALProbe, record WALRecord) Lineage {
	l.Verdict, l.SameTimeline = LineageDiverged, true
	l.Point = primary.Begin(probe.CommonTLI)
	l.ProvenTo = max(l.Point, 1)
	l.OwnBytes = probe.End.Minus(l.Point)
	l.Proof = fmt.Sprintf("timeline %d has two contents: the record that ends at %s starts at %s with CRC %08X on the "+
		"node, at %s with CRC %08X on the primary",
		probe.CommonTLI, probe.Last.End, probe.Last.Start, probe.Last.CRC, record.Start, record.CRC)
	return l
}

// judgeOverwritten: the WAL on disk is the primary's, and the data is not. The
// node streams, or has streamed, over WAL of its own under the same number.
func judgeOverwritten(l Lineage, primary History, probe WALProbe) Lineage {
	l.Verdict, l.SameTimeline, l.Overwritten = LineageDiverged, true, true
	l.TLI = probe.Own.TimelineAt(probe.Overwritten)
	l.Point = primary.Begin(l.TLI)
	l.OwnBytes = probe.End.Minus(l.Point)
	l.Proof = fmt.Sprintf("the node's control file names a checkpoint at %s that is no longer in its WAL: WAL of "+
		"another line with timeline number %d was received over it",
		probe.Overwritten, l.TLI)
	return l
}

// sameRecord compares two records by position and content. The checksum covers
// the whole record, its predecessor's position included.
func sameRecord(a, b WALRecord) bool {
	return a.Start == b.Start && a.End == b.End && a.Prev == b.Prev && a.CRC == b.CRC
}

// Equal says whether two histories name the same timelines and switch points.
// Two unknown histories are not equal: unknown proves nothing.
func (h History) Equal(o History) bool {
	if !h.Known() || h.TLI != o.TLI || len(h.Ancestors) != len(o.Ancestors) {
		return false
	}
	for i := range h.Ancestors {
		if h.Ancestors[i] != o.Ancestors[i] {
			return false
		}
	}
	return true
}

// WALRecord identifies one WAL record by content, so that two nodes can be
// compared: equal timeline numbers prove nothing.
type WALRecord struct {
	Start LSN    `json:"start"`
	End   LSN    `json:"end"`
	Prev  LSN    `json:"prev"`
	CRC   uint32 `json:"crc"`
	Desc  string `json:"desc,omitempty"` // resource manager and info, for people
}

// WALProbe is a node's own WAL seen against the primary's history.
type WALProbe struct {
	Source
	// Own is the history of the WAL that the node really has.
	Own History `json:"own"`
	// CommonTLI and Limit: by the numbers, both lines agree up to Limit on
	// CommonTLI. Open: neither has left CommonTLI, so there is no limit yet.
	CommonTLI TimelineID `json:"common_tli"`
	Limit     LSN        `json:"limit"`
	Open      bool       `json:"open"`
	Shared    bool       `json:"shared"` // false: nothing in common at all
	// Beyond: the node has a valid record of its own that starts at Limit.
	Beyond bool `json:"beyond"`
	// End is the true end of the node's WAL as far as it was read.
	End LSN `json:"end"`
	// Last is the last valid record that ends at or before Limit (or End).
	Last *WALRecord `json:"last,omitempty"`
	// WALFrom is the start of the oldest segment still there on the common line.
	WALFrom LSN `json:"wal_from"`
	// LastCheckpoint before Limit, from where a rewind copies; zero if its WAL is gone.
	LastCheckpoint LSN `json:"last_checkpoint"`
	// DataID is that of the directory whose WAL this is, see Inspection.DataID.
	DataID string `json:"data_id,omitempty"`
	// Overwritten is where the directory's own last checkpoint was, if its WAL has
	// something else there now; zero: nothing of the kind was seen. Then the WAL on
	// disk is another line's than the data: a WAL receiver writes what its upstream
	// sends from the beginning of a segment on, over whatever is there.
	Overwritten LSN `json:"overwritten"`
}

// Verdict is how a node's data relates to the primary's.
type Verdict string

// The verdicts. Only OnLine allows a node to stream; Unknown allows nothing
// that could not be undone.
const (
	LineageUnknown  Verdict = ""
	LineageOnLine   Verdict = "on-line"  // its WAL is a prefix of the primary's
	LineageDiverged Verdict = "diverged" // it has WAL that the primary does not
	LineageForeign  Verdict = "foreign"  // nothing in common
)

// Lineage is the verdict on one node against the current primary.
type Lineage struct {
	Source
	Primary NodeID  `json:"primary"`
	Verdict Verdict `json:"verdict"`
	// Point is the divergence point (diverged), or the node's end of WAL (on line).
	Point LSN        `json:"point"`
	TLI   TimelineID `json:"tli"`
	// ProvenTo is up to where the node's WAL is proven, by content, to be the primary's.
	// Zero: nothing was compared, and even WAL before Point may be the node's own.
	ProvenTo LSN `json:"proven_to,omitempty"`
	// SameTimeline: diverged under one timeline number; pg_rewind cannot see it.
	SameTimeline bool `json:"same_timeline,omitempty"`
	// OwnBytes is how much WAL the node has past Point.
	OwnBytes uint64 `json:"own_bytes,omitempty"`
	// RewindWAL: the node still has its WAL back to the last common checkpoint.
	RewindWAL bool `json:"rewind_wal,omitempty"`
	// StreamGap: the primary no longer has the WAL from the node's end on.
	StreamGap bool `json:"stream_gap,omitempty"`
	// Overwritten: the WAL in the directory is no longer that of its data.
	Overwritten bool `json:"overwritten,omitempty"`
	// DataID is that of the directory that was compared.
	DataID string `json:"data_id,omitempty"`
	Proof  string `json:"proof,omitempty"`
}
