package cli

import (
	"io"

	"github.com/spf13/cobra"
)

// Root is the whole command line, for what is generated from it: manual pages and
// completion scripts. It prints nowhere; Main runs a command line.
func Root() *cobra.Command { return newRoot(&globals{out: io.Discard, err: io.Discard}) }
