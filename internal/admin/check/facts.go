package check

import (
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/repool/repool/internal/admin/certs"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/postgres"
	"github.com/repool/repool/internal/pgpool/pgpoolconf"
)

// Facts is everything the checks look at. An unknown fact is nil or empty, or has
// an error beside it.
type Facts struct {
	Taken time.Time
	// Pool is read leniently; ConfigErr is what a strict reading reports.
	Pool      *config.Pool
	ConfigErr string
	// File is pgpool.conf with its line numbers.
	File *pgpoolconf.File
	// Program is the path of repool in remedies.
	Program string
	Pgpool  PgpoolFacts
	Nodes   []NodeFacts
	Files   FileFacts
	// TCPRetries is the kernel's net.ipv4.tcp_retries2 on this host; 0: not known.
	TCPRetries int
	Controller ControllerFacts
}

// Primary is the one node that says it is not in recovery; nil: there is none, or
// more than one.
func (f *Facts) Primary() *NodeFacts {
	var found *NodeFacts
	for i := range f.Nodes {
		if n := &f.Nodes[i]; n.SQL.OK() && !n.SQL.InRecovery {
			if found != nil {
				return nil
			}
			found = n
		}
	}
	return found
}

// node is the node with that id, or nil.
func (f *Facts) node(id topology.NodeID) *NodeFacts {
	for i := range f.Nodes {
		if f.Nodes[i].Conf.ID == id {
			return &f.Nodes[i]
		}
	}
	return nil
}

// at is file:line of a setting of pgpool.conf; empty when it is not set.
func (f *Facts) at(name string) string {
	if f.File == nil {
		return ""
	}
	set, ok := f.File.Lookup(name)
	if !ok {
		return ""
	}
	return place(set)
}

// atNode is at for a setting with a node index, or its default without one.
func (f *Facts) atNode(name string, id topology.NodeID) string {
	if f.File == nil {
		return ""
	}
	set, ok := f.File.LookupNode(name, int(id))
	if !ok {
		return ""
	}
	return place(set)
}

func place(s pgpoolconf.Setting) string { return fmt.Sprintf("%s:%d", s.File, s.Line) }

// LoginResult is how an attempt to log in ended.
type LoginResult struct {
	Tried bool
	User  string
	// Err is empty when the login worked; Code is PostgreSQL's SQLSTATE.
	Err, Code string
	// Away: no server answered that could have judged user and password. NoName: its
	// host name cannot be resolved.
	Away, NoName bool
}

// Failed says that a server answered, and did not let the user in.
func (l LoginResult) Failed() bool { return l.Tried && l.Err != "" && !l.Away }

// OK says whether the login was tried and worked.
func (l LoginResult) OK() bool { return l.Tried && l.Err == "" }

// NodeFacts is what is known about one node.
type NodeFacts struct {
	Conf config.NodeConf
	SQL  SQLFacts
	// Replication is a physical replication connection with IDENTIFY_SYSTEM.
	Replication LoginResult
	// HealthCheck and SRCheck are Pgpool-II's own users, tried from here.
	HealthCheck, SRCheck LoginResult
	// Addresses are where the node connects from; none: unknown, or a socket.
	Addresses []netip.Addr
	// HBA is nil if the rules could not be read; HBAErr says why.
	HBA    []HBARule
	HBAErr string
	// Local is nil for a node on another machine without an agent that answers.
	Local    *LocalFacts
	LocalErr string
}

// Subject is how findings name the node.
func (n *NodeFacts) Subject() string { return "node " + n.Conf.ID.String() }

// SQLFacts is what a node says to the database role.
type SQLFacts struct {
	LoginResult
	// Refused: nothing listens, or the server is starting or stopping.
	Refused bool
	// Missed are groups of facts that could not be read, with the error.
	Missed map[string]string

	Version    int // server_version_num
	InRecovery bool
	SystemID   topology.SystemID
	Timeline   topology.TimelineID
	Role       RoleFacts
	// StandbyRole is the replication role's row of pg_roles.
	StandbyRole StandbyRole
	// Settings are raw values of pg_settings, in each one's own unit.
	Settings map[string]string
	// Upstream is primary_conninfo, without its password.
	Upstream postgres.ConnInfo
	Slots    []topology.Slot
	// Collations maps provider (libc, icu) to the version of its library.
	Collations    map[string]string
	DatabaseBytes uint64
	Tablespaces   []string
	// NextStart are what would keep the server from starting again, as far as its
	// files tell and the role may see.
	NextStart []ConfigFault
}

