package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/terminal"
)

// streams are where a command prints: its result, and everything else.
type streams struct{ out, err io.Writer }

// Main runs one command line and returns the exit status.
func Main(ctx context.Context, args []string, out, errOut io.Writer) int {
	return terminal.Run(ctx, newRoot(streams{out, errOut}), args)
}

func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "repool-lab",
		Short: "Try repool on real pools made for it",
		Long: `Builds real pools on this machine: PostgreSQL nodes, Pgpool-II, and repool's
controller and hooks. A pool lives under one directory, and nothing outside it is
touched. As root, everything in it runs as the user postgres.

EXIT STATUS
  0 done   1 it could not be run   2 wrong usage
  6 a promise was not kept, or an aim was missed   130 interrupted`,
		Example: "  repool-lab demo\n  repool-lab up --standbys 4",
	}
	terminal.Setup(root, s.out, s.err,
		terminal.Group{Title: "A pool to try things on:", Commands: []*cobra.Command{
			newUpCommand(s), newStatusCommand(s), newFaultCommand(s), newDownCommand(s)}},
		terminal.Group{Title: "A pool for one run:", Commands: []*cobra.Command{
			newDemoCommand(s), newBenchCommand(s), newChaosCommand(s)}},
		terminal.Group{Title: "Other:"},
	)
	return root
}

func dirFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "dir", filepath.Join(os.TempDir(), "repool-lab"), "the lab's `directory`")
}

func jsonFlag(c *cobra.Command, json *bool) {
	c.Flags().BoolVar(json, "json", false, "print the result as JSON")
}

func repoolFlag(c *cobra.Command, path *string) {
	c.Flags().StringVar(path, "repool", "",
		"the `program` that runs as controller, agent and hook (default: repool beside this program, else in PATH)")
}

// findRepool is the program that the pool runs as controller, agent and hook: the
// given one, else repool beside this program, else repool in PATH.
func findRepool(given string) (string, error) {
	if given != "" {
		path, err := exec.LookPath(given)
		if err != nil {
			return "", exit.With(exit.Usage, fmt.Errorf("--repool: %w", err))
		}
		return filepath.Abs(path)
	}
	own, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	dir := filepath.Dir(own)
	if path, err := exec.LookPath(filepath.Join(dir, "repool")); err == nil {
		return path, nil
	}
	path, err := exec.LookPath("repool")
	if err != nil {
		return "", exit.With(exit.Usage, fmt.Errorf("the program repool is neither in %s nor in PATH", dir),
			"make build makes both programs; --repool names another place")
	}
	return filepath.Abs(path)
}
