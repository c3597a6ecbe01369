package pcp

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// DefaultPort is the port when Config.Port is zero (pcp_port's default).
	DefaultPort = 9898
	// DefaultTimeout bounds one command when Config.Timeout is zero.
	DefaultTimeout = 10 * time.Second
	// maxUser is the longest user name that fits Pgpool-II's 128-byte buffer.
	maxUser = 127
)

// defaultSocketDirs are where Pgpool-II puts its PCP socket when nothing else is
// configured: Debian's builds first, then upstream's.
var defaultSocketDirs = [...]string{"/var/run/postgresql", "/tmp"}

// Config says where a Pgpool-II listens for PCP and as whom to log in. Printing
// it, by fmt or slog, shows neither password nor hash. That does not hold for an
// unexported field of this type in a struct of yours: fmt goes through those
// without asking them, so give such a struct a String method.
type Config struct {
	// Host is a host name or address, or an absolute path: the directory of
	// the unix socket (pcp_socket_dir). Empty means the unix socket in
	// /var/run/postgresql, or in /tmp if only that one has it.
	Host string
	// Port is pcp_port; zero means DefaultPort. It names the unix socket too.
	Port int
	// User is a name of pcp.conf, at most 127 bytes.
	User string
	// Password is the clear password. Set it or PasswordHash, not both.
	Password string `json:"-"`
	// PasswordHash is the 32 hex digits of pcp.conf. It lets its holder log in
	// just as the password does: keep it as secret.
	PasswordHash string `json:"-"`
	// Timeout bounds one whole command, and one dial with its login; zero means
	// DefaultTimeout. A context that ends sooner wins. It does not bound the
	// commands that wait for Pgpool-II's work to end: see Conn.RecoverNode.
	Timeout time.Duration
	// Location is the time zone of the Pgpool-II host, in which it writes the
	// times of HealthStats and ProcessInfo; nil means this host's zone.
	Location *time.Location
}

// Addr names the endpoint: "host:port", or the path of the unix socket.
func (c Config) Addr() string {
	if c.unix() {
		return c.socketPath()
	}
	return net.JoinHostPort(c.Host, strconv.Itoa(c.port()))
}

func (c Config) unix() bool { return c.Host == "" || strings.HasPrefix(c.Host, "/") }

func (c Config) network() string {
	if c.unix() {
		return "unix"
	}
	return "tcp"
}

func (c Config) port() int {
	if c.Port == 0 {
		return DefaultPort
	}
	return c.Port
}

func (c Config) timeout() time.Duration {
	if c.Timeout <= 0 {
		return DefaultTimeout
	}
	return c.Timeout
}

func (c Config) location() *time.Location {
	if c.Location == nil {
		return time.Local
	}
	return c.Location
}

func (c Config) socketPath() string {
	name := ".s.PGSQL." + strconv.Itoa(c.port())
	if c.Host != "" {
		return filepath.Join(c.Host, name)
	}
	for _, dir := range defaultSocketDirs {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return filepath.Join(defaultSocketDirs[0], name)
}

// check finds what would make a login impossible before anything is dialled.
func (c Config) check() error {
	switch {
	case c.Port < 0 || c.Port > 65535:
		return fmt.Errorf("port %d is out of range", c.Port)
	case c.User == "":
		return errors.New("no user: name one of pcp.conf")
	case len(c.User) > maxUser:
		return fmt.Errorf("user name of %d bytes: at most %d are possible", len(c.User), maxUser)
	case strings.ContainsRune(c.User, 0):
		return errors.New("user name contains a zero byte")
	case c.Password != "" && c.PasswordHash != "":
		return errors.New("both a password and a password hash: give one of them")
	case c.Password == "" && c.PasswordHash == "":
		return fmt.Errorf("%w: set one, or add a line to the .pcppass file", ErrNoPassword)
	case c.PasswordHash != "" && !isMD5Hex(c.PasswordHash):
		return errors.New("password hash is not 32 hexadecimal digits: take it from pcp.conf, without the user name")
	}
	return nil
}

// String names user and endpoint, never the password.
func (c Config) String() string {
	return fmt.Sprintf("pcp %s@%s password=%s", c.User, c.Addr(), c.masked())
}

// GoString is String, so that %#v shows no password either.
func (c Config) GoString() string { return "pcp.Config{" + c.String() + "}" }

// Format makes every verb of fmt print String, since most others would walk
// through the fields.
func (c Config) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, c.String()) }

// LogValue is what slog records.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(slog.String("addr", c.Addr()), slog.String("user", c.User))
}

func (c Config) masked() string {
	if c.Password == "" && c.PasswordHash == "" {
		return "(none)"
	}
	return "(hidden)"
}
