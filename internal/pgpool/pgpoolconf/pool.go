package pgpoolconf

import (
	"strings"
	"time"
)

// Pool is what pgpool.conf says about the pool and repool goes by, with the
// defaults filled in. Passwords are left out: they come from .pgpass and .pcppass.
type Pool struct {
	// Backends is indexed by node id and goes up to the highest id with a port.
	// Gaps are backends for which Unused is true.
	Backends       []Backend
	ClusteringMode string // lower case, such as streaming_replication
	PCP            PCP
	SRCheck        Check
	Failover       Failover
	Recovery       Recovery
	UseWatchdog    bool
	WorkDir        string // holds pgpool_status
	// ResyncCommand is repool's own setting: empty, or a command line with
	// placeholders, see Expand.
	ResyncCommand string
}

// Backend is one backend slot of pgpool.conf.
type Backend struct {
	ID int
	// Host as written, which is the text Pgpool-II compares with
	// primary_conninfo. Empty means the local unix socket, as does a path.
	Host        string
	Port        int // 0: the id is not used
	DataDir     string
	AppName     string
	Flags       Flags
	HealthCheck Check
}

// Unused tells that no backend has this id. Pgpool-II goes by the port alone.
func (b Backend) Unused() bool { return b.Port == 0 }

// Check is how often Pgpool-II asks a backend something, and as whom.
type Check struct {
	Period   time.Duration // 0: never
	User     string        // empty: none is set, and there is no default
	Database string        // empty: postgres, then template1
}

// PCP is where Pgpool-II's control protocol is served on its own host.
type PCP struct {
	Port      int
	SocketDir string // the first, where several are allowed (4.5 and later)
}

// Failover is what makes Pgpool-II detach and attach backends.
type Failover struct {
	OnError bool // failover_on_backend_error
	// OnShutdown is failover_on_backend_shutdown. Its default differs even
	// between patch releases.
	OnShutdown           bool
	DetachFalsePrimary   bool
	SearchPrimaryTimeout time.Duration // 0: for ever
	AutoFailback         bool
}

// Recovery is Pgpool-II's online recovery, pcp_recovery_node.
type Recovery struct {
	User     string
	Database string
	// FirstStage and SecondStage are file names in the primary's data directory.
	FirstStage, SecondStage string
}

// Flags of a backend. Nothing set means that failover is allowed.
type Flags struct {
	DisallowToFailover bool
	AlwaysPrimary      bool
}

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
