package terminal

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/repool/repool/internal/exit"
)

// Args checks a command's arguments against its Use line: "report NODE ENTRY"
// takes two, "show [FILE…]" any number. It is a cobra.PositionalArgs.
func Args(c *cobra.Command, args []string) error {
	names := strings.Fields(c.Use)[1:]
	most := len(names)
	for i, name := range names {
		if strings.Contains(name, "…") {
			most = len(args)
		}
		if !strings.HasPrefix(name, "[") && i >= len(args) {
			return exit.With(exit.Usage, fmt.Errorf("the argument %s is missing", name), example(c))
		}
	}
	if len(args) > most {
		return exit.With(exit.Usage, fmt.Errorf("unexpected argument %q", args[most]), example(c))
	}
	return nil
}

// example is a hint with the first of a command's examples.
func example(c *cobra.Command) string {
	first, _, _ := strings.Cut(strings.TrimSpace(c.Example), "\n")
	if first == "" {
		return "see " + c.CommandPath() + " --help"
	}
	return "for example: " + first
}

// valueNames say what a flag of pflag's type takes.
var valueNames = map[string]string{
	"int": "a number", "uint64": "a number", "duration": "a duration such as 90s, 10m or 2h",
}

// flagError says what is wrong with a flag.
func flagError(c *cobra.Command, err error) error {
	var bad *pflag.InvalidValueError
	if errors.As(err, &bad) {
		if is := valueNames[bad.GetFlag().Value.Type()]; is != "" {
			err = fmt.Errorf("--%s: %q is not %s", bad.GetFlag().Name, bad.GetValue(), is)
		}
	}
	return exit.With(exit.Usage, err, "see "+c.CommandPath()+" --help")
}
