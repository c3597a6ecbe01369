package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/repool/repool/internal/app"
)

// manual writes a page of section 1 for each command of a program.
func manual(out files, program string, root *cobra.Command, at time.Time) error {
	root.DisableAutoGenTag = true
	for c := range commands(root) {
		if c != root && !c.IsAvailableCommand() {
			continue
		}
		c.Long = markdown(c.Long)
		var page bytes.Buffer
		header := &doc.GenManHeader{Source: "repool " + app.Version, Manual: "repool manual", Date: &at}
		if err := doc.GenMan(c, header, &page); err != nil {
			return fmt.Errorf("manual of %s: %w", c.CommandPath(), err)
		}
		name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1.gz"
		if err := out.gz(program+"/man/"+name, page.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// commands yields c and every command below it.
func commands(c *cobra.Command) func(func(*cobra.Command) bool) {
	return func(yield func(*cobra.Command) bool) {
		if !yield(c) {
			return
		}
		for _, sub := range c.Commands() {
			for below := range commands(sub) {
				if !yield(below) {
					return
				}
			}
		}
	}
}

// markdown turns the text of a command's help into what the manual's generator
// reads: a line in capitals is a heading, an indented one is shown as it stands.
func markdown(help string) string {
	var b strings.Builder
	verbatim := false
	for line := range strings.Lines(help) {
		line = strings.TrimRight(line, "\n")
		indented := strings.HasPrefix(line, " ")
		if indented != verbatim {
			b.WriteString("```\n")
			verbatim = indented
		}
		switch {
		case indented:
			b.WriteString(line)
		case line != "" && line == strings.ToUpper(line):
			b.WriteString("# " + line)
		default:
			b.WriteString(strings.NewReplacer("<", `\<`, "*", `\*`, "_", `\_`).Replace(line))
		}
		b.WriteByte('\n')
	}
	if verbatim {
		b.WriteString("```\n")
	}
	return b.String()
}
