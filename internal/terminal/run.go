package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/repool/repool/internal/exit"
)

// Group is a heading of the root's help with the commands below it.
type Group struct {
	Title    string
	Commands []*cobra.Command
}

// Setup gives root its commands in the order of groups, and help and completion
// below the last of them.
func Setup(root *cobra.Command, out, errOut io.Writer, groups ...Group) {
	cobra.EnableCommandSorting = false
	root.SilenceUsage, root.SilenceErrors = true, true
	root.SetOut(out)
	root.SetErr(errOut)
	root.SetFlagErrorFunc(flagError)
	id := ""
	for _, g := range groups {
		id = g.Title
		root.AddGroup(&cobra.Group{ID: id, Title: g.Title})
		for _, c := range g.Commands {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	completion, help := newCompletion(out), newHelp(out)
	completion.GroupID, help.GroupID = id, id
	root.AddCommand(completion)
	root.SetHelpCommand(help)
	root.SetHelpCommandGroupID(id)
	root.CompletionOptions.DisableDefaultCmd = true
}

// Run runs one command line of root and returns the exit status. An error is
// printed to root's standard error.
func Run(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	at, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exit.OK
	}
	var known *exit.Error
	if at == root && !errors.As(err, &known) {
		// The root does nothing itself: its only error is an unknown command.
		err = unknownCommand(root, firstWord(root, args))
	}
	complain(root.ErrOrStderr(), root.Name(), err)
	if ctx.Err() != nil && exit.Code(err) == exit.Internal {
		return exit.Interrupted
	}
	return exit.Code(err)
}

// complain prints an error of a program: each of several on a line of its own,
// and the hint below.
func complain(w io.Writer, program string, err error) {
	text := strings.TrimRight(err.Error(), "\n")
	fmt.Fprintf(w, "%s: %s\n", program, strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", len(program)+2)))
	if hint := exit.Hint(err); hint != "" {
		fmt.Fprintf(w, "  → %s\n", hint)
	}
}

// firstWord is the first argument that is neither a global flag nor its value.
func firstWord(root *cobra.Command, args []string) string {
	f := pflag.NewFlagSet("words", pflag.ContinueOnError)
	f.AddFlagSet(root.PersistentFlags())
	f.ParseErrorsAllowlist.UnknownFlags = true
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	_ = f.Parse(args) // the unknown command is the error, whatever else is wrong
	return f.Arg(0)
}
