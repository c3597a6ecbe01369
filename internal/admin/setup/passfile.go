package setup

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgpassfile"

	"github.com/repool/repool/internal/admin/check"
	"github.com/repool/repool/internal/node/postgres"
	"github.com/repool/repool/pcp"
)

// escapePass makes s one field of a .pgpass or .pcppass line.
func escapePass(s string) string {
	return strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace(s)
}

func passLine(fields ...string) string {
	for i, f := range fields {
		if f != "*" {
			fields[i] = escapePass(f)
		}
	}
	return strings.Join(fields, ":")
}

// passwordInFile is the role's password from its passfile; unknown if it has none.
func (m *maker) passwordInFile(l postgres.Login) (secret, error) {
	e, err := m.file(l.Passfile, 0o600)
	if err != nil {
		return secret{}, err
	}
	entries, err := pgpassfile.ParsePassfile(strings.NewReader(e.before))
	if err != nil {
		return secret{}, fmt.Errorf("read %s: %w", l.Passfile, err)
	}
	for _, n := range m.facts.Pool.Nodes {
		for _, host := range passHosts(n.Host) {
			if p := entries.FindPassword(host, strconv.Itoa(n.Port), l.DBName, l.User); p != "" {
				return secret{clear: p}, nil
			}
		}
	}
	return secret{}, nil
}

// passHosts are the names by which clients look up a node: for a socket localhost,
// and its directory for clients built with another default.
func passHosts(host string) []string {
	if filepath.IsAbs(host) {
		return []string{"localhost", host}
	}
	return []string{check.PassHost(host)}
}

// passfileItems adds the lines that the roles' passfiles lack.
func (m *maker) passfileItems(roles []*role) {
	shown := map[string][]string{}
	var paths []string
	for _, r := range roles {
		s := m.secrets[r.login.User]
		if !s.known() {
			continue
		}
		path := r.login.Passfile
		e := m.files[path]
		entries, _ := pgpassfile.ParsePassfile(strings.NewReader(e.after)) // it was parsed before
		if _, seen := shown[path]; !seen {
			paths, shown[path] = append(paths, path), nil
		}
		for _, n := range m.facts.Pool.Nodes {
			for _, host := range passHosts(n.Host) {
				port := strconv.Itoa(n.Port)
				// A standby asks for database "replication", repool for its own.
				if entries.FindPassword(host, port, "replication", r.login.User) != "" &&
					entries.FindPassword(host, port, r.login.DBName, r.login.User) != "" {
					continue
				}
				e.appendLine(passLine(host, port, "*", r.login.User, s.clear))
				shown[path] = append(shown[path], "+ "+passLine(host, port, "*", r.login.User, "***"))
			}
		}
	}
	for _, path := range paths {
		if len(shown[path]) > 0 {
			m.edit("pgpass", "files", "let repool and the standbys find the passwords", m.files[path], shown[path])
		}
	}
}

// pcpPassword is the password for the Pgpool-II beside repool. If the passfile has
// none, it makes one and adds the item that writes it there.
func (m *maker) pcpPassword() (secret, error) {
	end := m.facts.Pool.PCP
	conf, err := end.Config()
	if err == nil {
		return secret{clear: conf.Password}, nil
	}
	if !errors.Is(err, pcp.ErrNoPassword) {
		return secret{}, err
	}
	s, err := newSecret()
	if err != nil {
		return secret{}, err
	}
	e, err := m.file(end.Passfile, 0o600)
	if err != nil {
		return secret{}, err
	}
	fields := []string{end.PassHost(), strconv.Itoa(end.Port), end.User}
	e.appendLine(passLine(append(fields, s.clear)...))
	m.edit("pcppass", "files", "let repool log in to PCP", e, []string{"+ " + passLine(append(fields[:3:3], "***")...)})
	return s, nil
}
