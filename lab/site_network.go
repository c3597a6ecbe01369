package lab

import (
	"strings"
)

// localhostSite: two spellings of one host.
var localhostSite = Site{
	Name:     "localhost",
	What:     "pgpool.conf names the host localhost, primary_conninfo 127.0.0.1",
	Excludes: []string{"vip", "sockets"},
	place:    func(_ *Lab, n *Node) { n.Host = "localhost" },
	upstream: func(*Lab, Node) string { return "127.0.0.1" },
	hba: func(rules string) string { // the name can be ::1 as well
		return rules + "host all all ::1/128 scram-sha-256\nhost replication repl,repool ::1/128 scram-sha-256\n"
	},
}

// vip is an address of the loopback network that nobody has to set up.
const vip = "127.0.0.100"

// vipSite: primary_conninfo names a virtual address. Since all nodes share the machine, and have a port each, it does
// not move: only the spelling differs.
var vipSite = Site{
	Name:     "vip",
	What:     "primary_conninfo names a virtual address of the primary's, " + vip,
	Excludes: []string{"localhost", "sockets"},
	settings: func(_ *Lab, n Node, s map[string]string) { s["listen_addresses"] = n.Host + "," + vip },
	upstream: func(*Lab, Node) string { return vip },
}

// socketsSite: nothing listens on TCP.
var socketsSite = Site{
	Name:     "sockets",
	What:     "servers listen on unix sockets only",
	Excludes: []string{"localhost", "vip", "tls"},
	place:    func(l *Lab, n *Node) { n.Host = l.Sockets },
	settings: func(_ *Lab, _ Node, s map[string]string) { s["listen_addresses"] = "" },
	hba: func(rules string) string {
		return rules + "local replication repl,repool scram-sha-256\n"
	},
}

// tlsSite: no connection over TCP without TLS.
var tlsSite = Site{
	Name:     "tls",
	What:     "pg_hba.conf lets in TLS connections only",
	Excludes: []string{"sockets"},
	settings: func(l *Lab, _ Node, s map[string]string) {
		s["ssl"], s["ssl_cert_file"], s["ssl_key_file"] = "on", l.path("tls.crt"), l.path("tls.key")
	},
	hba: func(rules string) string { return strings.ReplaceAll(rules, "\nhost ", "\nhostssl ") },
	pgpool: func(l *Lab) map[string]string {
		return map[string]string{"ssl": "on", "ssl_cert": l.path("tls.crt"), "ssl_key": l.path("tls.key")}
	},
	home: func(l *Lab, n Node) error {
		if n.ID != 0 {
			return nil
		}
		cert, key, err := selfSigned("127.0.0.1")
		if err != nil {
			return err
		}
		if err := l.Owner.write(l.path("tls.crt"), cert, 0o600); err != nil {
			return err
		}
		return l.Owner.write(l.path("tls.key"), key, 0o600)
	},
}
