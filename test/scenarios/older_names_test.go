package scenarios

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/pgpool/hook"
	"github.com/repool/repool/lab"
)

// The two orders in which existing pgpool.conf files pass the placeholders.
const (
	olderOrder    = "%d %H %P %R %r %p %D %m %M %h %P %r"
	upstreamOrder = "%d %h %p %D %m %H %M %P %r %R %N %S"
)

// The older names, part one: pgpool.conf calls failover.sh and
// follow_primary.sh in the older order of arguments, and pcp_recovery_node, the
// stock client, brings back a node that policy leaves to a person.
func TestOlderNamesAndOnlineRecovery(t *testing.T) {
	dir, etc := shimmed(t)
	o := lab.Options{Dir: dir, Recovery: true, RecoveryScripts: map[string]string{}, Pgpool: shimLines(etc, olderOrder),
		RepoolConfig: "policy: {methods: {base-backup: ask}}\n"}
	for _, s := range hook.Shims(filepath.Join(dir, "bin", "repool"), filepath.Join(dir, "repool.yaml")) {
		if s.DataDir {
			o.RecoveryScripts[s.Name] = s.Text
		}
	}
	p := up(t, o)
	p.failoverByShims(topology.MethodAdopt)

	n := p.Standbys()[1]
	since := time.Now()
	p.Wipe(n)
	p.Must(p.WaitDetached(p.Ctx, n))
	p.Code(n, codes.NeedsConsent)
	// Pgpool-II's own failover waits for the PCP client to leave before it
	// answers anybody else: one that calls into it leaves repool blind.
	asked := time.Now()
	p.Wait("Pgpool-II to have ended its failover", func(anyContext) error { return p.passes(asked, 3) })
	p.NoRuns(n, since)
	pg := p.Pgpools[0]
	out, err := p.Command(p.Ctx, "pcp_recovery_node", "-w", "-h", pg.Host, "-p", fmt.Sprint(pg.PCPPort), "-U",
		"repool", "-n", fmt.Sprint(n)).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Command Successful") {
		t.Errorf("pcp_recovery_node: %v\n%s", err, out)
	}
	p.Must(p.WaitAttached(p.Ctx, n))
	p.Whole("online recovery", since)
	p.HealedBy(n, since, topology.MethodBaseBackup)
	p.Equal()
}

// The older names, part two: the other order of arguments, and resync_command
// in pgpool.conf. The operator's own program gets the placeholders and runs in
// place of rewind and base backup; what it says is not believed: a node that it
// leaves up but wrong is not attached (P1), and the vault has been filled (P3).
func TestOlderNamesAndResyncCommand(t *testing.T) {
	dir, etc := shimmed(t)
	own := filepath.Join(etc, "own.sh")
	writeScript(t, own, ownResync)
	o := lab.Options{Dir: dir, Pgpool: shimLines(etc, upstreamOrder), RepoolConfig: "policy: {stream_patience: 3s}\n"}
	o.Pgpool["resync_command"] = own + " %d %h %p %D %H %r %P"
	writeScript(t, filepath.Join(etc, "lie"), "")
	p := up(t, o)
	old := p.Primary()
	lost, err := p.Diverge(p.Ctx, old, 10)
	p.Must(err)
	since := time.Now()
	p.Must(p.KillNode(p.Ctx, old))
	fresh, err := p.WaitNewPrimary(p.Ctx, old)
	p.Must(err)

	reads := p.watchReads(old, lost)
	p.Wait("the program to have lied", func(context.Context) error {
		runs := p.Runs(old, since)
		if len(runs) == 0 {
			return fmt.Errorf("no run has ended yet")
		}
		return nil
	})
	if r := p.Runs(old, since)[0]; r.Method != topology.MethodCustom || r.Outcome != topology.RunFailed {
		t.Errorf("want a failed run of the operator's program, got %+v", r)
	}
	p.Must(os.Remove(filepath.Join(etc, "lie")))
	p.Whole("resync_command", since)
	p.Must(reads())
	p.lostInVault(p.HealedBy(old, since, topology.MethodCustom), lost)
	called, err := os.ReadFile(filepath.Join(dir, "called"))
	p.Must(err)
	n, u := p.Nodes[old], p.Nodes[fresh]
	want := fmt.Sprintf("%d %s %d %s %s %d %d\n", old, n.Host, n.Port, n.DataDir, u.Host, u.Port, fresh)
	if !strings.HasPrefix(string(called), want) {
		t.Errorf("the program was called with %q, want %q", called, want)
	}
	p.Equal()
}

// ownResync is an operator's program. While a file "lie" stands beside it, it
// starts the diverged directory as a standby and calls that a success; else it
// makes a base backup. It starts the server without a thought for its output.
const ownResync = `#!/bin/sh
echo "$@" >> "$HOME/called"
dir=$4
if [ -e "$(dirname "$0")/lie" ]; then
	touch "$dir/standby.signal"
	pg_ctl -D "$dir" -w start
	exit 0
fi
set -e
pg_ctl -D "$dir" -m immediate -w stop || true
keep=$(mktemp -d)
cp -p "$dir/postgresql.conf" "$dir/pg_hba.conf" "$dir/pg_ident.conf" "$keep"
rm -rf "$dir"
pg_basebackup -h "$5" -p "$6" -U repl -D "$dir" -R -S "$REPOOL_SLOT" -X stream -c fast
cp -p "$keep"/* "$dir"
rm -r "$keep"
pg_ctl -D "$dir" -w start
`

// shimmed gives the directory of a lab to be, and one with the shims in it,
// which Pgpool-II can be told of before the lab is there.
func shimmed(t *testing.T) (dir, etc string) {
	t.Helper()
	base, err := os.MkdirTemp("", "repool-names-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(base); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, etc = filepath.Join(base, "lab"), filepath.Join(base, "etc")
	if err := os.Mkdir(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := hook.InstallShims([]string{etc}, nil, filepath.Join(dir, "bin", "repool"),
		filepath.Join(dir, "repool.yaml")); err != nil {
		t.Fatal(err)
	}
	return dir, etc
}

func writeScript(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// shimLines are pgpool.conf's lines as they stand in existing pools.
func shimLines(etc, order string) map[string]string {
	return map[string]string{
		"failover_command":       etc + "/failover.sh " + order,
		"follow_primary_command": etc + "/follow_primary.sh " + order,
	}
}

// failoverByShims kills the primary; what follows goes through the shims.
func (p *pool) failoverByShims(want topology.Method) {
	p.T.Helper()
	old := p.Primary()
	since := time.Now()
	p.Must(p.KillNode(p.Ctx, old))
	_, err := p.WaitNewPrimary(p.Ctx, old)
	p.Must(err)
	p.Whole("a failover through the shims", since)
	p.HealedBy(old, since, want)
	log, err := os.ReadFile(p.Pgpools[0].LogFile)
	p.Must(err)
	for _, name := range []string{"/failover.sh ", "/follow_primary.sh "} {
		if !strings.Contains(string(log), name) {
			p.T.Errorf("%s was not called", name)
		}
	}
	if strings.Contains(string(log), "not understood") {
		p.T.Error("a hook did not understand its arguments: see pgpool.log")
	}
}
