package sim

import (
	"fmt"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

// content says how far a directory can be trusted.
type content string

const (
	whole       content = "whole"
	halfRewound content = "half rewound"
	halfCopied  content = "half copied"
	ruined      content = "ruined"
)

// slot is a physical replication slot; it lives in its primary's directory.
type slot struct {
	restart topology.LSN
	active  bool
	lost    bool
}

// dir is a data directory.
type dir struct {
	name    string
	content content
	system  topology.SystemID
	// tip is the end of its WAL, from where it still has it, data the last record
	// whose effects are in the data.
	tip  *record
	from topology.LSN
	data *record
	// controlTLI and checkpointed are what the control file says.
	controlTLI   topology.TimelineID
	checkpointed *record
	clean        bool // shut down, not crashed
	recovering   bool // it was last run as a standby
	signal       bool // standby.signal
	up           topology.NodeID
	slot         string
	slots        map[string]*slot
	ownConfig    bool
	// copied: rewound or copied from another node, so that without standby.signal
	// it is a second primary on the same timeline.
	copied bool
	// over is what the WAL on disk ends with, where a WAL receiver has written its
	// upstream's over the directory's own; nil: tip. What is replayed goes on from
	// tip all the same.
	over *record
	// fills counts what has filled the directory: a copy, a rewind.
	fills int
	// mixed: a rewind or copy that took another line for its own; no reader could
	// tell, and the rows are wrong.
	mixed bool
	// proven: a server has streamed from it, or it was there from the beginning.
	proven bool
}

// history is of the newest timeline that the directory has WAL of. A history file
// that is there is not fetched again (WalRcvFetchTimeLineHistoryFiles), so that WAL
// received under the directory's own timeline number does not bring its own along.
func (d *dir) history() topology.History {
	if d.over != nil && d.over.tli == d.tip.tli {
		return *d.tip.line
	}
	return *d.disk().line
}

// disk is the end of the WAL that its reader finds.
func (d *dir) disk() *record {
	if d.over != nil {
		return d.over
	}
	return d.tip
}

// id tells one filling from the next.
func (d *dir) id() string { return fmt.Sprintf("%s, fill %d", d.name, d.fills) }

// server is a postmaster.
type server struct {
	d       *dir
	ready   time.Time // from when on it accepts connections
	primary bool
	frozen  bool
	private bool // isolated recovery: nobody reaches it
	// promoteAt is when a promotion that was asked for happens; zero: none.
	promoteAt time.Time
	// promoted is when it was; zero: not as this server.
	promoted  time.Time
	streaming bool
	from      topology.NodeID
	paused    bool
	// byUs: repool has started or promoted it.
	byUs bool
}

// node is a database host: its directories, its server, its agents.
type node struct {
	w    *World
	id   topology.NodeID
	host string
	port int

	up     bool // the host has power
	places map[resync.Place]*dir
	srv    *server
	// stray is a program of a dead agent that still works.
	stray  string
	config bool // a copy of the configuration is kept
	full   bool // the disk
	slow   bool // replay
	vault  map[uint64]bool
	kept   []topology.VaultEntry
	disk   disk
	agents []*agentProcess
	dirs   int
	// proof is when the node last was what P1 wants, and on whom.
	proof proof
	// confirmed is when one of its agents last confirmed an upstream, clearedRun the
	// run that was last cleared (P2).
	confirmed   time.Time
	confirmedOf topology.NodeID
	clearedRun  string
	clearedAt   time.Time
	autostart   bool // its service manager starts the server with the host
	// wrote is when it last accepted writes, led when it did as Pgpool-II's
	// primary, troubled when the ways to it were last changed.
	wrote, led, troubled time.Time
	// agentsHeld: so many faults keep its agents down. nextDiesAt is for the next.
	agentsHeld int
	nextDiesAt string
	alone      time.Time // since when it has had no agent
}

type proof struct {
	at      time.Time
	primary topology.NodeID
}

func (n *node) newDir(name string) *dir {
	n.dirs++
	return &dir{name: fmt.Sprintf("%s%d of node %d", name, n.dirs, n.id), content: whole, up: topology.NoNode, slots: map[string]*slot{}}
}

// home is the directory at home, or nil.
func (n *node) home() *dir { return n.places[resync.Home] }

// data is where the node's data are: at home, else aside.
func (n *node) data() (resync.Place, *dir) {
	for _, p := range []resync.Place{resync.Home, resync.Aside} {
		if d := n.places[p]; d != nil {
			return p, d
		}
	}
	return resync.Home, nil
}

// accepting says whether its server takes connections now.
func (n *node) accepting() bool {
	return n.up && n.srv != nil && !n.srv.frozen && !n.srv.private && !time.Now().Before(n.srv.ready)
}

// writes says whether its server is up as a primary.
func (n *node) writes() bool { return n.accepting() && n.srv.primary }

// start starts whatever stands at home. byUs: repool does it.
func (w *World) start(n *node, byUs bool, took time.Duration) error {
	d := n.home()
	switch {
	case !n.up:
		return errDown
	case n.srv != nil:
		return fmt.Errorf("another server might be running; trying to start server anyway")
	case d == nil:
		return fmt.Errorf("directory does not exist")
	}
	if d.content == halfRewound || d.content == halfCopied {
		w.violate("P4", "a server is started in a %s directory (%s)", d.content, d.name)
	}
	if d.content != whole {
		return fmt.Errorf("could not read the control file")
	}
	n.srv = &server{d: d, ready: time.Now().Add(took), primary: !d.signal, from: topology.NoNode, byUs: byUs}
	for _, s := range d.slots {
		s.active = false
	}
	if d.signal {
		d.recovering = true
		d.clean = false
		return nil
	}
	if byUs {
		w.violate("P4", "repool starts node %d as a primary: no standby.signal in %s", n.id, d.name)
	} else if d.copied {
		w.violate("P4", "node %d comes up as a second primary from a rewound or copied directory (%s) without standby.signal", n.id, d.name)
	}
	d.tip, d.over = w.write(d.tip, checkpoint, 0x78), nil
	d.data, d.checkpointed, d.controlTLI = d.tip, d.tip, d.tip.tli
	d.clean, d.recovering = false, false
	return nil
}

// kill ends the server at once, as SIGKILL, a crash or an immediate stop.
func (w *World) kill(n *node) {
	s := n.srv
	if s == nil {
		return
	}
	n.srv = nil
	s.d.clean = false
	w.dropStreams(n)
}

// dieUnder is the primary dying at the moment at which a standby is to be attached
// that has its last commit and is the only one. Pgpool-II knew of the death first.
func (w *World) dieUnder(n *node) {
	if !w.dieUnderAttach || w.pgpool.primary < 0 {
		return
	}
	u := w.nodes[w.pgpool.primary]
	if u == n || !u.writes() || !n.accepting() || !n.srv.streaming || n.srv.from != u.id || n.srv.d.data != u.srv.d.tip {
		return
	}
	w.dieUnderAttach = false
	last := w.write(u.srv.d.tip, commit, 500)
	for _, d := range []*dir{u.srv.d, n.srv.d} {
		d.tip, d.data = last, last
	}
	w.note("node %d dies as node %d is to be attached, which alone has its last commit", u.id, n.id)
	w.kill(u)
	w.pgpool.enqueue(request{node: u.id})
}

// stop ends it with a shutdown checkpoint. Standbys that stream get all of it.
func (w *World) stop(n *node) {
	s := n.srv
	if s == nil {
		return
	}
	if s.primary {
		s.d.tip = w.write(s.d.tip, checkpoint, 0x78)
		s.d.data, s.d.checkpointed, s.d.controlTLI = s.d.tip, s.d.tip, s.d.tip.tli
		for _, m := range w.nodes {
			if m != n && m.srv != nil && m.srv.streaming && m.srv.from == n.id && !w.cut(m.place(), n.place()) && !w.cut(n.place(), m.place()) && holds(s.d.tip, m.srv.d.tip) {
				m.srv.d.tip = s.d.tip
			}
		}
	}
	n.srv = nil
	s.d.clean = true
	w.dropStreams(n)
}

func (w *World) dropStreams(n *node) {
	for _, m := range w.nodes {
		if m.srv != nil && m.srv.from == n.id {
			m.srv.streaming, m.srv.from = false, topology.NoNode
		}
	}
}

// powerCut takes the host away with all that was not on disk.
func (w *World) powerCut(n *node) {
	w.kill(n)
	n.up, n.stray = false, ""
	for _, a := range n.agents {
		a.die()
	}
	if d := n.home(); d != nil && d.content == whole && d.recovering && d.tip != d.data && d.tip.parent != nil {
		d.tip = d.tip.parent // received, and not flushed
		if !holds(d.tip, d.data) {
			d.data = d.tip
		}
	}
}

// promote makes a running standby the primary of a new timeline.
func (w *World) promote(n *node) {
	s := n.srv
	d := s.d
	d.data, d.over = d.tip, nil
	d.tip = w.fork(d.tip, d.tip.tli+1)
	d.data = d.tip
	d.signal, d.recovering, d.copied = false, false, false
	s.primary, s.promoteAt, s.streaming, s.from, s.promoted = true, time.Time{}, false, topology.NoNode, time.Now()
	// The control file goes on naming the old timeline until the next checkpoint.
	w.note("node %d is promoted: timeline %d from %s", n.id, d.tip.tli, d.tip.start)
}

// checkpointNow writes one on a running primary.
func (w *World) checkpointNow(n *node) {
	d := n.srv.d
	d.tip = w.write(d.tip, checkpoint, 0x78)
	d.data, d.checkpointed, d.controlTLI = d.tip, d.tip, d.tip.tli
}

// recycle removes a primary's WAL up to the middle of some record near its end,
// as checkpoints do. Slots hold it, unless more is wanted than
// max_slot_wal_keep_size allows. A segment is much longer than a record, so the
// cut does not go through what happens to be some node's last one.
func (w *World) recycle(n *node, overSlots bool) {
	_, d := n.data()
	if d == nil || d.content != whole {
		return
	}
	to := d.tip
	for _, s := range d.slots {
		switch {
		case to == nil || s.lost || s.restart == 0 || s.restart >= to.end:
		case overSlots:
			s.lost = true
		default:
			to = at(to, s.restart-min(s.restart-firstLSN, 64<<10))
		}
	}
	if to != nil {
		to = to.parent
	}
	for to != nil && w.someLast(to) {
		to = to.parent
	}
	if to != nil {
		d.from = max(d.from, to.start+8)
	}
}

func (w *World) someLast(r *record) bool {
	for _, n := range w.nodes {
		for _, d := range n.places {
			if d != nil && d.tip == r {
				return true
			}
		}
	}
	return false
}
