package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/lab"
)

// TestSetupIsUndone is the way back of a person who has tried repool: set up, two failovers, each healed, and then
// everything is as it was, but for what the standby streams by until that person has changed it.
func TestSetupIsUndone(t *testing.T) {
	l := plainPool(t, lab.Options{NoSlots: true})
	labLogin(t, l)
	script := filepath.Join(l.Nodes[0].DataDir, "recovery_1st_stage.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n# the pool's own\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.Exec(t.Context(), 0, "ALTER SYSTEM SET work_mem = '5MB'"); err != nil {
		t.Fatal(err)
	}
	program := installProgram(t, l)
	yaml := filepath.Join(l.Dir, "etc-repool", "repool.yaml")
	words := []string{"setup", "--config", yaml, "--program", program, "--admin-host", l.Sockets,
		"--pgpool-conf", l.Pgpools[0].Conf, "--state-dir", filepath.Join(l.Dir, "state"),
		"--pgpass", filepath.Join(l.Dir, "repool.pgpass"), "--pcppass", filepath.Join(l.Dir, "repool.pcppass"),
		"--unit-dir", filepath.Join(l.Dir, "units")}
	undo := append(slices.Clone(words), "--undo")
	before := wholeTree(t, l)
	own := inDatabase(t, l)

	if code, _ := command(t, append(words, "--recovery", "--apply")...); code != exit.OK {
		t.Fatalf("setup --apply: status %d", code)
	}
	heals(t, l, program, yaml, 0, 1)
	set := wholeTree(t, l)
	if code, _ := command(t, undo...); code != exit.OK || !maps.Equal(set, wholeTree(t, l)) {
		t.Fatalf("setup --undo without --apply: status %d, or it has changed files", code)
	}

	// Node 1 streams as repool's role, through its slot.
	code, out := command(t, append(undo, "--apply")...)
	if code != exit.OK || !strings.Contains(out, "slot repool_node1 stays: in use by process ") {
		t.Fatalf("setup --undo --apply: status %d, or no word of the slot that is in use", code)
	}
	now := wholeTree(t, l)
	for path, want := range before {
		inUse := strings.HasPrefix(path, l.Nodes[1].DataDir) || strings.HasSuffix(path, "pg_hba.conf")
		if !inUse && now[path] != want {
			t.Errorf("%s is not as before:\n%s\nwas\n%s", path, now[path], want)
		}
	}
	if err := streamsStill(t, l); err != nil {
		t.Fatal(err)
	}

	conninfo := fmt.Sprintf("host=%s port=%d user=repl application_name=%s passfile=%s", l.Nodes[0].Host,
		l.Nodes[0].Port, l.Nodes[1].Name, filepath.Join(l.Dir, ".pgpass"))
	for _, sql := range []string{"ALTER SYSTEM SET primary_conninfo = '" + conninfo + "'",
		"ALTER SYSTEM RESET primary_slot_name", "ALTER SYSTEM RESET recovery_target_timeline",
		"SELECT pg_reload_conf()"} {
		if err := l.Exec(t.Context(), 1, sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := lab.WaitFor(t.Context(), "the standby to stream without a slot", func(ctx context.Context) error {
		slot, err := l.Value(ctx, 1, "SELECT slot_name FROM pg_stat_wal_receiver WHERE status = 'streaming'")
		active, aerr := l.Value(ctx, 0, "SELECT count(*) FROM pg_replication_slots WHERE active")
		if err == nil && (slot != "" || aerr != nil || active != "0") {
			err = fmt.Errorf("it streams through %q; %s active slots, %v", slot, active, aerr)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := streamsStill(t, l); err != nil {
		t.Fatal(err)
	}
	if code, _ := command(t, append(undo, "--apply", "--remove-state")...); code != exit.OK {
		t.Fatalf("setup --undo --apply once more: status %d", code)
	}
	undone(t, before, wholeTree(t, l), filepath.Join(l.Nodes[1].DataDir, "postgresql.auto.conf"))
	if now := inDatabase(t, l); now != own {
		t.Errorf("roles, grants and slots are\n%s\nand were\n%s", now, own)
	}
	if code, out := command(t, append(undo, "--apply")...); code != exit.OK || strings.Contains(out, "done:") {
		t.Errorf("setup --undo --apply a third time: status %d, and it did something", code)
	}
}

// undone claims that files are what they were, and that none is left.
func undone(t *testing.T, before, now map[string]string, except string) {
	t.Helper()
	for path, want := range before {
		if path != except && now[path] != want {
			t.Errorf("%s is not as before:\n%s\nwas\n%s", path, now[path], want)
		}
	}
	for path := range now {
		if _, was := before[path]; !was {
			t.Errorf("%s is left", path)
		}
	}
}

// wholeTree is tree with the scripts of online recovery and every file of repool's.
func wholeTree(t *testing.T, l *lab.Lab) map[string]string {
	t.Helper()
	all := tree(t, l)
	for _, glob := range []string{"node*/data/recovery_*", "node*/data/pgpool_remote_start*", "state*", "etc-repool*",
		"units*", "node*/data.repool"} {
		found, err := filepath.Glob(filepath.Join(l.Dir, glob))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			text, err := os.ReadFile(path)
			if err != nil {
				text = []byte("a directory")
			}
			all[path] = string(text)
		}
	}
	delete(all, filepath.Join(l.Dir, "repool"))
	return all
}

// inDatabase are roles, rights on functions, extensions and slots.
func inDatabase(t *testing.T, l *lab.Lab) string {
	t.Helper()
	var out []string
	for i := range l.Nodes {
		for _, sql := range []string{
			"SELECT string_agg(rolname || rolreplication || rolcanlogin, ' ' ORDER BY rolname) FROM pg_roles",
			"SELECT string_agg(proname || coalesce(proacl::text, ''), ' ' ORDER BY oid) FROM pg_proc " +
				"WHERE proname ~ '^pg_(ls_dir|stat_file|read_binary_file|promote)$'",
			"SELECT string_agg(slot_name, ' ' ORDER BY slot_name) FROM pg_replication_slots",
		} {
			got, err := l.Value(t.Context(), i, sql)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("node %d: %s", i, got))
		}
	}
	return strings.Join(out, "\n")
}

// streamsStill waits until the standby has what is written now.
func streamsStill(t *testing.T, l *lab.Lab) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := l.Exec(ctx, 0, "SELECT pg_switch_wal()"); err != nil {
		return err
	}
	return l.WaitStreaming(ctx)
}
