package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// held are the programs that can be held at their very start.
var held = []string{"pg_rewind", "pg_basebackup"}

// holdScript stands for each of them: while a file of the first directory has
// only lines that occur in the command line, the program stops itself before it
// does anything. Else nobody sees that it is there: the program follows in the
// same process.
const holdScript = `#!/bin/sh
says() {
	while IFS= read -r word; do
		case $line in *"$word"*) ;; *) return 1 ;; esac
	done <"$1"
}
line="$0 $*"
for file in '%[1]s'/*; do
	if [ -e "$file" ] && says "$file" 2>/dev/null; then kill -STOP $$; fi
done
exec '%[2]s'/"${0##*/}" "$@"
`

// agentBinDir is the directory of PostgreSQL's programs for the agents.
func (l *Lab) agentBinDir() string {
	if l.opts.Catchable {
		return l.path("pgbin")
	}
	return l.BinDir
}

// makeHolds makes that directory: links to the programs, which find one another by the path that the link leads to, and
// scripts for those that can be held.
func (l *Lab) makeHolds(context.Context) error {
	if !l.opts.Catchable {
		return nil
	}
	for _, dir := range []string{l.agentBinDir(), l.holdDir(), l.path("run")} {
		if err := l.Owner.mkdir(dir); err != nil {
			return err
		}
	}
	programs, err := os.ReadDir(l.BinDir)
	if err != nil {
		return fmt.Errorf("list PostgreSQL's programs: %w", err)
	}
	for _, p := range programs {
		place := filepath.Join(l.agentBinDir(), p.Name())
		if slices.Contains(held, p.Name()) {
			err = l.Owner.write(place, fmt.Sprintf(holdScript, l.holdDir(), l.BinDir), 0o755)
		} else if err = os.Symlink(filepath.Join(l.BinDir, p.Name()), place); err == nil {
			err = l.Owner.give(place)
		}
		if err != nil {
			return fmt.Errorf("make the agents' directory of programs: %w", err)
		}
	}
	return nil
}

func (l *Lab) holdDir() string { return l.path("hold") }

// holds says whether a program with these words in its command line can be held.
func (l *Lab) holds(words []string) bool {
	return l.opts.Catchable && slices.ContainsFunc(held, func(name string) bool { return slices.Contains(words, name) })
}

// hold has programs with these words in their command lines stop themselves at
// their start until release is called, which lets go on none that has done so.
func (l *Lab) hold(words []string) (release func(), err error) {
	f, err := os.CreateTemp(l.path("run"), "hold-")
	if err != nil {
		return nil, fmt.Errorf("hold a program: %w", err)
	}
	f.Close()
	if err := l.Owner.write(f.Name(), strings.Join(words, "\n")+"\n", 0o600); err != nil {
		return nil, err
	}
	place := filepath.Join(l.holdDir(), filepath.Base(f.Name()))
	if err := os.Rename(f.Name(), place); err != nil { // the script never sees half of it
		return nil, fmt.Errorf("hold a program: %w", err)
	}
	return func() { _ = os.Remove(place) }, nil // it may have gone with the lab
}
