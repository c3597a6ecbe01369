package cli

import "github.com/spf13/cobra"

// commands is every command there is, in the order of --help's groups.
func commands(g *globals) []*cobra.Command {
	return []*cobra.Command{
		newServe(g), newAgent(g), newHook(g),
		newStatus(g), newPlan(g), newHistory(g), newVault(g),
		newResync(g), newHold(g), newRelease(g),
		newCheck(g), newSetup(g),
		newDemo(g), newBench(g), newLab(g), newVersion(g),
	}
}