// ConfigFault is one thing wrong with a file of the server's configuration.
type ConfigFault struct {
	File string
	Line int    // 0: the whole file
	What string // the server's words, or ours
}

// RoleFacts is what the database role may do on one node.
type RoleFacts struct {
	Superuser, Replication, Monitor, Checkpoint bool
	// Functions says for each of Functions whether it may be executed.
	Functions map[string]bool
}

// StandbyRole is the role that standbys stream as.
type StandbyRole struct{ Exists, CanLogin, Replication bool }

// Functions are those that pg_rewind calls on its source (see its manual page) and
// the one that promotes. Grants on them are per database: they must be made where
// repool connects.
var Functions = []string{
	"pg_catalog.pg_ls_dir(text,boolean,boolean)",
	"pg_catalog.pg_stat_file(text,boolean)",
	"pg_catalog.pg_read_binary_file(text)",
	"pg_catalog.pg_read_binary_file(text,bigint,bigint,boolean)",
	PromoteFunction,
}

// PromoteFunction promotes a standby.
const PromoteFunction = "pg_catalog.pg_promote(boolean,integer)"

// LocalFacts is what was found in a data directory on this machine, or by an agent.
type LocalFacts struct {
	Dir    string
	Exists bool
	// SystemID and Major are zero if unknown.
	SystemID topology.SystemID
	Major    int

	MountPoint  bool
	Tablespaces int
	// MountsBelow are mount points within the directory. SpacesErr says why a tablespace cannot be given a second one
	// beside it.
	MountsBelow, SpacesErr []string
	Odd                    []string
	// Own are the names at the top of the directory that are the node's own, Lost what of it no copy could keep.
	Own, Lost []string
	DataBytes uint64
	WALBytes  uint64
	FreeBytes uint64
	// Kept is what is kept beside the data directory.
	Kept topology.Kept
	// Vault is what is kept of the node's lost timelines.
	Vault []topology.VaultEntry
	// WorkDirErr says why the work directory cannot be created or used for renames.
	WorkDirErr string
	// Scripts are the recovery scripts in the directory, by name.
	Scripts map[string]RecoveryScript
}

// RecoveryScript is a script of online recovery in a data directory.
type RecoveryScript struct {
	Mode os.FileMode
	// Shim: repool has installed it, so that it calls repool.
	Shim bool
}

// PgpoolFacts is what is known about the Pgpool-II beside the controller.
type PgpoolFacts struct {
	Version pgpoolconf.Version // zero: unknown
	PCP     LoginResult
	// Endpoint names it in messages.
	Endpoint string
	// Watchdog is only meaningful with PCP.OK.
	Watchdog topology.Watchdog
	// Running are the settings in effect, by name; empty: unknown.
	Running map[string]string
	Peers   []PeerFacts
	// User runs Pgpool-II, and so its hooks.
	User Identity
	// Hooks are the programs called by the commands in pgpool.conf.
	Hooks map[string]Program
}

// PeerFacts is one of the other, independent Pgpool-IIs.
type PeerFacts struct {
	Endpoint string
	PCP      LoginResult
}

// Identity is a user of this system.
type Identity struct {
	Name string
	UID  uint32
	GIDs []uint32
}

// Program is the first word of a hook's command line.
type Program struct {
	Path string
	// Repool is the program itself, Shim a script that repool installed.
	Repool, Shim bool
	// Err says why Pgpool-II's user cannot run it.
	Err string
}

// FileFacts are repool's own files.
type FileFacts struct {
	PGPass, ReplicationPass, PCPPass Passfile
	StateDir, StateDirErr            string
	// Certs are those of the tls section; CertsErr: why one cannot be read.
	Certs    []certs.Expiry
	CertsErr string
}

// Passfile is a .pgpass or .pcppass.
type Passfile struct {
	Path   string
	Exists bool
	// Err says why it is not used: its mode, its owner, or it is not a file.
	Err string
	// Without are the nodes or endpoints that have no line in it.
	Without []string
}

// ControllerFacts is what the controller's socket answered.
type ControllerFacts struct {
	Socket  string
	Running bool
	Acting  bool
	// Why it only looks, or why it could not be asked.
	Why string
}
