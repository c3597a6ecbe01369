package check

import (
	"strings"
	"testing"
)

// TestANodeThatIsAwayIsSaidOnce: where no server answers, nothing is known of users,
// passwords and rules, and none of them is blamed.
func TestANodeThatIsAwayIsSaidOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, cause, remedy string
		noName              bool
	}{
		{"its name does not resolve", "the host name db9 cannot be resolved: no such host", "getent hosts", true},
		{"it is cut off", "no answer in time", "pg_isready", false},
	} {
		f := healthy(t, goodConf)
		n := &f.Nodes[1]
		for _, l := range []*LoginResult{&n.SQL.LoginResult, &n.Replication, &n.HealthCheck, &n.SRCheck} {
			l.Err, l.Away, l.NoName = c.cause, true, c.noName
		}
		var said []string
		for _, found := range Run(f).Findings {
			if found.Severity != OK {
				said = append(said, found.ID)
			}
			if found.ID == "node-login" && found.Severity != OK &&
				(strings.Count(found.Found, c.cause) != 1 || !strings.HasPrefix(found.Remedy, c.remedy)) {
				t.Errorf("%s: %s → %s", c.name, found.Found, found.Remedy)
			}
		}
		if len(said) != 1 || said[0] != "node-login" {
			t.Errorf("%s: found %q, want node-login alone", c.name, said)
		}
	}
}
