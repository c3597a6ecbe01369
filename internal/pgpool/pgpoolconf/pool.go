package pgpoolconf

import (
	"strings"
	"time"
)

// Pool is what pgpool.conf says about the pool, defaults filled in. Passwords
// are left out: they come from .pgpass and .pcppass.
type Pool struct {
	// Nodes is indexed by node id and goes up to the highest id with a port.
	// Gaps are nodes for which Unused is true.
	Nodes []Node

	ClusteringMode  string // lower case, such as streaming_replication
	ListenAddresses []string
	Port            int
	// SocketDir is where clients find the socket; the first where several are
	// allowed (4.4 and later).
	SocketDir string
	PCP       PCP

	SRCheck  SRCheck
	Failover Failover
	Recovery Recovery
	Watchdog Watchdog

	// WorkDir holds pgpool_status: logdir, from 4.7 on work_dir.
	WorkDir string
	// ResyncCommand is repool's own setting: empty, or a command line with
	// placeholders, see Expand.
	ResyncCommand string
}

// Node is one node as pgpool.conf describes it.
type Node struct {
	ID int
	// Host as written, which is the text Pgpool-II compares with
	// primary_conninfo. Empty means the local unix socket, as does a path.
	Host        string
	Port        int // 0: the id is not used
	DataDir     string
	AppName     string
	Weight      float64 // as written; shares are relative to the sum of all
	Flags       Flags
	HealthCheck HealthCheck
}

// Unused tells that no node has this id. Pgpool-II goes by the port alone.
func (n Node) Unused() bool { return n.Port == 0 }

// Local tells that the node is reached by a unix socket on Pgpool-II's host.
func (n Node) Local() bool { return n.Host == "" || strings.HasPrefix(n.Host, "/") }

// HealthCheck is how Pgpool-II checks one node.
type HealthCheck struct {
	Period         time.Duration // 0: the node is not checked
	Timeout        time.Duration // 0: none
	User           string
	Database       string // empty: postgres, then template1
	MaxRetries     int
	RetryDelay     time.Duration
	ConnectTimeout time.Duration
}

// PCP is where Pgpool-II's control protocol is served.
type PCP struct {
	Port            int
	ListenAddresses []string // empty: no TCP
	SocketDir       string   // the first, where several are allowed (4.5 and later)
}

// SRCheck is how Pgpool-II finds the primary and the standbys' delay.
type SRCheck struct {
	Period   time.Duration // 0: no delay and no replication state
	User     string
	Database string
}

// Failover is what makes Pgpool-II detach and attach nodes, and its hooks.
type Failover struct {
	Command              string // failover_command
	FailbackCommand      string
	FollowPrimaryCommand string
	OnNodeError          bool // failover_on_backend_error
	// OnNodeShutdown is failover_on_backend_shutdown. Its default differs even
	// between patch releases, so better set it.
	OnNodeShutdown       bool
	DetachFalsePrimary   bool
	SearchPrimaryTimeout time.Duration // 0: for ever
	AutoFailback         bool
	AutoFailbackInterval time.Duration
}

// Recovery is Pgpool-II's online recovery, pcp_recovery_node.
type Recovery struct {
	User     string
	Database string
	// FirstStage and SecondStage are file names in the primary's data directory.
	FirstStage, SecondStage string
	Timeout                 time.Duration
	// ClientIdleLimit is client_idle_limit_in_recovery: -1 s cuts clients off
	// at once, 0 waits for them.
	ClientIdleLimit time.Duration
}

// Watchdog is how several Pgpool-II processes agree.
type Watchdog struct {
	Use               bool
	NeedQuorum        bool // failover_when_quorum_exists
	NeedConsensus     bool // failover_require_consensus
	MultipleRequests  bool // allow_multiple_failover_requests_from_node
	HalfVotesSuffice  bool // enable_consensus_with_half_votes
	LocalIPCSocketDir string
}

// Flags of a node. Nothing set means that failover is allowed.
type Flags struct {
	DisallowToFailover bool
	AlwaysPrimary      bool
}

// AllowToFailover is the opposite of DisallowToFailover, and the default.
func (fl Flags) AllowToFailover() bool { return !fl.DisallowToFailover }

// add applies one backend_flag setting. Flags add up over repeated settings:
// only the failover flag can be taken back, ALWAYS_PRIMARY stays.
func (fl Flags) add(set Setting) (Flags, error) {
	if _, err := set.text(); err != nil {
		return fl, err
	}
	var allow, disallow bool
	for word := range strings.SplitSeq(set.Value, "|") {
		switch word {
		case "": // Pgpool-II skips empty words, but blanks make a word unknown
		case "ALLOW_TO_FAILOVER":
			allow = true
		case "DISALLOW_TO_FAILOVER":
			disallow = true
		case "ALWAYS_PRIMARY":
			fl.AlwaysPrimary = true
		default:
			return fl, &ValueError{
				Setting: set, Msg: "unknown flag '" + word + "'",
				Hint: "join ALLOW_TO_FAILOVER, DISALLOW_TO_FAILOVER and ALWAYS_PRIMARY with | and no blanks",
			}
		}
	}
	if allow && disallow {
		return fl, &ValueError{Setting: set, Msg: "failover both allowed and disallowed"}
	}
	if allow || disallow {
		fl.DisallowToFailover = disallow
	}
	return fl, nil
}

// Defaults are what a build of Pgpool-II takes for settings left out. The zero
// value is Debian's package of 4.3.5.
type Defaults struct {
	Version   Version // zero: 4.3.5
	SocketDir string  // empty: /var/run/postgresql; built from source /tmp
	WorkDir   string  // empty: /var/log/postgresql; built from source /tmp
}

func (d Defaults) filled() Defaults {
	if d.Version == (Version{}) {
		d.Version = Version{4, 3, 5}
	}
	if d.SocketDir == "" {
		d.SocketDir = "/var/run/postgresql"
	}
	if d.WorkDir == "" {
		d.WorkDir = "/var/log/postgresql"
	}
	return d
}

// noUser is the default of the user names for checks.
func (d Defaults) noUser() string {
	if d.Version.AtLeast(4, 6, 0) {
		return ""
	}
	return "nobody"
}

// onNodeShutdown is the default of failover_on_backend_shutdown. Before 4.3 the
// parameter did not exist and a shutdown always led to failover.
func (d Defaults) onNodeShutdown() bool {
	v := d.Version
	switch {
	case v.AtLeast(4, 6, 0):
		return false
	case v.AtLeast(4, 5, 0):
		return !v.AtLeast(4, 5, 1)
	case v.AtLeast(4, 4, 0):
		return !v.AtLeast(4, 4, 6)
	}
	return !v.AtLeast(4, 3, 9)
}
