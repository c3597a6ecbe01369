package scenarios

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
)

// S10, causes on one node: another cluster's data in a node's place (hazard
// 30), even running and attached by hand, and a max_connections lower than the
// primary's (hazard 32). Both are refused with their codes and nothing is
// touched; both heal by themselves when the cause has gone.
func TestS10ForeignSystemAndLowSettings(t *testing.T) {
	p := up(t, lab.Options{})
	low, foreign := p.Standbys()[0], p.Standbys()[1]

	since := time.Now()
	p.otherCluster(foreign)
	p.Code(foreign, codes.ForeignSystem)
	before, err := p.poolNode(foreign)
	p.Must(err)
	p.Must(p.Attach(p.Ctx, foreign))
	// repool asks for the detach, unless Pgpool-II's own health check, for which
	// the other cluster has no such user, takes the node out first.
	p.Wait("the foreign node to be attached and detached again", func(ctx context.Context) error {
		if p.happened(ctx, foreign, since, "detach", codes.ForeignSystem) == nil {
			return nil
		}
		now, err := p.poolNode(foreign)
		if err == nil && (now.Attached() || !now.LastChange.After(before.LastChange)) {
			err = fmt.Errorf("it is %s since %s, and was %s before the attach", now.Status, now.LastChange, before.LastChange)
		}
		return err
	})
	p.Code(foreign, codes.ForeignSystem)
	if got, err := p.Value(p.Ctx, foreign, "SELECT count(*) FROM pg_database WHERE datname = 'mine'"); err != nil ||
		got != "1" {
		t.Errorf("the other cluster was touched: %q, %v", got, err)
	}
	p.NoRuns(foreign, since)
	p.Must(p.StopNode(p.Ctx, foreign, lab.Fast))
	p.Must(os.Rename(p.Nodes[foreign].DataDir, p.Nodes[foreign].DataDir+".other"))
	p.Whole("the other cluster moved away", since)
	p.HealedBy(foreign, since, topology.MethodBaseBackup)

	since = time.Now()
	p.setting(low, "max_connections", "20")
	p.Must(p.KillNode(p.Ctx, low))
	files := p.listing(low)
	p.Code(low, codes.SettingsTooLow)
	p.untouched(low, since, files)
	p.setting(low, "max_connections", "60")
	p.Whole("max_connections raised", since)
	p.HealedBy(low, since, topology.MethodStart)
	p.Equal()
}

// S10: no room for a base backup beside the old directory (hazard 50).
func TestS10NoSpace(t *testing.T) {
	o := lab.Options{Standbys: 1}
	root := os.Geteuid() == 0
	if root {
		o.DiskMB, o.RepoolConfig = 400, "policy: {headroom: 16MB}\n"
	} else { // without a file system of its own, the headroom stands for it
		o.RepoolConfig = "policy: {headroom: 900TB}\n"
	}
	p := up(t, o)
	n := p.Standbys()[0]
	if root {
		p.Must(p.FillDisk(p.Ctx, n, 20<<20))
	}
	since := time.Now()
	p.Hold(n)
	p.Must(p.KillNode(p.Ctx, n))
	p.Must(p.DestroyData(p.Ctx, n))
	if root {
		p.Must(p.FillDisk(p.Ctx, n, 20<<20))
	}
	p.Release(n)
	p.Code(n, codes.NoSpace)
	p.untouched(n, since, p.listing(n))
	if root {
		p.Must(p.FreeDisk(p.Ctx, n))
	} else {
		p.Must(p.StopController(p.Ctx, 0))
		p.rewrite(p.RepoolConf(), "headroom: 900TB", "headroom: 1MB")
		p.Must(p.StartController(p.Ctx, 0))
	}
	p.Whole("room again", since)
	p.HealedBy(n, since, topology.MethodBaseBackup)
	p.Equal()
}

