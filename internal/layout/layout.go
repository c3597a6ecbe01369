// Package layout knows where programs and files of PostgreSQL and Pgpool-II are: in
// Debian's packages, in those of RHEL and its kin (PGDG's), and in a build from source.
//
// Known is the one table; whatever looks for a program or a file asks it by way of a
// Root, and no other package guesses a path. A site that has neither says in repool.yaml
// where things are (bin_directory, pgpool.conf).
package layout

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Layout is where one family of packages puts things.
type Layout struct {
	// Name is "debian", "rhel" or "source".
	Name string
	// PostgresBin is the directory of PostgreSQL's server programs; %d is the major
	// version. Without it, one version at most is installed there.
	PostgresBin string
	// PgpoolConf is pgpool.conf.
	PgpoolConf string
	// PgpoolPrograms are the places of the program pgpool. PATH often lacks sbin.
	PgpoolPrograms []string
	// PgpoolService is Pgpool-II's unit, for systemctl.
	PgpoolService string
}

// Known are the layouts, in the order in which they are looked for.
var Known = [...]Layout{
	{Name: "debian", PostgresBin: "/usr/lib/postgresql/%d/bin", PgpoolConf: "/etc/pgpool2/pgpool.conf",
		PgpoolPrograms: []string{"/usr/sbin/pgpool"}, PgpoolService: "pgpool2"},
	{Name: "rhel", PostgresBin: "/usr/pgsql-%d/bin", PgpoolConf: "/etc/pgpool-II/pgpool.conf",
		PgpoolPrograms: []string{"/usr/bin/pgpool"}, PgpoolService: "pgpool"},
	{Name: "source", PostgresBin: "/usr/local/pgsql/bin", PgpoolConf: "/usr/local/etc/pgpool.conf",
		PgpoolPrograms: []string{"/usr/local/bin/pgpool", "/usr/local/sbin/pgpool"}, PgpoolService: "pgpool"},
}

// Root is the directory below which things are looked for. Here is this machine.
type Root string

// Here is this machine's root directory.
const Here Root = "/"

func (r Root) at(path string) string { return filepath.Join(string(r), path) }

// Pgpool is the layout of the Pgpool-II that is configured: the first whose pgpool.conf
// exists, and Debian's where none does.
func (r Root) Pgpool() Layout {
	for _, l := range Known {
		if _, err := os.Stat(r.at(l.PgpoolConf)); err == nil {
			return l
		}
	}
	return Known[0]
}

// PgpoolPrograms are the programs pgpool that are installed, in the table's order.
func (r Root) PgpoolPrograms() []string {
	var found []string
	for _, l := range Known {
		for _, p := range l.PgpoolPrograms {
			if st, err := os.Stat(r.at(p)); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
				found = append(found, r.at(p))
			}
		}
	}
	return found
}

// Postgres is one installation of PostgreSQL's server programs.
type Postgres struct {
	Major int
	// Bin is their directory.
	Bin string
}

// Postgres lists the installations, in the table's order.
func (r Root) Postgres() []Postgres {
	var all []Postgres
	for _, l := range Known {
		pattern := r.at(filepath.Join(strings.ReplaceAll(l.PostgresBin, "%d", "*"), "postgres"))
		found, err := filepath.Glob(pattern)
		if err != nil {
			continue // the table's own patterns are well formed
		}
		for _, server := range found {
			dir := filepath.Dir(server)
			if major := r.major(l, dir); major > 0 {
				all = append(all, Postgres{major, dir})
			}
		}
	}
	return all
}

// PostgresBin is the directory of the programs of one major version; empty: it is not
// installed in any known place.
func (r Root) PostgresBin(major int) string {
	for _, p := range r.Postgres() {
		if p.Major == major {
			return p.Bin
		}
	}
	return ""
}

var versionText = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// major is the major version of the programs in dir: from its path, or else from the
// server program. 0: neither says.
func (r Root) major(l Layout, dir string) int {
	if before, after, versioned := strings.Cut(r.at(l.PostgresBin), "%d"); versioned {
		major, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(dir, before), after))
		if err != nil {
			return 0
		}
		return major
	}
	out, err := exec.Command(filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0
	}
	m := versionText.FindSubmatch(out)
	if m == nil {
		return 0
	}
	major, err := strconv.Atoi(string(m[1]))
	if err != nil {
		return 0
	}
	return major
}

// PgpoolConfs lists the table's pgpool.conf for a person.
func PgpoolConfs() string {
	var names []string
	for _, l := range Known {
		names = append(names, l.PgpoolConf)
	}
	return fmt.Sprintf("the first that exists of %s", strings.Join(names, ", "))
}
