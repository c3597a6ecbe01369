package setup

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/repool/repool/internal/admin/check"
	"github.com/repool/repool/internal/exit"
)

// try proves that the user can run a hook. What cannot be proven is refused: the
// line or script that would be replaced may be one that works.
func (m *maker) try(ctx context.Context, id check.Identity, command string) error {
	err := check.TryHook(ctx, id, command)
	if err == nil {
		return nil
	}
	hint := "nothing was switched: let " + id.Name + " run that command, or name another --program, and run setup again"
	if errors.Is(err, check.ErrCannotTry) {
		hint = "nothing was switched: run setup as root, or as " + id.Name
	}
	return exit.With(exit.Refused, fmt.Errorf("a hook was tried and failed: %w", err), hint)
}

// tryProgram tries the hooks that the scripts would call: Pgpool-II's, and those of
// online recovery as the owner of each data directory.
func (m *maker) tryProgram(ctx context.Context, dataDirs []string) error {
	line := func(kind string) string {
		words := []string{m.facts.Program, "hook", kind}
		if p := m.configPath(); p != "" {
			words = append(words, "--config", p)
		}
		return strings.Join(words, " ")
	}
	if m.o.Shims {
		if err := m.try(ctx, m.facts.Pgpool.User, line("failover")); err != nil {
			return err
		}
	}
	for _, dir := range dataDirs {
		owner, err := check.OwnerOf(dir)
		if err != nil {
			return err
		}
		if err := m.try(ctx, owner, line("recovery-1st-stage")); err != nil {
			return err
		}
	}
	return nil
}

// trySettings tries every hook that pgpool.conf is about to call.
func (m *maker) trySettings(ctx context.Context) error {
	var data []string
	for _, s := range m.settings {
		if slices.Contains(check.HookNames, s[0]) {
			if err := m.try(ctx, m.facts.Pgpool.User, s[1]); err != nil {
				return err
			}
		}
		if s[0] == "recovery_1st_stage_command" {
			data = m.recoveryDirs()
		}
	}
	for _, dir := range data {
		owner, err := check.OwnerOf(dir)
		if err != nil {
			return err
		}
		if err := m.try(ctx, owner, filepath.Join(dir, firstStage)); err != nil {
			return err
		}
	}
	return nil
}

// recoveryDirs are the data directories on this machine, where online recovery's
// scripts lie.
func (m *maker) recoveryDirs() []string {
	var dirs []string
	for i := range m.facts.Nodes {
		if n := &m.facts.Nodes[i]; n.Local != nil && n.Local.Exists && isLocal(n.Conf) {
			dirs = append(dirs, n.Conf.DataDir)
		}
	}
	return dirs
}
