package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/term"

	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/internal/terminal"
)

const (
	// hashCost makes one guess take about a quarter of a second.
	hashCost = 12
	// shortest password that is taken; bcrypt uses no more than 72 bytes.
	shortest, longest = 10, 72
)

func newPasswordCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "password",
		Short: "Make the hash of a password for those who may act on the page",
		Long: `Asks for a password twice, or reads it from standard input where that is no
terminal, and prints the lines for repool.yaml. The password itself is written
nowhere.

EXIT STATUS
  0 printed   2 the password cannot be used`,
		Example: "  repool setup password",
		Args:    terminal.Args,
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := g.askPassword(cmd)
			if err != nil {
				return err
			}
			defer clear(password)
			if n := len(password); n < shortest || n > longest {
				return exit.New(exit.Usage, "the password has %d bytes; it must have %d to %d", n, shortest, longest)
			}
			hash, err := bcrypt.GenerateFromPassword(password, hashCost)
			if err != nil {
				return fmt.Errorf("hash the password: %w", err)
			}
			_, err = fmt.Fprintf(g.out, "page:\n  password_hash: %q\n", hash)
			return err
		},
	}
}

// askPassword reads a password without showing it.
func (g *globals) askPassword(cmd *cobra.Command) ([]byte, error) {
	in, terminal := cmd.InOrStdin().(*os.File)
	if !terminal || !term.IsTerminal(int(in.Fd())) {
		line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if err != nil && line == "" {
			return nil, exit.With(exit.Usage, fmt.Errorf("read the password: %w", err))
		}
		return []byte(strings.TrimRight(line, "\r\n")), nil
	}
	var typed [2][]byte
	for i, ask := range []string{"Password: ", "Once more: "} {
		fmt.Fprint(g.err, ask)
		var err error
		typed[i], err = term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(g.err)
		if err != nil {
			return nil, exit.With(exit.Usage, fmt.Errorf("read the password: %w", err))
		}
	}
	if !bytes.Equal(typed[0], typed[1]) {
		return nil, exit.With(exit.Usage, errors.New("the two differ"))
	}
	return typed[0], nil
}
