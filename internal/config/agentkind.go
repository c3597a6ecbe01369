package config

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// lookupPatience bounds the lookup of a host name.
const lookupPatience = 2 * time.Second

// AgentKind is the way to reach a node's agent.
type AgentKind string

// The kinds. AgentNone is the zero value: not configured.
const (
	AgentNone  AgentKind = ""
	AgentLocal AgentKind = "local" // in this process: the node is on this machine
	AgentUnix  AgentKind = "unix"  // over a unix socket
	AgentTLS   AgentKind = "https" // over TLS, with the certificates of the tls section
	AgentSSH   AgentKind = "ssh"   // over the system's ssh
)

// Agent says how to reach a node's agent.
type Agent struct {
	Kind AgentKind
	// Path is the socket of AgentUnix.
	Path string
	// User, Host and Port are for AgentSSH (an empty User or Port 0 leaves it to
	// ssh), Host and Port for AgentTLS.
	User, Host string
	Port       int
}

// Remote says whether the agent is another process, perhaps on another host.
func (a Agent) Remote() bool { return a.Kind == AgentUnix || a.Kind == AgentTLS || a.Kind == AgentSSH }

// Address is host:port of AgentTLS.
func (a Agent) Address() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

// String is the form used in repool.yaml.
func (a Agent) String() string {
	switch a.Kind {
	case AgentUnix:
		return "unix:" + a.Path
	case AgentTLS:
		return "https://" + a.Address()
	case AgentSSH:
		s := a.Host
		if a.Port != 0 {
			s = a.Address()
		}
		if a.User != "" {
			s = a.User + "@" + s
		}
		return "ssh://" + s
	default:
		return string(a.Kind)
	}
}

// sshName is a user or host that is safe on ssh's command line: neither ssh nor a
// shell takes it for anything else.
var sshName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.:-]*$`)

// parseAgent reads one of the four forms.
func parseAgent(s string) (Agent, error) {
	bad := func(why string) (Agent, error) {
		return Agent{}, fmt.Errorf("%q is not the address of an agent%s: write local, unix:/path/of/agent.sock, "+
			"https://host:port, or ssh://user@host[:port]", s, why)
	}
	if s == string(AgentLocal) {
		return Agent{Kind: AgentLocal}, nil
	}
	if path, unix := strings.CutPrefix(s, "unix:"); unix && filepath.IsAbs(path) {
		return Agent{Kind: AgentUnix, Path: path}, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return bad("")
	}
	a := Agent{Kind: AgentKind(u.Scheme), Host: u.Hostname(), User: u.User.Username()}
	if u.Port() != "" {
		n, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil || n == 0 {
			return bad(" (invalid port)")
		}
		a.Port = int(n)
	}
	_, password := u.User.Password()
	switch {
	case password:
		return bad(" (a password is not allowed)")
	case a.Kind == AgentTLS && a.Host != "" && a.Port != 0 && a.User == "":
		return a, nil
	case a.Kind == AgentSSH && sshName.MatchString(a.Host) && (a.User == "" || sshName.MatchString(a.User)):
		return a, nil
	}
	return bad("")
}

// onThisMachine says whether backend_hostnameN is the machine we run on. A name
// that cannot be resolved counts as another machine.
func onThisMachine(host string) bool {
	if host == "" || strings.HasPrefix(host, "/") || strings.EqualFold(host, "localhost") {
		return true
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return ownAddress(addr)
	}
	if own, err := os.Hostname(); err == nil {
		short, _, _ := strings.Cut(own, ".")
		if strings.EqualFold(host, own) || strings.EqualFold(host, short) {
			return true
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupPatience)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if ownAddress(a) {
			return true
		}
	}
	return false
}

func ownAddress(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if addr.IsLoopback() {
		return true
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range own {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap().WithZone("") == addr {
			return true
		}
	}
	return false
}
