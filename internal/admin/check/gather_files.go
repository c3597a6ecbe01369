package check

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/jackc/pgpassfile"

	"github.com/repool/repool/internal/admin/certs"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/node/postgres"
	"github.com/repool/repool/pcp"
)

func (g *gatherer) files() FileFacts {
	f := FileFacts{StateDir: g.pool.Controller.StateDir}
	f.PGPass = g.pgpass(g.pool.Database)
	f.ReplicationPass = g.pgpass(g.pool.Replication)
	f.PCPPass = privateFile(g.pool.PCP.Passfile)
	for _, e := range append([]config.PCP{g.pool.PCP}, g.pool.Peers...) {
		if _, err := e.Config(); errors.Is(err, pcp.ErrNoPassword) {
			f.PCPPass.Without = append(f.PCPPass.Without, e.Name())
		}
	}
	if t := g.pool.TLS; t.Set() {
		own := certs.Files{CA: t.CA, Cert: t.Cert, Key: t.Key}
		var err error
		if f.Certs, err = own.Expiries(); err == nil {
			_, err = own.Client()
		}
		if err != nil {
			f.CertsErr = err.Error()
		}
	}
	f.StateDirErr = stateDir(f.StateDir, pgpoolIdentity(g.file))
	return f
}

// PassfileOf is the file that a role's password comes from; empty: there is neither
// a setting nor a home directory.
func PassfileOf(l postgres.Login) string {
	if l.Passfile != "" {
		return l.Passfile
	}
	if p := os.Getenv("PGPASSFILE"); p != "" {
		return p
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".pgpass")
	}
	return ""
}

func (g *gatherer) pgpass(l postgres.Login) Passfile {
	p := privateFile(PassfileOf(l))
	if !p.Exists || p.Err != "" {
		return p
	}
	entries, err := pgpassfile.ReadPassfile(p.Path)
	if err != nil {
		p.Err = err.Error()
		return p
	}
	for _, n := range g.pool.Nodes {
		if entries.FindPassword(PassHost(n.Host), strconv.Itoa(n.Port), l.DBName, l.User) == "" {
			p.Without = append(p.Without, fmt.Sprintf("node %s", n.ID))
		}
	}
	return p
}

// PassHost is a node's host as written in .pgpass, where a socket is localhost.
func PassHost(host string) string {
	if host == "" || filepath.IsAbs(host) {
		return "localhost"
	}
	return host
}

// privateFile says whether a password file exists and would be used.
func privateFile(path string) Passfile {
	p := Passfile{Path: path}
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || path == "":
		return p
	case err != nil:
		p.Err = err.Error()
		return p
	}
	p.Exists = true
	switch {
	case !st.Mode().IsRegular():
		p.Err = "it is not a regular file"
	case st.Mode().Perm()&0o077 != 0:
		p.Err = fmt.Sprintf("others can read it (mode %04o), so it is ignored", st.Mode().Perm())
	}
	return p
}

// stateDir says why the service's user cannot keep the controller's state there.
func stateDir(dir string, id Identity) string {
	st, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "it does not exist"
	}
	switch {
	case err != nil:
		return err.Error()
	case !st.IsDir():
		return "it is not a directory"
	case !id.may(st, 0o7):
		if s, ok := st.Sys().(*syscall.Stat_t); ok && os.Geteuid() != 0 && int(s.Uid) == os.Geteuid() {
			return "" // it belongs to the user who runs this check
		}
		return fmt.Sprintf("%s may not write in it (mode %04o)", id.Name, st.Mode().Perm())
	}
	return ""
}
