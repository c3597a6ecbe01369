package config

import (
	"time"

	"github.com/repool/repool/internal/node/postgres"
)

// Config is repool.yaml. The zero value of each field means "default".
type Config struct {
	Pgpool      Pgpool         `yaml:"pgpool"`
	Peers       []Peer         `yaml:"peers"`
	Database    postgres.Login `yaml:"database"`
	Replication postgres.Login `yaml:"replication"`
	Controller  Controller     `yaml:"controller"`
	Page        Page           `yaml:"page"`
	Nodes       []Node         `yaml:"nodes"`
	TLS         TLS            `yaml:"tls"`
	SSH         SSH            `yaml:"ssh"`
	Agent       OwnAgent       `yaml:"agent"`
	Policy      Policy         `yaml:"policy"`
	Vault       Vault          `yaml:"vault"`
	Notify      Notify         `yaml:"notify"`
	Log         Log            `yaml:"log"`
	Tracing     Tracing        `yaml:"tracing"`
	Environment Environment    `yaml:"environment"`
}

// Pgpool is the Pgpool-II beside this controller.
type Pgpool struct {
	// Conf is the path of pgpool.conf; default DefaultPgpoolConf.
	Conf string `yaml:"conf"`
	PCP  PCP    `yaml:"pcp"`
}

// PCP says how to log in to a Pgpool-II. Host and port default to those in
// pgpool.conf (its unix socket first), the user to "repool". It holds no password.
type PCP struct {
	Host     string        `yaml:"host"`
	Port     int           `yaml:"port"`
	User     string        `yaml:"user"`
	Passfile string        `yaml:"passfile"` // default: PCPPASSFILE, then ~/.pcppass
	Timeout  time.Duration `yaml:"timeout"`
}

// Peer is another, independent Pgpool-II over the same nodes (no watchdog):
// it needs its own attach.
type Peer struct {
	PCP PCP `yaml:"pcp"`
}

// Controller is `repool serve`.
type Controller struct {
	StateDir string        `yaml:"state_dir"` // default /var/lib/repool
	Socket   string        `yaml:"socket"`    // default <state_dir>/repool.sock
	Interval time.Duration `yaml:"interval"`  // default 1s
	Listen   string        `yaml:"listen"`    // host:port of page, metrics and health; default none
}

// Page says who may act on the page at controller.listen. With neither field set
// the page is read-only.
type Page struct {
	// PasswordHash is a bcrypt hash, as repool setup password prints it.
	PasswordHash string `yaml:"password_hash"`
	// TokenFile holds a secret of at least 16 characters; mode 0600.
	TokenFile string `yaml:"token_file"`
}

// Node adds to what pgpool.conf says about one backend.
type Node struct {
	ID int `yaml:"id"`
	// Agent is "local" (default when the host is this one), "unix:/path",
	// "https://host:port" or "ssh://user@host[:port]".
	Agent string `yaml:"agent"`
	// DataDirectory defaults to backend_data_directoryN.
	DataDirectory string `yaml:"data_directory"`
	// ConfigFile is postgresql.conf where it lies outside the data directory;
	// default: found in /etc/postgresql by its data_directory line.
	ConfigFile string `yaml:"config_file"`
	// BinDirectory defaults to where package layout finds the node's version.
	BinDirectory string `yaml:"bin_directory"`
	// WorkDirectory holds the journal, saved configuration, vault and the directory
	// under repair; default <data_directory>.repool. It must be on the data
	// directory's file system.
	WorkDirectory string `yaml:"work_directory"`
}

// TLS are the certificate files of this side, controller or agent: whom it
// trusts, and who it is. They are reread when they change.
type TLS struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// SSH is the ssh program that agents are reached with, and its configuration
// file; default: the ssh in PATH, and the user's own configuration.
type SSH struct {
	Program    string `yaml:"program"`
	ConfigFile string `yaml:"config_file"`
}

// OwnAgent is the agent on a database host without Pgpool-II. It says what
// pgpool.conf, which is elsewhere, would say. The directories are those of the
// entry in nodes.
type OwnAgent struct {
	Node int `yaml:"node"`
	// Port and Host are how the server is reached from here; default 5432 and the
	// unix socket.
	Port int    `yaml:"port"`
	Host string `yaml:"host"`
	// Socket is for programs of this host and for `repool agent --stdio`.
	Socket string `yaml:"socket"`
	// Listen is the host:port for controllers over TLS; empty: none.
	Listen string `yaml:"listen"`
	// Controllers are the accepted names in a controller's certificate.
	Controllers []string `yaml:"controllers"`
	// WhenAlone is what happens to a primary after no controller has been in
	// contact for AloneAfter: "keep" (default) or "stop".
	WhenAlone  string        `yaml:"when_alone"`
	AloneAfter time.Duration `yaml:"alone_after"`
	// ResyncCommand is the operator's own resync on this host.
	ResyncCommand string `yaml:"resync_command"`
}

// Policy says what repool may do without asking, and when a node may be attached.
type Policy struct {
	// Methods: attach, start, follow, adopt, rewind, base-backup, fence → auto, ask, never.
	Methods        map[string]string `yaml:"methods"`
	MaxLag         string            `yaml:"max_lag"` // bytes, such as 16MB
	MaxAttempts    int               `yaml:"max_attempts"`
	BackoffBase    time.Duration     `yaml:"backoff_base"`
	BackoffMax     time.Duration     `yaml:"backoff_max"`
	FollowGrace    time.Duration     `yaml:"follow_grace"`
	StreamPatience time.Duration     `yaml:"stream_patience"`
	NudgeAfter     time.Duration     `yaml:"nudge_after"`
	Headroom       string            `yaml:"headroom"` // bytes to keep free, such as 1GB
	MaxRate        string            `yaml:"max_rate"` // of base backup, such as 100MB; empty: none
	// Compression of a base backup between hosts: none (default), auto, gzip, lz4, zstd.
	Compression string   `yaml:"compression"`
	Failover    Failover `yaml:"failover"`
}

// Vault says where lost WAL is kept.
type Vault struct {
	// Directory defaults to <work_directory>/vault on each node.
	Directory string `yaml:"directory"`
	// MaxBytes is the size of one node's vault above which `repool check` warns.
	// repool itself removes nothing from a vault. Default 10GB.
	MaxBytes string `yaml:"max_bytes"`
}

// Notify says who is told about events; default: nobody.
type Notify struct {
	// OnEvent is a command line for /bin/sh, run once for each event.
	OnEvent string  `yaml:"on_event"`
	Webhook Webhook `yaml:"webhook"`
}

// Webhook is an address that each event is posted to.
type Webhook struct {
	URL string `yaml:"url"`
	// SecretFile holds the key of the signature; without it nothing is signed.
	SecretFile string `yaml:"secret_file"`
}

// Log says how serve and agent write their log.
type Log struct {
	Format string `yaml:"format"` // text or json; default text
}

// Tracing says where the trace of each run goes.
type Tracing struct {
	// Endpoint is the URL of an OpenTelemetry collector (OTLP over HTTP); empty:
	// OTEL_EXPORTER_OTLP_ENDPOINT, and without that no traces.
	Endpoint string `yaml:"endpoint"`
}

// Environment is added to the environment of PostgreSQL's programs, such as
// PG_CLUSTER_CONF_ROOT. It must not hold passwords.
type Environment map[string]string
