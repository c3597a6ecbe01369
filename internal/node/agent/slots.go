package agent

import (
	"context"
	"fmt"
	"strings"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
)

// DropSlots drops idle slots of repool's from the node's server while that is a
// standby that streams, and returns the names of those that it dropped. A name that
// repool does not give is refused, and so is everything during a run.
func (a *Agent) DropSlots(ctx context.Context, token topology.Token, names []string) (dropped []string, err error) {
	for _, name := range names {
		if _, ours := topology.SlotNode(name); !ours {
			return nil, fmt.Errorf("slot %q is not one of repool's: %w", name, agentapi.ErrRefused)
		}
	}
	err = a.withNode(ctx, func() error {
		if _, err := a.tokens.check(token); err != nil {
			return err
		}
		if act := a.runs.current(); act != nil {
			return fmt.Errorf("run %s of %s is in progress: %w", act.id, act.holder, agentapi.ErrLocked)
		}
		dropped, err = a.opts.Host.DropSlots(ctx, names)
		if len(dropped) > 0 {
			a.log.Info("dropped idle replication slots", "slots", strings.Join(dropped, ", "))
		}
		return err
	})
	return dropped, err
}
