package config

import "time"

func (t TLS) validate(ps *problems) {
	absolute(ps, "tls.ca", t.CA)
	absolute(ps, "tls.cert", t.Cert)
	private(ps, "tls.key", t.Key)
	if some, all := t.CA+t.Cert+t.Key != "", t.CA != "" && t.Cert != "" && t.Key != ""; some && !all {
		ps.addAt("tls", "ca, cert and key must all be set")
	}
}

// Set says whether certificates are configured.
func (t TLS) Set() bool { return t.Cert != "" }

func (a OwnAgent) validate(ps *problems) {
	if _, given := ps.at["agent"]; !given {
		return
	}
	if _, given := ps.at["agent.node"]; !given {
		ps.addAt("agent", "node is missing: it is the N of backend_hostnameN in pgpool.conf, such as node: 1")
	}
	if a.Node < 0 || a.Node > maxNode {
		ps.addAt("agent.node", "must be 0 to %d, as in pgpool.conf, got %d", maxNode, a.Node)
	}
	port(ps, "agent.port", a.Port)
	absolute(ps, "agent.socket", a.Socket)
	socketLength(ps, "agent.socket", a.Socket)
	hostPort(ps, "agent.listen", a.Listen, "10.0.0.11:7411")
	if a.Listen != "" {
		if _, given := ps.at["tls"]; !given {
			ps.addAt("agent.listen", "needs the tls section; repool certs creates the files")
		}
		if len(a.Controllers) == 0 {
			ps.addAt("agent.listen", "needs agent.controllers: the certificate names of the controllers that may give orders")
		}
	}
	if a.WhenAlone != "" {
		oneOf(ps, "agent.when_alone", a.WhenAlone, []string{"keep", "stop"})
	}
	notNegative(ps, "agent.alone_after", a.AloneAfter)
	if a.WhenAlone == "stop" && a.AloneAfter < time.Second {
		ps.addAt("agent.when_alone", "stop needs alone_after of at least 1s: how long no controller has been in contact")
	}
}
