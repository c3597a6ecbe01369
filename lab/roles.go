package lab

import (
	"context"
	"fmt"
	"strings"
)

// rewindFunctions is what pg_rewind reads through, as its manual page lists it.
var rewindFunctions = []string{
	"pg_catalog.pg_ls_dir(text, boolean, boolean)",
	"pg_catalog.pg_stat_file(text, boolean)",
	"pg_catalog.pg_read_binary_file(text)",
	"pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)",
}

// roleStatements makes the roles: repool with what it needs and no more, repl
// for standbys, pgpool for health and streaming checks, app for clients.
func (l *Lab) roleStatements() []string {
	role := func(name, how string) string {
		return fmt.Sprintf("CREATE ROLE %s LOGIN %s PASSWORD '%s'", name, how, l.Passwords[name])
	}
	s := []string{
		fmt.Sprintf("ALTER ROLE postgres PASSWORD '%s'", l.Passwords["postgres"]),
		role("repool", "REPLICATION"), role("repl", "REPLICATION"), role("pgpool", ""), role("app", ""),
		"GRANT pg_monitor TO repool, pgpool",
	}
	if l.Major >= 15 {
		s = append(s, "GRANT pg_checkpoint TO repool")
	}
	for _, f := range append(rewindFunctions, "pg_catalog.pg_promote(boolean, integer)") {
		s = append(s, "GRANT EXECUTE ON FUNCTION "+f+" TO repool")
	}
	return append(s, "CREATE DATABASE app OWNER app")
}

// appStatements make the table that Writer fills and Diverge adds to. The
// payload is unique and names its writer: ids come again after a failover.
var appStatements = []string{
	"SET ROLE app",
	"CREATE SCHEMA app",
	"ALTER ROLE app SET search_path = app",
	"CREATE TABLE app.ledger (id bigserial PRIMARY KEY, payload text NOT NULL, at timestamptz NOT NULL DEFAULT " +
		"clock_timestamp())",
}

// single runs statements, each one line, in a server without network.
func (l *Lab) single(ctx context.Context, db string, statements []string) error {
	n := l.Nodes[0]
	cmd := l.Command(ctx, "postgres", "--single", "-F", "-j", "-D", n.DataDir,
		"-c", "config_file="+n.ConfigFile(), "-c", "external_pid_file=",
		"-c", "synchronous_standby_names=", "-c", "exit_on_error=on", db)
	cmd.Stdin = strings.NewReader(strings.Join(statements, ";\n\n") + ";\n\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("run statements in single-user mode, database %s: %w\n%s", db, err, lastLines(string(out), 15))
	}
	return nil
}
