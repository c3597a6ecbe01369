package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/crypto/bcrypt"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/postgres"
)

// maxNode is the highest node id that Pgpool-II knows.
const maxNode = 127

// sizes are the settings given as text such as 16MB, in bytes; zero: not given.
type sizes struct{ maxLag, headroom, maxRate, vault, failoverLag uint64 }

var (
	sslModes = []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
	modes    = []string{"auto", "ask", "never"}
	envName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// validate notes everything in c that is wrong whatever pgpool.conf says.
func (c *Config) validate(ps *problems) sizes {
	absolute(ps, "pgpool.conf", c.Pgpool.Conf)
	c.Pgpool.PCP.validate(ps, "pgpool.pcp")
	for i, p := range c.Peers {
		at := fmt.Sprintf("peers[%d].pcp", i)
		p.PCP.validate(ps, at)
		if p.PCP.Host == "" {
			ps.addAt(at, "host is missing: the other Pgpool-II's host name, or its socket directory")
		}
	}
	validateLogin(ps, "database", c.Database)
	validateLogin(ps, "replication", c.Replication)
	c.Controller.validate(ps)
	c.Page.validate(ps, c.Controller.Listen)
	c.validateNodes(ps)
	c.TLS.validate(ps)
	absolute(ps, "ssh.program", c.SSH.Program)
	absolute(ps, "ssh.config_file", c.SSH.ConfigFile)
	c.Agent.validate(ps)
	s := c.Policy.validate(ps)
	absolute(ps, "vault.directory", c.Vault.Directory)
	s.vault = size(ps, "vault.max_bytes", c.Vault.MaxBytes)
	c.Notify.validate(ps)
	oneOf(ps, "log.format", c.Log.Format, LogFormats)
	webAddress(ps, "tracing.endpoint", c.Tracing.Endpoint)
	c.Environment.validate(ps)
	return s
}

func (p PCP) validate(ps *problems, at string) {
	port(ps, at+".port", p.Port)
	notNegative(ps, at+".timeout", p.Timeout)
	if len(p.User) > 127 {
		ps.addAt(at+".user", "must be at most 127 bytes long, Pgpool-II's limit; it has %d", len(p.User))
	}
	private(ps, at+".passfile", p.Passfile)
}

func validateLogin(ps *problems, at string, l postgres.Login) {
	private(ps, at+".passfile", l.Passfile)
	if l.SSLMode != "" {
		oneOf(ps, at+".sslmode", l.SSLMode, sslModes)
	}
}

func (c Controller) validate(ps *problems) {
	absolute(ps, "controller.state_dir", c.StateDir)
	if _, given := ps.at["controller.socket"]; given {
		absolute(ps, "controller.socket", c.Socket)
	}
	socketLength(ps, "controller.socket", c.Socket)
	if c.Interval < 100*time.Millisecond || c.Interval > time.Hour {
		ps.addAt("controller.interval", "must be between 100ms and 1h, got %s", c.Interval)
	}
	hostPort(ps, "controller.listen", c.Listen, "127.0.0.1:9899")
}

// minCost is the lowest accepted cost of a bcrypt hash.
const minCost = 10

// validate makes sure that no password crosses a network unencrypted: repool
// serves no TLS, a proxy in front of it does. The token file is read at each
// login instead: a missing one must not keep a failover hook from its
// configuration.
func (p Page) validate(ps *problems, listen string) {
	absolute(ps, "page.token_file", p.TokenFile)
	if p.PasswordHash != "" {
		cost, err := bcrypt.Cost([]byte(p.PasswordHash))
		switch {
		case err != nil:
			ps.addAt("page.password_hash", "not a bcrypt hash: repool setup password prints one")
		case cost < minCost:
			ps.addAt("page.password_hash", "its bcrypt cost is %d, and must be at least %d: repool setup password prints one",
				cost, minCost)
		}
	}
	at := "page.password_hash"
	if p.PasswordHash == "" {
		at = "page.token_file"
	}
	host, _, err := net.SplitHostPort(listen)
	ip := net.ParseIP(host)
	switch {
	case p.PasswordHash == "" && p.TokenFile == "":
	case listen == "":
		ps.addAt(at, "there is no page to log in to: set controller.listen as well")
	case err == nil && host != "localhost" && (ip == nil || !ip.IsLoopback()):
		ps.addAt(at, "the password would cross the network unencrypted: "+
			"set controller.listen to a loopback address and put a TLS proxy in front of it")
	}
}

func (c *Config) validateNodes(ps *problems) {
	seen := map[int]int{}
	for i, n := range c.Nodes {
		at := fmt.Sprintf("nodes[%d]", i)
		switch first, twice := seen[n.ID]; {
		case ps.at[at+".id"] == place{}:
			ps.addAt(at, "id is missing: it is the N of backend_hostnameN in pgpool.conf, such as id: 0")
		case n.ID < 0 || n.ID > maxNode:
			ps.addAt(at+".id", "must be 0 to %d, as in pgpool.conf, got %d", maxNode, n.ID)
		case twice:
			ps.addAt(at+".id", "node %d is already listed as nodes[%d]", n.ID, first)
		default:
			seen[n.ID] = i
		}
		if n.Agent != "" {
			if _, err := parseAgent(n.Agent); err != nil {
				ps.addAt(at+".agent", "%v", err)
			}
		}
		absolute(ps, at+".data_directory", n.DataDirectory)
		absolute(ps, at+".config_file", n.ConfigFile)
		absolute(ps, at+".bin_directory", n.BinDirectory)
		absolute(ps, at+".work_directory", n.WorkDirectory)
		if n.WorkDirectory != "" && n.DataDirectory != "" && inside(n.WorkDirectory, n.DataDirectory) {
			ps.addAt(at+".work_directory", "must be outside the data directory")
		}
	}
}

func (p Policy) validate(ps *problems) sizes {
	methods := []string{"fence"}
	for _, m := range topology.Methods {
		methods = append(methods, string(m))
	}
	for _, m := range slices.Sorted(maps.Keys(p.Methods)) {
		at := "policy.methods." + m
		if !slices.Contains(methods, m) {
			ps.add(ps.at[at], "unknown key %q in policy.methods%s", m, meant(m, methods))
			continue
		}
		oneOf(ps, at, p.Methods[m], modes)
	}
	if p.MaxAttempts < 0 {
		ps.addAt("policy.max_attempts", "must be ≥ 0, got %d", p.MaxAttempts)
	}
	notNegative(ps, "policy.backoff_base", p.BackoffBase)
	notNegative(ps, "policy.backoff_max", p.BackoffMax)
	notNegative(ps, "policy.follow_grace", p.FollowGrace)
	notNegative(ps, "policy.stream_patience", p.StreamPatience)
	notNegative(ps, "policy.nudge_after", p.NudgeAfter)
	if p.BackoffBase > 0 && p.BackoffMax > 0 && p.BackoffMax < p.BackoffBase {
		ps.addAt("policy.backoff_max", "must be ≥ backoff_base (%s), got %s", p.BackoffBase, p.BackoffMax)
	}
	if p.Compression != "" {
		oneOf(ps, "policy.compression", p.Compression, postgres.Compressions)
	}
	return sizes{
		maxLag:   size(ps, "policy.max_lag", p.MaxLag),
		headroom: size(ps, "policy.headroom", p.Headroom),
		maxRate:  size(ps, "policy.max_rate", p.MaxRate),

		failoverLag: p.Failover.validate(ps),
	}
}

func (e Environment) validate(ps *problems) {
	for _, name := range slices.Sorted(maps.Keys(e)) {
		at := "environment." + name
		switch {
		case !envName.MatchString(name):
			ps.addAt(at, "not a valid name for an environment variable")
		case strings.Contains(name, "PASSWORD"):
			ps.addAt(at, "no passwords here: they come from the file named by database.passfile")
		case name == "LC_ALL" || name == "LANG":
			ps.addAt(at, "cannot be set: repool reads what PostgreSQL's programs print, in the C locale")
		case strings.ContainsRune(e[name], 0):
			ps.addAt(at, "must not contain a zero byte")
		}
	}
}

func absolute(ps *problems, at, path string) {
	switch {
	case path == "":
	case strings.ContainsRune(path, 0):
		ps.addAt(at, "must not contain a zero byte")
	case !filepath.IsAbs(path):
		ps.addAt(at, "must be an absolute path, got %q", path)
	}
}

// inside says whether path lies in dir, or is dir.
func inside(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// private notes a file with a secret that does not exist or that others may
// read: libpq silently ignores such a passfile.
func private(ps *problems, at, path string) {
	if path == "" {
		return
	}
	if absolute(ps, at, path); !filepath.IsAbs(path) {
		return
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		ps.addAt(at, "%s does not exist: create it with mode 0600, or run repool setup", path)
	case err != nil:
		ps.addAt(at, "%v", err)
	case !info.Mode().IsRegular():
		ps.addAt(at, "%s is not a regular file", path)
	case info.Mode().Perm()&0o077 != 0:
		ps.addAt(at, "%s can be read by others (mode %04o): chmod 600 it", path, info.Mode().Perm())
	}
}

func port(ps *problems, at string, n int) {
	if n < 0 || n > math.MaxUint16 {
		ps.addAt(at, "must be 1 to 65535, got %d", n)
	}
}

// socketLength notes a path that is too long for a unix socket.
func socketLength(ps *problems, at, path string) {
	if len(path) > 107 {
		ps.addAt(at, "must be at most 107 bytes long, the limit for a unix socket; it has %d", len(path))
	}
}

func hostPort(ps *problems, at, text, example string) {
	if text == "" {
		return
	}
	_, p, err := net.SplitHostPort(text)
	if n, perr := strconv.ParseUint(p, 10, 16); err != nil || perr != nil || n == 0 {
		ps.addAt(at, "must be host:port, such as %s, got %q", example, text)
	}
}

func notNegative(ps *problems, at string, d time.Duration) {
	if d < 0 {
		ps.addAt(at, "must be ≥ 0, got %s", d)
	}
}

func oneOf(ps *problems, at, word string, list []string) {
	if !slices.Contains(list, word) {
		ps.addAt(at, "must be one of %s, got %q", strings.Join(list, ", "), word)
	}
}

// size reads a number of bytes: 16MB is 16 million, 16MiB is 16 × 1024².
func size(ps *problems, at, text string) uint64 {
	if text == "" {
		return 0
	}
	n, err := humanize.ParseBytes(text)
	if err != nil {
		ps.addAt(at, "must be a size such as 16MB or 1GiB, got %q", text)
		return 0
	}
	return n
}
