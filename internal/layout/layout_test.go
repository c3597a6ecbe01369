package layout

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// machine is a root directory with programs and files.
func machine(t *testing.T, programs, files []string) Root {
	t.Helper()
	root := Root(t.TempDir())
	put := func(path, text string, mode os.FileMode) {
		if err := os.MkdirAll(filepath.Dir(root.at(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root.at(path), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range programs {
		put(p, "#!/bin/sh\necho 'postgres (PostgreSQL) 16.4 (Debian)'\n", 0o755)
	}
	for _, f := range files {
		put(f, "", 0o644)
	}
	return root
}

func TestLayouts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name            string
		programs, files []string
		postgres        []Postgres // with the directory below the root
		layout          string
		pgpool          []string
	}{
		{name: "Debian with two versions",
			programs: []string{"/usr/lib/postgresql/13/bin/postgres", "/usr/lib/postgresql/15/bin/postgres",
				"/usr/sbin/pgpool"},
			files:    []string{"/etc/pgpool2/pgpool.conf"},
			postgres: []Postgres{{13, "/usr/lib/postgresql/13/bin"}, {15, "/usr/lib/postgresql/15/bin"}},
			layout:   "debian", pgpool: []string{"/usr/sbin/pgpool"}},
		{name: "RHEL, where a client package alone has the directory of 14",
			programs: []string{"/usr/pgsql-15/bin/postgres", "/usr/pgsql-14/bin/psql", "/usr/bin/pgpool"},
			files:    []string{"/etc/pgpool-II/pgpool.conf"},
			postgres: []Postgres{{15, "/usr/pgsql-15/bin"}}, layout: "rhel", pgpool: []string{"/usr/bin/pgpool"}},
		{name: "built from source, which tells its version",
			programs: []string{"/usr/local/pgsql/bin/postgres", "/usr/local/bin/pgpool"},
			files:    []string{"/usr/local/etc/pgpool.conf"},
			postgres: []Postgres{{16, "/usr/local/pgsql/bin"}}, layout: "source",
			pgpool: []string{"/usr/local/bin/pgpool"}},
		{name: "a database host", programs: []string{"/usr/pgsql-17/bin/postgres"},
			postgres: []Postgres{{17, "/usr/pgsql-17/bin"}}, layout: "debian"},
		{name: "files that are no programs", layout: "debian",
			files: []string{"/usr/lib/postgresql/old/bin/postgres", "/usr/sbin/pgpool"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := machine(t, c.programs, c.files)
			for i := range c.postgres {
				c.postgres[i].Bin = r.at(c.postgres[i].Bin)
				if got := r.PostgresBin(c.postgres[i].Major); got != c.postgres[i].Bin {
					t.Errorf("PostgreSQL %d is in %q", c.postgres[i].Major, got)
				}
			}
			for i := range c.pgpool {
				c.pgpool[i] = r.at(c.pgpool[i])
			}
			if got := r.Postgres(); !slices.Equal(got, c.postgres) {
				t.Errorf("PostgreSQL: %v, want %v", got, c.postgres)
			}
			if got := r.Pgpool().Name; got != c.layout {
				t.Errorf("Pgpool-II's layout is %s, want %s", got, c.layout)
			}
			if got := r.PgpoolPrograms(); !slices.Equal(got, c.pgpool) {
				t.Errorf("pgpool: %v, want %v", got, c.pgpool)
			}
			if got := r.PostgresBin(12); got != "" {
				t.Errorf("PostgreSQL 12 is in %s", got)
			}
		})
	}
}
