// Package helptest checks that every command of a program explains itself: a
// one-line Short, a Long with its exit statuses, and an example.
//
// Check is its one function; it wants a fresh root for each command line it runs.
package helptest

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/terminal"
)

// Check walks every command below the root that newRoot makes, which prints to
// out and errOut. Help and completion are the frame's own and need no example.
func Check(t *testing.T, newRoot func(out, errOut io.Writer) *cobra.Command) {
	t.Helper()
	seen := 0
	walk(newRoot(io.Discard, io.Discard), func(c *cobra.Command) {
		seen++
		name := c.CommandPath()
		if c.Short == "" || strings.ContainsAny(c.Short, "\n") || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: the Short must be one line without a full stop: %q", name, c.Short)
		}
		if frame := c.Name() == "help" || c.Name() == "completion"; !frame && !strings.Contains(c.Example, "repool") {
			t.Errorf("%s: no example", name)
		}
		if !strings.Contains(c.Long, "EXIT STATUS\n") {
			t.Errorf("%s: the help does not give its exit statuses", name)
		}
		for line := range strings.SplitSeq(c.Long, "\n") {
			if len([]rune(line)) > 92 {
				t.Errorf("%s: a line of the help is too long for a terminal: %q", name, line)
			}
		}
		var out, errOut bytes.Buffer
		code := terminal.Run(t.Context(), newRoot(&out, &errOut), append(strings.Fields(name)[1:], "--help"))
		if code != exit.OK || errOut.Len() != 0 || !strings.Contains(out.String(), "Usage:") {
			t.Errorf("%s --help: status %d, %q on standard error", name, code, errOut.String())
		}
	})
	if seen < 5 {
		t.Errorf("only %d commands seen", seen)
	}
}

// walk calls visit for c and every command below it.
func walk(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, sub := range c.Commands() {
		walk(sub, visit)
	}
}
