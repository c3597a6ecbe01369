package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/repool/repool/internal/exit"
)

// Groups of --help.
const (
	groupLook  = "look"
	groupDo    = "do"
	groupRun   = "run"
	groupTry   = "try"
	groupOther = "other"
)

// addCommands gives root its commands, under headings and in order of use.
func addCommands(root *cobra.Command, g *globals) {
	cobra.EnableCommandSorting = false
	for _, group := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{groupLook, "Look at the pool:", []*cobra.Command{newStatus(g), newPlan(g), newHistory(g), newVault(g)}},
		{groupDo, "Tell repool what to do:", []*cobra.Command{newResync(g), newHold(g), newRelease(g), newDetach(g), newAttach(g)}},
		{groupRun, "Put it beside Pgpool-II:", []*cobra.Command{newCheck(g), newSetup(g), newCerts(g), newNotify(g), newServe(g), newAgent(g), newHook(g)}},
		{groupTry, "Try it:", []*cobra.Command{newDemo(g), newLab(g), newBench(g), newChaos(g)}},
		{groupOther, "Other:", []*cobra.Command{newVersion(g), newCompletion(g)}},
	} {
		root.AddGroup(&cobra.Group{ID: group.id, Title: group.title})
		for _, c := range group.commands {
			c.GroupID = group.id
			root.AddCommand(c)
		}
	}
	help := newHelp(g)
	help.GroupID = groupOther
	root.SetHelpCommand(help)
	root.SetHelpCommandGroupID(groupOther)
	root.CompletionOptions.DisableDefaultCmd = true
}

// family makes c a command that only has others below it: alone it prints its
// help, and a word that is none of them is wrong usage.
func family(c *cobra.Command) *cobra.Command {
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return unknownCommand(c, args[0])
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return c
}

// unknownCommand is the error for a word that is no command below c.
func unknownCommand(c *cobra.Command, word string) error {
	c.SuggestionsMinimumDistance = 2
	hint := c.CommandPath() + " --help lists the commands"
	if near := c.SuggestionsFor(word); len(near) > 0 {
		hint = "did you mean " + c.CommandPath() + " " + strings.Join(near, " or ") + "? " + hint
	}
	return exit.With(exit.Usage, fmt.Errorf("there is no command %q in %s", word, c.CommandPath()), hint)
}

// firstWord is the first argument that is no global flag and no flag's value.
func firstWord(root *cobra.Command, args []string) string {
	f := pflag.NewFlagSet("words", pflag.ContinueOnError)
	f.AddFlagSet(root.PersistentFlags())
	f.ParseErrorsAllowlist.UnknownFlags = true
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	_ = f.Parse(args) // whatever is wrong with the flags, the word is the matter
	return f.Arg(0)
}

func newHelp(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND…]",
		Short: "Print the help of a command",
		Long: `Prints what COMMAND --help prints.

EXIT STATUS
  0 printed   2 there is no such command`,
		Example: "  repool help lab fault",
		RunE: func(c *cobra.Command, args []string) error {
			to, rest, err := c.Root().Find(args)
			if err != nil || (len(rest) > 0 && to.HasSubCommands()) {
				word := strings.Join(args, " ")
				if len(rest) > 0 {
					word = rest[0]
				}
				return unknownCommand(to, word)
			}
			to.InitDefaultHelpFlag()
			to.SetOut(g.out)
			return to.Help()
		},
	}
}

func newCompletion(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print the completion script of a shell",
		Long: `Prints a script that makes the shell complete repool's commands and flags.

EXIT STATUS
  0 printed   2 no such shell`,
		Example: `  repool completion bash > /etc/bash_completion.d/repool
  repool completion zsh > "${fpath[1]}/_repool"
  repool completion fish > ~/.config/fish/completions/repool.fish`,
		ValidArgs: []string{"bash", "zsh", "fish"},
		Args:      usage(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)),
		RunE: func(c *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return c.Root().GenBashCompletionV2(g.out, true)
			case "zsh":
				return c.Root().GenZshCompletion(g.out)
			}
			return c.Root().GenFishCompletion(g.out, true)
		},
	}
}

// complain prints an error for a person: each of several on a line of its own,
// and below what can be done.
func complain(w io.Writer, err error) {
	const name = "repool: "
	text := strings.TrimRight(err.Error(), "\n")
	fmt.Fprintf(w, "%s%s\n", name, strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", len(name))))
	if hint := exit.Hint(err); hint != "" {
		fmt.Fprintf(w, "  → %s\n", hint)
	}
}

// wantsColour says whether w is a terminal that wants colour.
func wantsColour(w io.Writer) bool {
	return isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
