package fakehost

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/resync"
)

// DatabaseBytes is how large every database is.
const DatabaseBytes = 1 << 30

// Errors of a host and of its server.
var (
	errDown    = errors.New("the host is down")
	ErrRefused = fmt.Errorf("connect: %w", syscall.ECONNREFUSED)
	errFull    = fmt.Errorf("write: %w", syscall.ENOSPC)
)

// Server is a postmaster.
type Server struct {
	Dir     *Dir
	Ready   time.Time // from when on it accepts connections
	Primary bool
	Frozen  bool
	// Inconsistent: a standby without the WAL that it needs to answer anybody. It ends with the first stream.
	Inconsistent bool
	// PromoteAt is when a promotion that was asked for happens; zero: none.
	PromoteAt time.Time
	// Promoted is when it was; zero: not as this server.
	Promoted  time.Time
	Streaming bool
	From      topology.NodeID
	Paused    bool
	// ByUs: repool has started or promoted it.
	ByUs bool
}

// Node is a database host: its directories and its server.
type Node struct {
	ID   topology.NodeID
	Host string
	Port int

	Up     bool // the host has power
	Places map[resync.Place]*Dir
	Server *Server // nil: stopped
	// Stray is a program of a dead agent that is still at work.
	Stray  string
	Config bool   // a copy of the configuration is kept
	Full   bool   // the disk
	Free   uint64 // bytes, when it is not full
	Slow   bool   // replay
	// Stuck: replay does not move, behind a query or by design, since StuckAt.
	Stuck   bool
	StuckAt time.Time
	// Refuses: its server does not start for a reason of its own. Refused is the directory in which repool was told
	// so last. Configs counts the changes of the configuration.
	Refuses bool
	Refused *Dir
	Configs int
	// Command is the operator's resync_command; nil: none is configured.
	Command func() error
	// Vaulted are the commits in the vault, by id; Kept are its entries.
	Vaulted map[uint64]bool
	Kept    []topology.VaultEntry
	dirs    int
}

// NewNode is a host with power whose agent has kept its configuration, and without any data.
func NewNode(id topology.NodeID, host string, port int) *Node {
	return &Node{ID: id, Host: host, Port: port, Up: true, Places: map[resync.Place]*Dir{}, Config: true, Free: 1 << 40,
		Vaulted: map[uint64]bool{}}
}

// NewDir is an empty directory.
func (n *Node) NewDir(name string) *Dir {
	n.dirs++
	return &Dir{Name: fmt.Sprintf("%s%d of node %d", name, n.dirs, n.ID), Content: Whole, Upstream: topology.NoNode,
		Slots: map[string]*Slot{}}
}

// Home is the directory at home, or nil.
func (n *Node) Home() *Dir { return n.Places[resync.Home] }

// Data is where the node's data are: at home, else in repair.
func (n *Node) Data() (resync.Place, *Dir) {
	for _, p := range []resync.Place{resync.Home, resync.InRepair} {
		if d := n.Places[p]; d != nil {
			return p, d
		}
	}
	return resync.Home, nil
}

// Accepting says whether its server takes connections now.
func (n *Node) Accepting() bool {
	s := n.Server
	return n.Up && s != nil && !s.Frozen && !s.Inconsistent && !time.Now().Before(s.Ready)
}

// Writes says whether its server is up as a primary.
func (n *Node) Writes() bool { return n.Accepting() && n.Server.Primary }

// State is what an agent sees of the server.
func (n *Node) State() topology.ServerState {
	switch {
	case n.Server == nil:
		return topology.ServerStopped
	case n.Server.Frozen:
		return topology.ServerFrozen
	case n.Server.Inconsistent || time.Now().Before(n.Server.Ready):
		return topology.ServerStarting
	}
	return topology.ServerRunning
}

// otherCopy says whether another directory of the node is whole and has streamed.
func (n *Node) otherCopy(d *Dir) bool {
	for _, o := range n.Places {
		if o != nil && o != d && o.Proven && o.Content == Whole {
			return true
		}
	}
	return false
}

func (n *Node) free() uint64 {
	if n.Full {
		return 0
	}
	return n.Free
}

// room is the error of a write to a full disk.
func (n *Node) room() error {
	if n.Full {
		return errFull
	}
	return nil
}

func (n *Node) runsIn(d *Dir) bool { return n.Server != nil && n.Server.Dir == d }
