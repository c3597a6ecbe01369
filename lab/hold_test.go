package lab

import (
	"path/filepath"
	"strings"
	"testing"
)

// A program that is over in no time is caught at its start, and is itself by
// then; nobody else's is, and with nobody to catch it, it just runs.
func TestCatchHoldsAProgramFromItsStart(t *testing.T) {
	l := up(t, Options{Standbys: -1, Catchable: true})
	program := filepath.Join(l.agentBinDir(), "pg_rewind")
	version := func(more ...string) {
		t.Helper()
		out, err := l.run(t.Context(), program, append([]string{"--version"}, more...)...)
		if err != nil || !strings.HasPrefix(out, "pg_rewind (PostgreSQL)") {
			t.Fatalf("%q, %v", out, err)
		}
	}
	version()
	for _, wrote := range []uint64{0, 1} {
		caught, err := l.Catch(t.Context(), wrote, "pg_rewind", "--target-pgdata=/its own")
		if err != nil {
			t.Fatal(err)
		}
		version("--target-pgdata=/other")
		cmd := l.Command(t.Context(), program, "--version", "--target-pgdata=/its own")
		var out strings.Builder
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		resume, err := caught()
		if err != nil {
			t.Fatal(err)
		}
		if p, ok := readProc(cmd.Process.Pid); !ok || !p.Frozen() || p.Program() != "pg_rewind" || p.Written() < wrote {
			t.Errorf("caught %+v, which runs %s and has written %d bytes", p.Process, p.Program(), p.Written())
		}
		resume()
		if err := cmd.Wait(); err != nil || !strings.HasPrefix(out.String(), "pg_rewind (PostgreSQL)") {
			t.Errorf("%q, %v", out.String(), err)
		}
	}
}
