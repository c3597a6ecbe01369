package check

import (
	"fmt"
	"strings"
)

// enoughRetries retransmissions detect a vanished host within about half a minute;
// the kernel's default, 15, takes a quarter of an hour.
const enoughRetries = 8

// checkTCPRetries concerns only nodes on other hosts: when a server on this host
// dies, the kernel closes its connections.
func checkTCPRetries(f *Facts, r *results) {
	far := ""
	for i := range f.Nodes {
		if h := f.Nodes[i].Conf.Host; h != "" && !strings.HasPrefix(h, "/") && f.Nodes[i].Conf.Agent.Remote() {
			far = h
		}
	}
	switch {
	case far == "" || f.TCPRetries == 0:
	case f.TCPRetries > enoughRetries:
		r.warn(Finding{Subject: "pgpool",
			Found:  fmt.Sprintf("net.ipv4.tcp_retries2 is %d on this host, and nodes are on others (%s)", f.TCPRetries, far),
			Remedy: "echo 'net.ipv4.tcp_retries2 = 5' > /etc/sysctl.d/60-pgpool.conf && sysctl --system   # as root"})
	default:
		r.ok("pgpool", fmt.Sprintf("net.ipv4.tcp_retries2 is %d", f.TCPRetries))
	}
}
