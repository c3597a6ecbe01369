package lab

import (
	"fmt"
	"path/filepath"
	"strconv"
)

// debianSite is LayoutDebian.
var debianSite = Site{
	Name:     "debian",
	What:     "Debian's layout: configuration in a directory of the system's",
	Excludes: []string{"split-config", "start-options"},
	options:  func(o *Options) { o.Layout = LayoutDebian },
}

// splitConfigSite: postgresql.conf is where the server looks first, and names others.
var splitConfigSite = Site{
	Name:     "split-config",
	What:     "hba_file and ident_file lie outside the data directory",
	Excludes: []string{"debian"},
	settings: func(_ *Lab, n Node, s map[string]string) {
		s["hba_file"] = filepath.Join(n.Home, "access", "pg_hba.conf")
		s["ident_file"] = filepath.Join(n.Home, "access", "pg_ident.conf")
	},
}

// startOptionsSite: the port is on the command line and nowhere else.
var startOptionsSite = Site{
	Name:     "start-options",
	What:     "the port is given on the server's command line, by pg_ctl -o",
	Excludes: []string{"debian", "supervised"},
	settings: func(_ *Lab, _ Node, s map[string]string) { delete(s, "port") },
	start:    func(n Node) string { return "-p " + strconv.Itoa(n.Port) },
}

// supervisedSite: whatever stops a server, it is started again three seconds later.
var supervisedSite = Site{
	Name:     "supervised",
	What:     "a supervisor starts a server that is down again",
	Excludes: []string{"start-options"},
	beside: func(l *Lab, n Node) error {
		script := fmt.Sprintf("while :; do sleep 3; %[1]s/pg_ctl status -s -D '%[2]s' >/dev/null || "+
			"%[1]s/pg_ctl start -s -w -D '%[2]s' -l '%[3]s'; done", l.BinDir, n.DataDir, l.startLog(n))
		name := fmt.Sprintf("supervisor%d", n.ID)
		return l.spawn(nodeHost(n.ID), name, l.path("log", name+".log"), "/bin/sh", "-c", script)
	},
}

// wal1Site and wal64Site: initdb --wal-segsize.
var (
	wal1Site = Site{
		Name:     "wal-1mb",
		What:     "WAL segments of 1 MB",
		Excludes: []string{"wal-64mb"},
		initdb:   []string{"--wal-segsize=1"},
	}
	wal64Site = Site{
		Name:     "wal-64mb",
		What:     "WAL segments of 64 MB",
		Excludes: []string{"wal-1mb"},
		initdb:   []string{"--wal-segsize=64"},
		settings: func(_ *Lab, _ Node, s map[string]string) {
			s["min_wal_size"], s["wal_keep_size"] = "192MB", "256MB"
		},
	}
)
