package terminal

import (
	"bytes"
	"errors"
	"testing"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/exit"
)

// program is a small one: "greet NAME" with a number, and "list [WORD…]".
func program(out, errOut *bytes.Buffer) *cobra.Command {
	root := &cobra.Command{Use: "tool"}
	root.PersistentFlags().String("config", "", "")
	root.PersistentFlags().Bool("json", false, "")
	run := func(*cobra.Command, []string) error { return nil }
	greet := &cobra.Command{Use: "greet NAME", Example: "  tool greet Ada\n  tool greet Bob", Args: Args, RunE: run}
	greet.Flags().Int("times", 1, "")
	greet.Flags().Duration("for", 0, "")
	list := &cobra.Command{Use: "list [WORD…]", Args: Args, RunE: run}
	stop := &cobra.Command{Use: "stop", Args: Args, RunE: func(*cobra.Command, []string) error {
		return exit.With(exit.Refused, errors.Join(errors.New("a:1: first"), errors.New("a:3: second")), "correct them")
	}}
	Setup(root, out, errOut, Group{Title: "All:", Commands: []*cobra.Command{greet, list, stop}})
	return root
}

func TestRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want int
		says string
	}{
		{[]string{"greet", "Ada", "--times", "2"}, exit.OK, ""},
		{[]string{"greet"}, exit.Usage, "tool: the argument NAME is missing\n  → for example: tool greet Ada\n"},
		{[]string{"greet", "Ada", "Bob"}, exit.Usage, "tool: unexpected argument \"Bob\"\n  → for example: tool greet Ada\n"},
		{[]string{"greet", "Ada", "--times", "two"}, exit.Usage,
			"tool: --times: \"two\" is not a number\n  → see tool greet --help\n"},
		{[]string{"greet", "Ada", "--for", "soon"}, exit.Usage,
			"tool: --for: \"soon\" is not a duration such as 90s, 10m or 2h\n  → see tool greet --help\n"},
		{[]string{"greet", "--loud"}, exit.Usage, "tool: unknown flag: --loud\n  → see tool greet --help\n"},
		{[]string{"list"}, exit.OK, ""},
		{[]string{"list", "a", "b", "c"}, exit.OK, ""},
		{[]string{"stop", "now"}, exit.Usage, "tool: unexpected argument \"now\"\n  → see tool stop --help\n"},
		{[]string{"stop"}, exit.Refused, "tool: a:1: first\n      a:3: second\n  → correct them\n"},
		{[]string{"--config", "plan", "gret", "--loud", "x"}, exit.Usage,
			"tool: there is no command \"gret\" in tool\n  → did you mean tool greet? tool --help lists the commands\n"},
		{[]string{"help", "gret"}, exit.Usage,
			"tool: there is no command \"gret\" in tool\n  → did you mean tool greet? tool --help lists the commands\n"},
		{[]string{"completion", "ksh"}, exit.Usage,
			"tool: there is no completion script for \"ksh\"\n  → there is one for bash, zsh and fish\n"},
	} {
		var out, errOut bytes.Buffer
		if got := Run(t.Context(), program(&out, &errOut), c.args); got != c.want || errOut.String() != c.says {
			t.Errorf("%v: status %d, %q\nwant %d, %q", c.args, got, errOut.String(), c.want, c.says)
		}
	}
}

func TestFirstWord(t *testing.T) {
	t.Parallel()
	root := program(&bytes.Buffer{}, &bytes.Buffer{})
	for want, args := range map[string][]string{
		"stauts": {"--config", "plan", "stauts", "--fail", "x"},
		"hok":    {"--json", "hok"},
		"":       {"--config"},
	} {
		if got := firstWord(root, args); got != want {
			t.Errorf("firstWord(%v) = %q, want %q", args, got, want)
		}
	}
}
