package setup

import (
	"testing"

	"github.com/repool/repool/internal/admin/check"
	"github.com/repool/repool/internal/core/topology"
)

// TestANodeThatIsAwayProvesNoWrongPassword: with --reset-password a role gets a new
// password when its login fails, which a host that is cut off does not show.
func TestANodeThatIsAwayProvesNoWrongPassword(t *testing.T) {
	t.Parallel()
	m := &maker{facts: &check.Facts{Nodes: make([]check.NodeFacts, 1)}, logins: map[topology.NodeID]check.LoginResult{}}
	roles := []*role{{database: true, standbys: true}}
	for _, c := range []struct {
		login check.LoginResult
		fails bool
	}{
		{check.LoginResult{Tried: true}, false},
		{check.LoginResult{Tried: true, Err: "no answer in time", Away: true}, false},
		{check.LoginResult{Tried: true, Err: "role does not exist", Code: "28000"}, true},
	} {
		m.logins[0], m.facts.Nodes[0].Replication = c.login, c.login
		m.facts.Nodes[0].HealthCheck, m.facts.Nodes[0].SRCheck = c.login, c.login
		m.facts.Nodes[0].HealthCheck.User, m.facts.Nodes[0].SRCheck.User = "u", "u"
		if got := m.loginsFail(roles); got != c.fails {
			t.Errorf("%+v: logins fail %v", c.login, got)
		}
		if got := m.checkFails("health_check"); got != c.fails {
			t.Errorf("%+v: Pgpool-II's user is wrong %v", c.login, got)
		}
		if err := checksFail(m.facts); (err != nil) != c.fails {
			t.Errorf("%+v: %v", c.login, err)
		}
	}
}
