package upstream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/lab"
	"github.com/repool/repool/pcp"
)

// hooks is a program in the place of Pgpool-II's commands, and its notes.
type hooks struct {
	t   *testing.T
	dir string
}

// hookScript notes how it was called and what it has open; it waits while the
// file "wait" is there, does what "act" says, and fails, which nobody asks for.
const hookScript = `#!/bin/sh
dir=$(dirname "$0")
line=
for a; do line="$line|$a"; done
echo "$line" >> "$dir/calls"
ls -l /proc/$$/fd > "$dir/open"
while [ -e "$dir/wait" ]; do sleep 0.05; done
[ ! -e "$dir/act" ] || . "$dir/act"
exit 1
`

const placeholders = `%d "%h" %p "%D" %m "%H" %M %P "%r" "%R" "%N" "%S" "%z" "%%"`

// newHooks makes the program where the lab's user can reach it.
func newHooks(t *testing.T) *hooks {
	t.Helper()
	dir, err := os.MkdirTemp("", "hooks")
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o777), os.WriteFile(filepath.Join(dir, "hook"), []byte(hookScript), 0o755),
			os.Chmod(filepath.Join(dir, "hook"), 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &hooks{t, dir}
}

// settings call it with every placeholder. A busy machine must not look like a
// failed node; a killed one is noticed at once all the same.
func (h *hooks) settings(searchSeconds int, commands ...string) map[string]string {
	s := map[string]string{"search_primary_node_timeout": fmt.Sprint(searchSeconds), "connect_timeout": "20000",
		"health_check_timeout": "30"}
	for _, c := range commands {
		s[c] = filepath.Join(h.dir, "hook") + " " + c + " " + placeholders
	}
	return s
}

func (h *hooks) write(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hooks) read(name string) string {
	text, err := os.ReadFile(filepath.Join(h.dir, name))
	if err != nil && !os.IsNotExist(err) {
		h.t.Fatal(err)
	}
	return string(text)
}

func (h *hooks) calls() []string { return strings.Fields(h.read("calls")) }

// waitCalls waits for n calls.
func (h *hooks) waitCalls(p *pool, n int) []string {
	p.T.Helper()
	p.Wait(fmt.Sprintf("%d calls of hooks", n), func(context.Context) error {
		if got := h.calls(); len(got) < n {
			return fmt.Errorf("called %q", got)
		}
		return nil
	})
	return h.calls()
}

// call is what a hook is called with for node i; main is %m, primary %P; -1: none.
func (p *pool) call(command string, i, main, oldMain, primary int) string {
	host := func(n int) string {
		if n < 0 {
			return ""
		}
		return p.Nodes[n].Host
	}
	port, dir := func(n int) string {
		if n < 0 {
			return ""
		}
		return fmt.Sprint(p.Nodes[n].Port)
	}, p.Nodes
	return fmt.Sprintf("|%s|%d|%s|%s|%s|%d|%s|%d|%d|%s|%s|%s|%s||%%", command, i, host(i), port(i), dir[i].DataDir,
		main, host(main), oldMain, primary, port(main), dir[main].DataDir, host(primary), port(primary))
}

func (p *pool) info(i int) pcp.NodeInfo {
	p.T.Helper()
	var n pcp.NodeInfo
	p.Must(pcp.With(p.Ctx, p.PCP(0), func(c *pcp.Conn) (err error) { n, err = c.NodeInfo(p.Ctx, i); return err }))
	return n
}

// poolPrimary is the node that Pgpool-II shows as primary, -1 if none.
func (p *pool) poolPrimary(ctx context.Context) (int, error) {
	nodes, err := p.PoolNodes(ctx, 0)
	if err != nil {
		return -1, err
	}
	return slices.IndexFunc(nodes, func(n pcp.NodeInfo) bool { return n.Role == pcp.RolePrimary }), nil
}

func (p *pool) waitPoolPrimary(want int) {
	p.T.Helper()
	p.Wait(fmt.Sprintf("Pgpool-II to consider node %d the primary", want), func(ctx context.Context) error {
		got, err := p.poolPrimary(ctx)
		if err == nil && got != want {
			err = fmt.Errorf("it holds %d", got)
		}
		return err
	})
}

