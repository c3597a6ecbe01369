package terminal

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/exit"
)

// Family makes c a command that only has others below it: alone it prints its
// help, and an unknown word after it is wrong usage.
func Family(c *cobra.Command, below ...*cobra.Command) *cobra.Command {
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return unknownCommand(c, args[0])
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	c.AddCommand(below...)
	return c
}

// unknownCommand is the error for a word that is not a command of c.
func unknownCommand(c *cobra.Command, word string) error {
	c.SuggestionsMinimumDistance = 2
	hint := c.CommandPath() + " --help lists the commands"
	if near := c.SuggestionsFor(word); len(near) > 0 {
		hint = "did you mean " + c.CommandPath() + " " + strings.Join(near, " or ") + "? " + hint
	}
	return exit.With(exit.Usage, fmt.Errorf("there is no command %q in %s", word, c.CommandPath()), hint)
}

func newHelp(out io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND…]",
		Short: "Print the help of a command",
		Long: `Prints what COMMAND --help prints.

EXIT STATUS
  0 printed   2 there is no such command`,
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
			to.SetOut(out)
			return to.Help()
		},
	}
}

func newCompletion(out io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print the completion script of a shell: bash, zsh or fish",
		Long: `Prints a script that makes the shell complete commands and flags.

EXIT STATUS
  0 printed   2 no such shell`,
		ValidArgs: []string{"bash", "zsh", "fish"},
		Args:      Args,
		RunE: func(c *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return c.Root().GenBashCompletionV2(out, true)
			case "zsh":
				return c.Root().GenZshCompletion(out)
			case "fish":
				return c.Root().GenFishCompletion(out, true)
			}
			return exit.With(exit.Usage, fmt.Errorf("there is no completion script for %q", args[0]),
				"there is one for bash, zsh and fish")
		},
	}
}
