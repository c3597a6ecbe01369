package postgres

import "testing"

// TestAppName reads conninfo as pg_stat_wal_receiver shows it (PostgreSQL 15).
func TestAppName(t *testing.T) {
	t.Parallel()
	const before, after = "user=repl passfile=/var/lib/postgresql/.pgpass dbname=replication host=10.0.0.1 port=5432 ",
		" sslmode=prefer gssencmode=disable"
	for conninfo, want := range map[string]string{
		before + "fallback_application_name=walreceiver" + after:                   "walreceiver",
		before + "application_name=node1 fallback_application_name=main" + after:   "node1",
		before + "application_name=my node fallback_application_name=main" + after: "my node",
		"application_name=node1":             "node1",
		before + "fallback_application_name": "",
		"":                                   "",
	} {
		if got := appName(conninfo); got != want {
			t.Errorf("%q: %q, want %q", conninfo, got, want)
		}
	}
}
