package config

import (
	"net"
	"strconv"
	"time"
)

// maxSocket is the longest path that a unix socket takes.
const maxSocket = 107

func (t TLS) validate(ps *problems) {
	absolute(ps, "tls.ca", t.CA)
	absolute(ps, "tls.cert", t.Cert)
	private(ps, "tls.key", t.Key)
	if some, all := t.CA+t.Cert+t.Key != "", t.CA != "" && t.Cert != "" && t.Key != ""; some && !all {
		ps.addAt("tls", "ca, cert and key are needed, all three")
	}
}

// Set says whether certificates are configured.
func (t TLS) Set() bool { return t.Cert != "" }

func (a OwnAgent) validate(ps *problems) {
	if _, given := ps.at["agent"]; !given {
		return
	}
	if _, given := ps.at["agent.node"]; !given {
		ps.addAt("agent", "node is missing: write the number N of backend_hostnameN in pgpool.conf")
	}
	if a.Node < 0 || a.Node > maxNode {
		ps.addAt("agent.node", "%d is no node: pgpool.conf has 0 to %d", a.Node, maxNode)
	}
	port(ps, "agent.port", a.Port)
	absolute(ps, "agent.socket", a.Socket)
	if len(a.Socket) > maxSocket {
		ps.addAt("agent.socket", "%d bytes are too long: a unix socket's path has at most %d", len(a.Socket), maxSocket)
	}
	if a.Listen != "" {
		_, p, err := net.SplitHostPort(a.Listen)
		if n, perr := strconv.ParseUint(p, 10, 16); err != nil || perr != nil || n == 0 {
			ps.addAt("agent.listen", "%q is no host:port, such as 10.0.0.11:7411", a.Listen)
		}
		if _, given := ps.at["tls"]; !given {
			ps.addAt("agent.listen", "needs the tls section: repool certs makes the files")
		}
		if len(a.Controllers) == 0 {
			ps.addAt("agent.listen", "needs agent.controllers: the names in the certificates of those who may give orders")
		}
	}
	if a.WhenAlone != "" {
		oneOf(ps, "agent.when_alone", a.WhenAlone, []string{"keep", "stop"})
	}
	positive(ps, "agent.alone_after", a.AloneAfter)
	if a.WhenAlone == "stop" && a.AloneAfter < time.Second {
		ps.addAt("agent.when_alone", "stop needs alone_after, at least 1s: the time without a word of any controller")
	}
}
