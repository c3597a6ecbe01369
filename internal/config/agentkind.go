package config

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// lookupPatience bounds the question of which addresses a host name has.
const lookupPatience = 2 * time.Second

// AgentKind is the way to reach a node's agent.
type AgentKind string

// The kinds. AgentNone is the zero value: nobody has said how.
const (
	AgentNone  AgentKind = ""
	AgentLocal AgentKind = "local" // in this process: the node is on this machine
	AgentUnix  AgentKind = "unix"  // over a unix socket
)

// Agent says how to reach a node's agent.
type Agent struct {
	Kind AgentKind
	// Path is the socket of AgentUnix.
	Path string
}

// String is the form that stands in repool.yaml.
func (a Agent) String() string {
	if a.Kind == AgentUnix {
		return "unix:" + a.Path
	}
	return string(a.Kind)
}

// parseAgent reads "local" or "unix:/path".
func parseAgent(s string) (Agent, error) {
	path, unix := strings.CutPrefix(s, "unix:")
	switch {
	case s == string(AgentLocal):
		return Agent{Kind: AgentLocal}, nil
	case unix && filepath.IsAbs(path):
		return Agent{Kind: AgentUnix, Path: path}, nil
	}
	return Agent{}, fmt.Errorf("%q is no agent: write local, or unix:/path/of/agent.sock", s)
}

// onThisMachine says whether backend_hostnameN means the machine we run on.
// A name that cannot be looked up is taken for another machine.
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
