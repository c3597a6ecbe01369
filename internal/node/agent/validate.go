package agent

import (
	"fmt"
	"regexp"
	"unicode"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/node/journal"
	"github.com/repool/repool/internal/node/resync"
)

// slotPattern is what PostgreSQL accepts as the name of a replication slot.
var slotPattern = regexp.MustCompile(`^[a-z0-9_]+$`)

// validate refuses a request that is for another node, or that contains what must
// not get into a configuration line or a file name.
func (a *Agent) validate(req topology.RunRequest) error {
	up := req.Upstream
	bad := ""
	switch {
	case !journal.ValidID(req.ID):
		bad = fmt.Sprintf("id %q is not a valid run id", req.ID)
	case req.Node != a.opts.Node:
		bad = fmt.Sprintf("it is for node %s, this agent has node %s", req.Node, a.opts.Node)
	case !resync.Supports(req.Method):
		bad = fmt.Sprintf("an agent cannot run method %q", req.Method)
	case up.Node == req.Node || up.Node < 0:
		bad = fmt.Sprintf("node %s cannot be its upstream", up.Node)
	case up.Port < 1 || up.Port > 65535:
		bad = fmt.Sprintf("upstream port %d is not from 1 to 65535", up.Port)
	case !printable(up.Host, 1024):
		bad = fmt.Sprintf("upstream host %q: want at most 1024 printable bytes", up.Host)
	case up.SystemID == 0 || !up.History.Known():
		bad = "the upstream's system identifier and history must be known"
	case len(req.Slot) > 63 || !slotPattern.MatchString(req.Slot):
		bad = fmt.Sprintf("slot %q: want 1 to 63 lower case letters, digits and underscores", req.Slot)
	case !printable(req.AppName, 63):
		bad = fmt.Sprintf("application name %q: want at most 63 printable bytes", req.AppName)
	}
	if bad != "" {
		return fmt.Errorf("start run: %s: %w", bad, agentapi.ErrRefused)
	}
	return nil
}

// printable says whether s has only printable characters and at most limit bytes.
func printable(s string, limit int) bool {
	for _, c := range s {
		if !unicode.IsPrint(c) {
			return false
		}
	}
	return len(s) <= limit
}
