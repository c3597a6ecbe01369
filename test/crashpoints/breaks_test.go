package crashpoints

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/agentapi"
	"github.com/repool/repool/internal/show/control"
)

// lostRows are committed where no other node gets them.
const lostRows = 3

// kill is the crash of a standby.
func kill(b *bench) {
	b.must(b.KillNode(b.ctx, b.node))
	b.knock()
}

// diverge kills the primary with commits that no standby has.
func diverge(b *bench) {
	rows, err := b.Diverge(b.ctx, b.node, lostRows)
	b.must(err)
	b.lost = append(b.lost, rows...)
	b.failover()
}

// killLevel kills the primary when the standby has everything.
func killLevel(b *bench) {
	b.wait("the standby to have everything", func(ctx context.Context) error {
		level, err := b.Value(ctx, b.node, "SELECT count(*) > 0 AND bool_and(flush_lsn = pg_current_wal_insert_lsn()) FROM "+
			"pg_stat_replication")
		if err == nil && level != "true" {
			err = errors.New("WAL is still on its way")
		}
		return err
	})
	b.failover()
}

// failover kills the primary and waits for the next one.
func (b *bench) failover() {
	b.must(b.KillNode(b.ctx, b.node))
	b.knock()
	if _, err := b.WaitNewPrimary(b.ctx, b.node); err != nil {
		b.t.Fatal(err, b.dump())
	}
}

// misdirect points the running standby to where nobody is.
func misdirect(b *bench) {
	b.must(b.Exec(b.ctx, b.node, "ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1 user=repl'"))
	b.must(b.Exec(b.ctx, b.node, "SELECT pg_reload_conf()"))
	b.wait("the standby to be misdirected", func(ctx context.Context) error {
		n, err := b.Value(ctx, b.node, "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'")
		if err == nil && n != "0" {
			err = errors.New("it streams")
		}
		return err
	})
}

// ask is a person's wish for one method.
func ask(m topology.Method) func(*bench) {
	return func(b *bench) {
		b.wait("the controller to know of the failure", func(ctx context.Context) error {
			st, err := b.ctl.Status(ctx)
			if err != nil {
				return err
			}
			for _, d := range st.Decisions {
				if int(d.Node) == b.node && (d.Code == "healthy" || d.Code == "primary") {
					b.prod()
					return errors.New("it does not")
				}
			}
			err = b.ctl.ResyncWith(ctx, control.ResyncRequest{Node: topology.NodeID(b.node), Method: m, Who: "test"})
			if err != nil && strings.Contains(err.Error(), "is in force on this controller's host only") {
				return nil // the agent is dead at this moment of the trial, and is told later
			}
			return err
		})
	}
}

// noController leaves the node's agent to the test.
func noController(b *bench) { b.must(b.KillController(b.ctx, 0)) }

// order gives the agent an order of its last run's kind, as a controller would
// that has decided a moment ago.
func order(m topology.Method) func(*bench) {
	return func(b *bench) {
		if b.ordered {
			return
		}
		req := newest(b.workDir()).Request
		req.ID, req.Method = fmt.Sprintf("by-hand-%d", time.Now().UnixNano()), m
		agent := agentapi.DialUnix(b.AgentSocket(b.node), nil)
		token, err := agent.Acquire(b.ctx, "test")
		if err != nil {
			return // it is asked again
		}
		req.Token = token
		b.ordered = agent.StartRun(b.ctx, req) == nil
	}
}

// unsign takes away what makes the directory at home a standby.
func unsign(b *bench) {
	b.must(os.Remove(filepath.Join(b.dir(), "standby.signal")))
}

// startAsStandby starts a diverged old primary as a standby.
func startAsStandby(b *bench) {
	b.must(b.Command(b.ctx, "touch", filepath.Join(b.dir(), "standby.signal")).Run())
	b.must(b.StartNode(b.ctx, b.node))
}

// promoteAndKill makes the standby at home a primary of its own, and kills it.
func promoteAndKill(b *bench) {
	b.must(b.StartNode(b.ctx, b.node))
	b.must(b.PromoteByHand(b.ctx, b.node))
	rows, err := b.CommitRows(b.ctx, b.node, lostRows)
	b.must(err)
	b.lost = append(b.lost, rows...)
	b.must(b.KillNode(b.ctx, b.node))
}

// copyHome is a person who brings back a copy of what is under repair.
func copyHome(b *bench) {
	b.must(b.Command(b.ctx, "cp", "-a", filepath.Join(b.workDir(), "repair"), b.dir()).Run())
}

// killCopy kills the base backup in the middle.
func killCopy(b *bench) { b.Signal(syscall.SIGKILL, "pg_basebackup", b.workDir()) }

// lockSettings and lockVault make a run fail with the directory in repair.
func lockSettings(b *bench)   { b.chmod(0, b.settings()...) }
func unlockSettings(b *bench) { b.chmod(0o600, b.settings()...) }

// settings is the file with the node's upstream, wherever the directory is.
func (b *bench) settings() []string {
	const name = "postgresql.auto.conf"
	return []string{filepath.Join(b.dir(), name), filepath.Join(b.workDir(), "repair", name)}
}

func lockVault(b *bench) {
	b.must(b.Command(b.ctx, "mkdir", "-p", b.vault()).Run())
	b.chmod(0o500, b.vault())
}
func unlockVault(b *bench) { b.chmod(0o700, b.vault()) }

func (b *bench) chmod(mode os.FileMode, paths ...string) {
	for _, p := range paths {
		if err := os.Chmod(p, mode); err != nil && !os.IsNotExist(err) {
			b.t.Fatal(err)
		}
	}
}

// forbidSlots makes the first thing that a run asks of the primary fail.
func forbidSlots(b *bench) {
	p := b.primary()
	b.must(b.Exec(b.ctx, p, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active"))
	b.must(b.Exec(b.ctx, p, "ALTER ROLE repool NOREPLICATION"))
}
func allowSlots(b *bench) { b.must(b.Exec(b.ctx, b.primary(), "ALTER ROLE repool REPLICATION")) }