func TestPrimaryFailsOver(t *testing.T) {
	h := newHooks(t)
	p := up(t, lab.Options{Standbys: 3, Pgpool: h.settings(60, "failover_command", "follow_primary_command")})
	h.write("act", fmt.Sprintf("[ \"$1\" != failover_command ] || [ \"$2\" != 0 ] || %s/pg_ctl promote -w -D %s\n",
		p.BinDir, p.Nodes[1].DataDir))
	p.Must(p.KillNode(p.Ctx, 0))

	p.run("what the commands are called with", func(p *pool) {
		f := fact{"failover_command and follow_primary_command get the documented placeholders; an unknown one vanishes; " +
			"follow_primary_command is called for every node that is down, one after the other, with the old primary as %M",
			"internal/pgpool/hook's arguments and the lines that setup writes"}
		want := []string{p.call("failover_command", 0, 1, 0, 0)}
		for _, i := range []int{0, 2, 3} {
			want = append(want, p.call("follow_primary_command", i, 1, 0, 0))
		}
		if got := h.waitCalls(p, len(want)); !slices.Equal(got, want) {
			f.changed(p.T, "\n  %s\n  and not\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
	})
	p.run("what the commands inherit", func(p *pool) {
		f := fact{"a command inherits Pgpool-II's listening sockets (before 4.4.17, 4.5.12, 4.6.7, 4.7.2 from every " +
			"parent)", "hooks close every descriptor above 2, and start nothing that lives on (P7)"}
		var open string
		if err := lab.WaitFor(p.Ctx, "what a command inherits", func(context.Context) error {
			if open = h.read("open"); open == "" {
				return errors.New("a later command is writing it again")
			}
			return nil
		}); err != nil || !strings.Contains(open, "socket:[") {
			f.changed(p.T, "%v\n%s", err, open)
		}
	})
	p.run("all others are down", func(p *pool) {
		f := fact{"with follow_primary_command set, a failover of the primary marks every other node down, the healthy " +
			"ones too", "repool attaches every standby again after a failover, and does not take it for flapping (newPrimary " +
			"in internal/core/plan)"}
		p.waitPoolPrimary(1)
		for _, i := range []int{0, 2, 3} {
			if n := p.info(i); n.Attached() || n.PgStatus == "up" != (i > 0) {
				f.changed(p.T, "node %d: %+v", i, n)
			}
		}
	})
	p.run("attach checks nothing", func(p *pool) {
		f := fact{"attach is granted to a node without server, and to a standby that streams from nobody, which then stays " +
			"attached", "the gate before every attach (P1), and a look at what became of it"}
		p.Must(p.Attach(p.Ctx, 0))
		p.Wait("the dead node to be given up again", func(context.Context) error {
			if n := len(h.calls()); n < 5 {
				return fmt.Errorf("%d calls", n)
			}
			return nil
		})
		p.Must(p.WaitDetached(p.Ctx, 0))
		if got := h.calls(); !strings.HasPrefix(got[4], "|failover_command|0|") {
			f.changed(p.T, "called %q", got[4])
		}
		p.Must(p.Attach(p.Ctx, 3))
		p.Must(p.WaitAttached(p.Ctx, 3))
		p.outlive(3, 3)
		if s := p.value(3, "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"); s != "0" ||
			!p.info(3).Attached() {
			f.changed(p.T, "%s streams, %+v", s, p.info(3))
		}
	})
	p.run("the highest of two primaries", func(p *pool) {
		f := fact{"a node that is not in recovery is attached, and of two such, with a standby there, Pgpool-II takes the " +
			"one with the highest id for the primary, and sends it the writes",
			"a second primary is never attached, and detached and fenced where it is (P1; contested in internal/core/plan)"}
		p.Must(p.PromoteByHand(p.Ctx, 2))
		p.Must(p.Attach(p.Ctx, 2))
		p.Wait("node 2 to be attached", func(context.Context) error {
			if n := p.info(2); !n.Attached() {
				return fmt.Errorf("%+v", n)
			}
			return nil
		})
		p.outlive(2, 2)
		if got, err := p.poolPrimary(p.Ctx); err != nil || got != 2 {
			f.changed(p.T, "the primary is node %d, %v", got, err)
		}
	})
}

// outlive waits until the node has had n more health checks.
func (p *pool) outlive(i, n int) {
	p.T.Helper()
	total := func(ctx context.Context) (h pcp.HealthStats, err error) {
		err = pcp.With(ctx, p.PCP(0), func(c *pcp.Conn) (err error) { h, err = c.HealthStats(ctx, i); return err })
		return h, err
	}
	begin, err := total(p.Ctx)
	p.Must(err)
	p.Wait("health checks", func(ctx context.Context) error {
		now, err := total(ctx)
		if err == nil && now.Total < begin.Total+n {
			err = fmt.Errorf("%d of %d", now.Total, begin.Total+n)
		}
		return err
	})
}

func TestNobodyIsPromoted(t *testing.T) {
	h := newHooks(t)
	p := up(t, lab.Options{Pgpool: h.settings(2, "failover_command")})
	p.Must(p.KillNode(p.Ctx, 0))
	h.waitCalls(p, 1)
	p.waitPoolPrimary(-1)
	p.Must(p.WaitDetached(p.Ctx, 0))
	p.Wait("the end of the search for the primary", func(ctx context.Context) error {
		return pcp.With(ctx, p.PCP(0), func(c *pcp.Conn) error {
			if err := c.RecoverNode(ctx, 1); errors.Is(err, pcp.ErrBusy) {
				return err
			}
			return nil
		})
	})
	p.Must(p.PromoteByHand(p.Ctx, 1))
	f := fact{"Pgpool-II that knows no primary does not notice one that is promoted later; a detach or an attach of any " +
		"node makes it look", "the nudge, and the attach of a proven standby while Pgpool-II holds no primary " +
		"(internal/core/plan)"}
	p.outlive(1, 3)
	if got, err := p.poolPrimary(p.Ctx); err != nil || got != -1 {
		f.changed(t, "it holds node %d, %v", got, err)
	}
	p.Must(p.Detach(p.Ctx, 2))
	p.waitPoolPrimary(1)

	g := fact{"without a primary %P is -1, and %N and %S are empty, quoted or not", "internal/pgpool/hook's arguments"}
	if want, got := p.call("failover_command", 2, 1, 1, -1), h.waitCalls(p, 2)[1]; got != want {
		g.changed(t, "%s and not %s", got, want)
	}
}

func TestOrdersAreQueued(t *testing.T) {
	h := newHooks(t)
	p := up(t, lab.Options{Pgpool: h.settings(60, "failover_command")})
	p.run("an answer says queued", func(p *pool) {
		f := fact{"PCP answers a detach or an attach as soon as it is queued: before failover_command has ended, and while " +
			"it runs", "every order is followed by polling, and no attach is sent in the middle of a failover"}
		h.write("wait", "")
		p.Must(p.Detach(p.Ctx, 2))
		h.waitCalls(p, 1)
		if n := p.info(2); n.Attached() {
			f.changed(p.T, "not marked down before failover_command: %+v", n)
		}
		p.Must(p.Attach(p.Ctx, 2)) // answered, though nothing can be done about it now
		if n := p.info(2); n.Attached() {
			f.changed(p.T, "attached in the middle of a failover: %+v", n)
		}
		if err := os.Remove(filepath.Join(h.dir, "wait")); err != nil {
			p.T.Fatal(err)
		}
		p.Must(p.WaitAttached(p.Ctx, 2))
	})
	p.run("an open connection holds up the next failover", func(p *pool) {
		f := fact{"Pgpool-II before 4.5 does not go on after a failover while a PCP connection is open",
			"one short connection for each look and order (P7), and deadlines on all"}
		held, err := pcp.Dial(p.Ctx, p.PCP(0))
		p.Must(err)
		p.Must(p.Detach(p.Ctx, 2)) // carried out now or later: the last attach may not be over
		silent := p.PCP(0)
		silent.Timeout = 2 * time.Second
		err = lab.WaitFor(within(p.T, time.Minute), "PCP to fall silent", func(ctx context.Context) error {
			if err := pcp.With(ctx, silent, func(c *pcp.Conn) error { _, err := c.NodeCount(ctx); return err }); err == nil {
				return errors.New("it answers")
			}
			return nil
		})
		if frozen := err == nil; frozen != p.before(4, 5) {
			f.changed(p.T, "falls silent: %v (%v)", frozen, err)
		}
		p.Must(held.Close())
		p.Must(p.WaitDetached(p.Ctx, 2))
	})
	p.run("the stock programs hide errors", func(p *pool) {
		f := fact{"pcp_detach_node ends with exit code 0 though the server answered with an error",
			"repool speaks PCP itself (package pcp)"}
		out, code := p.tool("pcp_detach_node", "-w", "-h", p.Pgpools[0].Host, "-p", fmt.Sprint(p.Pgpools[0].PCPPort),
			"-U", "repool", "-n", "2")
		if code != 0 || !strings.Contains(out, "ERROR") {
			f.changed(p.T, "exit code %d: %s", code, out)
		}
	})
	p.run("the fields of node info", func(p *pool) {
		f := fact{"a node's record has 12 fields before Pgpool-II 4.4 and 13 since: host, port, status, quarantine, " +
			"pg_status, weight, role, pg_role, (delay by time), delay, state, sync state, last change",
			"parseNodeInfo in package pcp"}
		rec := p.rawNodeInfo(1)
		want := 13
		if p.before(4, 4) {
			want = 12
		}
		n := p.Nodes[1]
		if len(rec) != want || rec[0] != n.Host || rec[1] != fmt.Sprint(n.Port) || rec[3] != "0" || rec[4] != "up" ||
			rec[6] != "3" || rec[7] != "standby" || rec[len(rec)-3] != "streaming" || rec[len(rec)-2] != "async" {
			f.changed(p.T, "%d fields: %q", len(rec), rec)
		}
	})
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// before says whether the installed Pgpool-II is older than that version.
func (p *pool) before(major, minor int) bool {
	p.T.Helper()
	out, err := exec.CommandContext(p.Ctx, p.PgpoolBin, "--version").CombinedOutput()
	p.Must(err)
	var a, b int
	if _, err := fmt.Sscanf(string(out), "pgpool-II version %d.%d", &a, &b); err != nil {
		p.T.Fatalf("version %q: %v", out, err)
	}
	return a < major || a == major && b < minor
}