// S10, causes in the pool: no primary at all, and two primaries of which none
// descends from the other. Nothing is done to any node until it is clear again.
// No failover_command that works is what makes both last.
func TestS10NoPrimaryAndTwoPrimaries(t *testing.T) {
	p := up(t, lab.Options{Pgpool: noFailoverCommand})
	old := p.Primary()
	a, b := p.Standbys()[0], p.Standbys()[1]

	since := time.Now()
	p.Hold(b)
	p.Must(p.KillNode(p.Ctx, old))
	p.Must(p.KillNode(p.Ctx, b))
	before := p.listing(b)
	p.Must(p.WaitDetached(p.Ctx, b))
	p.Release(b)
	p.Code(b, codes.NoPrimary, codes.FailoverRunning)
	p.untouched(b, since, before)
	p.Must(p.StartNode(p.Ctx, old))
	p.Whole("the last primary started by hand", since)
	p.NoRuns(old, since)
	p.HealedBy(b, since, topology.MethodStart)

	since = time.Now()
	p.Must(p.KillNode(p.Ctx, old))
	p.poolWithoutPrimary()
	before = p.listing(old)
	for _, n := range []int{-1, a, b} { // hold all, so that neither promotion is seen alone
		if n < 0 {
			p.Hold(n)
			continue
		}
		p.Must(p.PromoteByHand(p.Ctx, n))
		_, err := p.CommitRows(p.Ctx, n, 1)
		p.Must(err)
	}
	p.Release(-1)
	p.Code(old, codes.PrimaryAmbiguous)
	p.untouched(old, since, before)
	p.NoRuns(a, since)
	p.NoRuns(b, since)
	for _, n := range []int{a, b} {
		if p.Postmaster(n) == 0 {
			t.Errorf("node %d, one of two primaries, was stopped without a reason to choose", n)
		}
	}
	p.Must(p.StopNode(p.Ctx, b, lab.Fast))
	p.Whole("one of two primaries stopped", since)
	if got := p.Primary(); got != a {
		t.Errorf("node %d is the primary, want node %d", got, a)
	}
	p.Equal()
}

// otherCluster puts a new cluster into a node's place and starts it.
func (p *pool) otherCluster(node int) {
	p.T.Helper()
	n := p.Nodes[node]
	p.Hold(node)
	p.Must(p.StopNode(p.Ctx, node, lab.Fast))
	kept := n.DataDir + ".kept"
	p.Must(os.Rename(n.DataDir, kept))
	out, err := p.Command(p.Ctx, filepath.Join(p.BinDir, "initdb"), "-D", n.DataDir, "-A", "trust", "-U", "postgres",
		"--no-sync").CombinedOutput()
	if err != nil {
		p.T.Fatalf("initdb: %v\n%s", err, out)
	}
	for _, name := range []string{"postgresql.conf", "pg_hba.conf"} {
		b, err := os.ReadFile(filepath.Join(kept, name))
		p.Must(err)
		p.Must(os.WriteFile(filepath.Join(n.DataDir, name), b, 0o600)) // keeps the owner
	}
	p.Must(p.StartNode(p.Ctx, node))
	p.Must(p.Exec(p.Ctx, node, "CREATE DATABASE mine"))
	p.Release(node)
}

// setting changes one setting in a node's postgresql.conf; it counts from the
// next start on.
func (p *pool) setting(node int, name, value string) {
	p.T.Helper()
	path := p.Nodes[node].ConfigFile()
	b, err := os.ReadFile(path)
	p.Must(err)
	lines := strings.Split(string(b), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, name+" = ") {
			lines[i] = fmt.Sprintf("%s = '%s'", name, value)
		}
	}
	p.Must(os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600))
}

// rewrite replaces one text in a file that must have it.
func (p *pool) rewrite(path, from, to string) {
	p.T.Helper()
	b, err := os.ReadFile(path)
	p.Must(err)
	if !strings.Contains(string(b), from) {
		p.T.Fatalf("%s has no %q", path, from)
	}
	p.Must(os.WriteFile(path, []byte(strings.ReplaceAll(string(b), from, to)), 0o600))
}

// listing is a node's data directory with sizes and times, to see whether
// anything in it was touched.
func (p *pool) listing(node int) string {
	p.T.Helper()
	var out strings.Builder
	dir := p.Nodes[node].DataDir
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			fmt.Fprintln(&out, strings.TrimPrefix(path, dir), info.Mode(), info.Size(), info.ModTime().UnixNano())
		}
		return err
	})
	p.Must(err)
	return out.String()
}

// untouched lets a few passes go by, then asserts that nothing was run on a
// stopped node and that its directory is as it was.
func (p *pool) untouched(node int, since time.Time, before string) {
	p.T.Helper()
	begun := time.Now()
	p.Wait("three more passes", func(anyContext) error { return p.passes(begun, 3) })
	p.NoRuns(node, since)
	if after := p.listing(node); after != before {
		p.T.Errorf("node %d: its data directory was touched:\n%s", node, changes(before, after))
	}
}

// changes are the lines of one text that the other lacks.
func changes(before, after string) string {
	var out []string
	for _, pair := range [][2]string{{before, after}, {after, before}} {
		for l := range strings.SplitSeq(pair[0], "\n") {
			if !strings.Contains(pair[1], l+"\n") && len(out) < 20 {
				out = append(out, l)
			}
		}
	}
	return strings.Join(out, "\n")
}
