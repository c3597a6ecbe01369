package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
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
	// The length of a password in bytes; bcrypt uses no more than 72.
	shortest, longest = 10, 72
)

func newPasswordCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "password",
		Short: "Make the password hash that allows acting on the page",
		Long: `Asks for a password twice, or reads it from standard input where that is not a
terminal, and prints the lines for repool.yaml. The password itself is not stored.

EXIT STATUS
  0 printed   2 the password cannot be used`,
		Example: "  repool setup password",
		Args:    terminal.Args,
		RunE:    func(cmd *cobra.Command, _ []string) error { return g.runPassword(cmd.InOrStdin()) },
	}
}

func (g *globals) runPassword(in io.Reader) error {
	password, err := g.askPassword(in)
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
}

// askPassword reads a password without showing it.
func (g *globals) askPassword(in io.Reader) ([]byte, error) {
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := bufio.NewReader(in).ReadString('\n')
		if err != nil && line == "" {
			return nil, exit.With(exit.Usage, fmt.Errorf("read the password: %w", err))
		}
		return []byte(strings.TrimRight(line, "\r\n")), nil
	}
	var typed [2][]byte
	for i, ask := range []string{"Password: ", "Once more: "} {
		fmt.Fprint(g.err, ask)
		var err error
		typed[i], err = term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(g.err)
		if err != nil {
			return nil, exit.With(exit.Usage, fmt.Errorf("read the password: %w", err))
		}
	}
	if !bytes.Equal(typed[0], typed[1]) {
		return nil, exit.With(exit.Usage, errors.New("the two passwords differ"))
	}
	return typed[0], nil
}
