package command

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/test/fakes/helptest"
)

func TestEveryCommandHasHelp(t *testing.T) {
	t.Parallel()
	helptest.Check(t, func(out, errOut io.Writer) *cobra.Command { return newRoot(streams{out, errOut}) })
}

func TestRepoolIsFound(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "repool")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)

	// A file that cannot be run is not the program.
	for _, args := range [][]string{{"demo"}, {"bench"}, {"chaos"}, {"up"}, {"up", "--repool", program}} {
		var out, errOut bytes.Buffer
		if code := Main(t.Context(), args, &out, &errOut); code != exit.Usage {
			t.Errorf("%v without repool: status %d: %s", args, code, errOut.String())
		}
		if !strings.Contains(errOut.String(), "--repool") || !strings.Contains(errOut.String(), "repool-lab: ") {
			t.Errorf("%v without repool: %s", args, errOut.String())
		}
	}

	if err := os.Chmod(program, 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	for _, given := range []string{"", program} {
		if got, err := findRepool(given); err != nil || got != program {
			t.Errorf("findRepool(%q) = %q, %v; want %q", given, got, err, program)
		}
	}
	beside := filepath.Join(filepath.Dir(own), "repool")
	if err := os.WriteFile(beside, []byte("#!/bin/sh\n"), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(beside) })
	if got, err := findRepool(""); err != nil || got != beside {
		t.Errorf("findRepool beside this program = %q, %v; want %q", got, err, beside)
	}
}
