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
type sizes struct{ maxLag, headroom, maxRate, vault uint64 }

var (
	sslModes = []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
	modes    = []string{"auto", "ask", "never"}
	// compressions are dbhost.Compressions.
	compressions = []string{"none", "auto", "gzip", "lz4", "zstd"}
	envName      = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// validate notes everything in c that cannot work, whatever pgpool.conf says.
func (c *Config) validate(ps *problems) sizes {
	absolute(ps, "pgpool.conf", c.Pgpool.Conf)
	c.Pgpool.PCP.validate(ps, "pgpool.pcp")
	for i, p := range c.Peers {
		at := fmt.Sprintf("peers[%d].pcp", i)
		p.PCP.validate(ps, at)
		if p.PCP.Host == "" {
			ps.addAt(at, "host is missing: name the other Pgpool-II's host, or its socket directory")
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
	positive(ps, at+".timeout", p.Timeout)
	if len(p.User) > 127 {
		ps.addAt(at+".user", "%d bytes are too long: Pgpool-II takes at most 127", len(p.User))
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
	if len(c.Socket) > 107 {
		ps.addAt("controller.socket", "%d bytes are too long: a unix socket's path has at most 107", len(c.Socket))
	}
	if c.Interval < 100*time.Millisecond || c.Interval > time.Hour {
		ps.addAt("controller.interval", "%s is out of range: want 100ms to 1h", c.Interval)
	}
	if c.Listen == "" {
		return
	}
	_, p, err := net.SplitHostPort(c.Listen)
	n, perr := strconv.ParseUint(p, 10, 16)
	if err != nil || perr != nil || n == 0 {
		ps.addAt("controller.listen", "%q is no host:port, such as 127.0.0.1:9899", c.Listen)
	}
}

// minCost is the least that a bcrypt hash may cost to guess at.
const minCost = 10

// validate keeps a password from crossing a network in clear: repool serves no
// TLS, a proxy in front does. The token file is looked at when somebody logs in:
// a missing one must not keep a failover hook from its configuration.
func (p Page) validate(ps *problems, listen string) {
	absolute(ps, "page.token_file", p.TokenFile)
	if p.PasswordHash != "" {
		cost, err := bcrypt.Cost([]byte(p.PasswordHash))
		switch {
		case err != nil:
			ps.addAt("page.password_hash", "is no bcrypt hash: repool setup password makes one")
		case cost < minCost:
			ps.addAt("page.password_hash", "costs %d: want at least %d; repool setup password makes one", cost, minCost)
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
		ps.addAt(at, "there is no page to log in to: set controller.listen")
	case err == nil && host != "localhost" && (ip == nil || !ip.IsLoopback()):
		ps.addAt(at, "the password would cross the network in clear: let controller.listen be a loopback address, with a proxy that speaks TLS in front")
	}
}

func (c *Config) validateNodes(ps *problems) {
	seen := map[int]int{}
	for i, n := range c.Nodes {
		at := fmt.Sprintf("nodes[%d]", i)
		switch first, twice := seen[n.ID]; {
		case ps.at[at+".id"] == place{}:
			ps.addAt(at, "id is missing: write the number N of backend_hostnameN")
		case n.ID < 0 || n.ID > maxNode:
			ps.addAt(at+".id", "%d is no node: pgpool.conf has 0 to %d", n.ID, maxNode)
		case twice:
			ps.addAt(at+".id", "node %d stands in nodes[%d] already", n.ID, first)
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
		absolute(ps, at+".workshop", n.Workshop)
		if n.Workshop != "" && n.DataDirectory != "" && inside(n.Workshop, n.DataDirectory) {
			ps.addAt(at+".workshop", "must lie beside the data directory, not in it")
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
		ps.addAt("policy.max_attempts", "%d is less than none", p.MaxAttempts)
	}
	positive(ps, "policy.backoff_base", p.BackoffBase)
	positive(ps, "policy.backoff_max", p.BackoffMax)
	positive(ps, "policy.follow_grace", p.FollowGrace)
	positive(ps, "policy.stream_patience", p.StreamPatience)
	positive(ps, "policy.nudge_after", p.NudgeAfter)
	if p.BackoffBase > 0 && p.BackoffMax > 0 && p.BackoffMax < p.BackoffBase {
		ps.addAt("policy.backoff_max", "%s is less than backoff_base, %s", p.BackoffMax, p.BackoffBase)
	}
	if p.Compression != "" {
		oneOf(ps, "policy.compression", p.Compression, compressions)
	}
	return sizes{
		maxLag:   size(ps, "policy.max_lag", p.MaxLag),
		headroom: size(ps, "policy.headroom", p.Headroom),
		maxRate:  size(ps, "policy.max_rate", p.MaxRate),
	}
}

func (e Environment) validate(ps *problems) {
	for _, name := range slices.Sorted(maps.Keys(e)) {
		at := "environment." + name
		switch {
		case !envName.MatchString(name):
			ps.addAt(at, "%q is no name of an environment variable", name)
		case strings.Contains(name, "PASSWORD"):
			ps.addAt(at, "passwords come from the passfile only: see database.passfile")
		case name == "LC_ALL" || name == "LANG":
			ps.addAt(at, "repool reads what the programs print, and needs the C locale")
		case strings.ContainsRune(e[name], 0):
			ps.addAt(at, "contains a zero byte")
		}
	}
}

func absolute(ps *problems, at, path string) {
	switch {
	case path == "":
	case strings.ContainsRune(path, 0):
		ps.addAt(at, "contains a zero byte")
	case !filepath.IsAbs(path):
		ps.addAt(at, "%q is relative: write the whole path", path)
	}
}

// inside says whether path lies in dir, or is dir.
func inside(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// private notes a password file that is not there or that others may read:
// libpq ignores such a file without a word that reaches anybody.
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
		ps.addAt(at, "%s does not exist: make it with mode 0600, or let repool setup do it", path)
	case err != nil:
		ps.addAt(at, "%v", err)
	case !info.Mode().IsRegular():
		ps.addAt(at, "%s is not a regular file", path)
	case info.Mode().Perm()&0o077 != 0:
		ps.addAt(at, "%s is open to others (mode %04o) and would be ignored: chmod 600 it", path, info.Mode().Perm())
	}
}

func port(ps *problems, at string, n int) {
	if n < 0 || n > math.MaxUint16 {
		ps.addAt(at, "%d is no port: want 1 to 65535", n)
	}
}

func positive(ps *problems, at string, d time.Duration) {
	if d < 0 {
		ps.addAt(at, "%s is less than nothing", d)
	}
}

func oneOf(ps *problems, at, word string, list []string) {
	if !slices.Contains(list, word) {
		ps.addAt(at, "%q is none of %s", word, strings.Join(list, ", "))
	}
}

// size reads a number of bytes: 16MB is 16 million, 16MiB is 16 × 1024².
func size(ps *problems, at, text string) uint64 {
	if text == "" {
		return 0
	}
	n, err := humanize.ParseBytes(text)
	if err != nil {
		ps.addAt(at, "%q is no size, such as 16MB or 1GiB", text)
		return 0
	}
	return n
}
