package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/app"
	"github.com/repool/repool/internal/cli"
	"github.com/repool/repool/lab/command"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: generate DIRECTORY")
	}
	at, err := buildTime()
	if err != nil {
		return err
	}
	// Defaults of flags must not tell where this ran.
	if err := os.Unsetenv("TMPDIR"); err != nil {
		return err
	}
	out := files(args[0])
	for program, root := range map[string]func() *cobra.Command{"repool": cli.Root, "repool-lab": command.Root} {
		if err := manual(out, program, root(), at); err != nil {
			return err
		}
		if err := completions(out, program, root); err != nil {
			return err
		}
		if err := out.gz(program+"/changelog.gz", changelog(program, app.Version, at)); err != nil {
			return err
		}
		notices, err := notices("./cmd/" + program)
		if err != nil {
			return err
		}
		if err := out.gz(program+"/notices.gz", notices); err != nil {
			return err
		}
	}
	example, err := os.ReadFile("packaging/examples/repool.yaml")
	if err != nil {
		return err
	}
	if err := out.write("repool.yaml", commentedOut(example)); err != nil {
		return err
	}
	return out.write("version", []byte(app.Version+"\n"))
}

// buildTime is SOURCE_DATE_EPOCH (reproducible-builds.org), which must be set.
func buildTime() (time.Time, error) {
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// files is the directory that is written to.
type files string

func (d files) write(name string, text []byte) error {
	path := filepath.Join(string(d), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// gz writes text compressed, without a name or a time.
func (d files) gz(name string, text []byte) error {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return d.write(name, b.Bytes())
}

// completions writes one script for each shell, as `program completion SHELL` prints it.
func completions(out files, program string, root func() *cobra.Command) error {
	for shell, script := range map[string]func(*cobra.Command, io.Writer) error{
		"bash": func(c *cobra.Command, w io.Writer) error { return c.GenBashCompletionV2(w, true) },
		"zsh":  func(c *cobra.Command, w io.Writer) error { return c.GenZshCompletion(w) },
		"fish": func(c *cobra.Command, w io.Writer) error { return c.GenFishCompletion(w, true) },
	} {
		var b bytes.Buffer
		if err := script(root(), &b); err != nil {
			return fmt.Errorf("completion of %s for %s: %w", program, shell, err)
		}
		if err := out.write(program+"/completion."+shell, b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}
