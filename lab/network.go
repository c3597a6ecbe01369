package lab

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The lab's network: one namespace for each host, and one more for the switch
// between them, a bridge to which each host has a cable. Nothing of it is in the
// machine's own network, so that every lab has the same addresses.
const (
	network   = "10.77.0.0/24"
	sshPort   = 2222
	agentPort = 7411
)

func nodeAddress(i int) string   { return fmt.Sprintf("10.77.0.%d", 10+i) }
func pgpoolAddress(i int) string { return fmt.Sprintf("10.77.0.%d", 100+i) }

// nodeHost and pgpoolHost name the hosts of nodes and of Pgpool-IIs, which have
// their controllers beside them.
func nodeHost(i int) string   { return fmt.Sprintf("node%d", i) }
func pgpoolHost(i int) string { return pgpoolName(i) }

// NodeHost is the name of node i's host, PgpoolHost of Pgpool-II i's.
func (l *Lab) NodeHost(i int) string   { return nodeHost(i) }
func (l *Lab) PgpoolHost(i int) string { return pgpoolHost(i) }

// hosts are all of them, with their addresses.
func (l *Lab) hosts() (names, addresses []string) {
	for _, n := range l.Nodes {
		names, addresses = append(names, nodeHost(n.ID)), append(addresses, n.Host)
	}
	for _, p := range l.Pgpools {
		names, addresses = append(names, pgpoolHost(p.ID)), append(addresses, p.Host)
	}
	return names, addresses
}

// netns is a host's namespace; empty for a lab without hosts of its own.
func (l *Lab) netns(host string) string {
	if l.Net == "" || host == "" {
		return ""
	}
	return l.Net + "-" + host
}

// theSwitch is the host name of the bridge's namespace.
const theSwitch = "switch"

// allNetns are the lab's namespaces.
func (l *Lab) allNetns() []string {
	if l.Net == "" {
		return nil
	}
	names, _ := l.hosts()
	out := []string{l.netns(theSwitch)}
	for _, h := range names {
		out = append(out, l.netns(h))
	}
	return out
}

// nameNetwork chooses the prefix of the lab's namespaces. It is saved before the
// first of them is made, so that a later Down finds them whatever happened.
func (l *Lab) nameNetwork() error {
	if !l.opts.Hosts {
		return nil
	}
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return fmt.Errorf("name the lab's network: %w", err)
	}
	l.Net = "repool-" + hex.EncodeToString(b[:])
	return nil
}

// makeNetwork makes switch, hosts and cables.
func (l *Lab) makeNetwork() error {
	if l.Net == "" {
		return nil
	}
	for _, ns := range l.allNetns() {
		if err := tool("", "ip", "netns", "add", ns); err != nil {
			return err
		}
	}
	sw := l.netns(theSwitch)
	var wires strings.Builder
	wires.WriteString("link add name br0 type bridge forward_delay 0 stp_state 0\nlink set dev br0 up\n")
	names, addresses := l.hosts()
	for _, h := range names {
		fmt.Fprintf(&wires, "link add name %s type veth peer name eth0 netns %s\nlink set dev %s master br0 up\n", h,
			l.netns(h), h)
	}
	if err := tool(wires.String(), "ip", "-n", sw, "-batch", "-"); err != nil {
		return err
	}
	for i, h := range names {
		batch := fmt.Sprintf("address add %s/24 dev eth0\nlink set dev lo up\nlink set dev eth0 up\n", addresses[i])
		if err := tool(batch, "ip", "-n", l.netns(h), "-batch", "-"); err != nil {
			return err
		}
	}
	for _, p := range l.Pgpools {
		err := inNetns(l.netns(pgpoolHost(p.ID)), func() error {
			// As docs/operations.md has it: Pgpool-II 4.3 waits for a host that has
			// vanished as long as the kernel does.
			return os.WriteFile("/proc/sys/net/ipv4/tcp_retries2", []byte("5"), 0o644)
		})
		if err != nil {
			return err
		}
	}
	return inNetns(sw, func() error {
		return tool("table bridge lab {\n chain cut {\n  type filter hook forward priority 0;\n }\n}\n", "nft", "-f", "-")
	})
}

// dropNetwork removes the namespaces; cables and switch go with them.
func (l *Lab) dropNetwork() error {
	var errs []error
	for _, ns := range l.allNetns() {
		if _, err := os.Stat(filepath.Join(netnsDir, ns)); err == nil {
			errs = append(errs, tool("", "ip", "netns", "del", ns))
		}
	}
	return errors.Join(errs...)
}
