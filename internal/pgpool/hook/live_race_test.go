package hook

import "testing"

// A promotion can end between two functions of one statement: the first says that
// the server is in recovery, the next one fails because it is not. The first
// pg_is_in_recovery() of this server says what was true a moment ago.
func TestLiveRecoveryEndsInAStatement(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	c.text(0, `CREATE SCHEMA moment_ago; CREATE SEQUENCE moment_ago.asked;
		CREATE FUNCTION moment_ago.pg_is_in_recovery() RETURNS boolean LANGUAGE sql
			AS $$SELECT nextval('moment_ago.asked') = 1$$;
		ALTER ROLE postgres SET search_path = moment_ago, pg_catalog`)
	if f := c.facts(0); f.InRecovery || f.History.TLI != 1 {
		t.Errorf("a primary says %+v", f)
	}
	if asked := c.text(0, "SELECT last_value FROM moment_ago.asked"); asked != "2" {
		t.Errorf("asked %s times, want twice", asked)
	}
}
