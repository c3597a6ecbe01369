package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/app"
	"github.com/repool/repool/internal/terminal"
)

// buildInfo is what `repool version --json` prints.
type buildInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersionCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long: `Prints the release, the revision it was built from, Go's version and the platform.

EXIT STATUS
  0 printed`,
		Example: "  repool version --json",
		Args:    terminal.Args,
		RunE:    func(*cobra.Command, []string) error { return g.runVersion() },
	}
}

func (g *globals) runVersion() error {
	b := buildInfo{Version: app.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Revision = s.Value
			}
		}
	}
	if g.json {
		return terminal.PrintJSON(g.out, b)
	}
	rev := b.Revision
	if len(rev) > 12 {
		rev = rev[:12]
	}
	_, err := fmt.Fprintf(g.out, "repool %s %s %s %s\n", b.Version, rev, b.Go, b.Platform)
	return err
}
