package scenarios

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/jackc/pgx/v5"

	"github.com/repool/repool/lab"
)

// Every alert fires and clears in one of these tests, each with a real Prometheus.
var (
	// alertsOfAFailover are TestMonitoringThroughFailover's.
	alertsOfAFailover = []string{"RepoolNodeMissing", "RepoolRedundancyGone", "RepoolLostCommits", "RepoolNodeParked",
		"RepoolResyncFailing",
		"RepoolHoldForgotten", "RepoolPgpoolUnreachable", "RepoolNobodyActs", "RepoolControllerDown"}
	// alertsOfBadStates are TestAlertsOfBadStates's, made on a real pool.
	alertsOfBadStates = []string{"RepoolNoPrimary", "RepoolSecondPrimary", "RepoolNodeRefused", "RepoolResyncStuck",
		"RepoolPgpoolFull",
		"RepoolAgentUnreachable", "RepoolReplicationLag", "RepoolSlotLost"}
	// alertsOfSmallDisks are made there on a real pool too where the lab can give
	// it disks of its own (as root), and by the crafted controller elsewhere.
	alertsOfSmallDisks = []string{"RepoolSlotRetainsMuch", "RepoolDiskFillsUp"}
	// alertsOfACraftedController are those that no pool can be brought to within a
	// test, see crafted.
	alertsOfACraftedController = []string{"RepoolAttachRefused", "RepoolControllerStuck", "RepoolNotificationsLost",
		"RepoolCertificateExpires", "RepoolSlotHoldsBackVacuum"}
	// alertsOfAWatchdog are TestAlertOfLostQuorum's.
	alertsOfAWatchdog = []string{"RepoolWatchdogNoQuorum"}
)

// TestEveryAlertIsMadeToFire: an alert that is added gets its bad state here.
func TestEveryAlertIsMadeToFire(t *testing.T) {
	t.Parallel()
	var file struct {
		Groups []struct{ Rules []struct{ Alert string } }
	}
	if err := yaml.Unmarshal([]byte(hurried(t)), &file); err != nil {
		t.Fatal(err)
	}
	var shipped []string
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				shipped = append(shipped, r.Alert)
			}
		}
	}
	made := slices.Concat(alertsOfAFailover, alertsOfBadStates, alertsOfSmallDisks, alertsOfACraftedController,
		alertsOfAWatchdog)
	slices.Sort(shipped)
	slices.Sort(made)
	if !slices.Equal(shipped, made) {
		t.Errorf("shipped: %v\nmade to fire: %v", shipped, made)
	}
}

// TestAlertsOfBadStates brings a real pool into the states that a failover does
// not show, as many as possible at a time: a copy that does not move, a paused
// replay behind much WAL, a slot that nobody reads, a disk that fills up, an
// agent that is gone, a Pgpool-II without a free process; then no primary, and
// two. Beside it the crafted controller tells of the rest.
func TestAlertsOfBadStates(t *testing.T) {
	o := lab.Options{Web: true, Agents: lab.AgentsSeparate,
		Pgpool:       map[string]string{"failover_command": "", "num_init_children": "5"},
		RepoolConfig: "policy: {max_rate: 8MB, headroom: 16MB}\n"}
	small := os.Geteuid() == 0
	if small {
		o.DiskMB = 900
	}
	p := up(t, o)
	crafted := craft(t)
	prom := startPrometheus(t, p.WebAddr, crafted.address)
	p.Wait("the first scrapes", prom.quiet)
	p.Wait("those of the crafted controller", prom.craftedIsSeen)

	old, paused, lost := p.Primary(), p.Standbys()[0], p.Standbys()[1]
	since := time.Now()
	crafted.spoil(!small)
	p.freezeCopy(lost)
	p.Must(p.Exec(p.Ctx, paused, "SELECT pg_wal_replay_pause()"))
	p.Must(p.Exec(p.Ctx, old, "SELECT pg_create_physical_replication_slot('forgotten', true)"))
	p.Must(p.Exec(p.Ctx, old, "SELECT pg_logical_emit_message(false, 'lab', repeat('x', 16 << 20)) FROM "+
		"generate_series(1, 20)"))
	if small {
		p.Must(p.FillDisk(p.Ctx, old, 200<<20))
	}
	p.Must(p.Detach(p.Ctx, paused)) // refused as replay-paused, or as agent-unreachable
	p.Must(p.StopAgent(p.Ctx, paused))
	free := p.takeAllProcesses(5)
	p.haveFired(prom, slices.Concat([]string{"RepoolNodeMissing", "RepoolNodeRefused", "RepoolResyncStuck",
		"RepoolPgpoolFull",
		"RepoolAgentUnreachable", "RepoolReplicationLag"}, alertsOfSmallDisks, alertsOfACraftedController)...)

	crafted.mend()
	free()
	p.Must(p.StartAgent(p.Ctx, paused))
	if small {
		p.Must(p.FreeDisk(p.Ctx, old))
	}
	p.Must(p.Exec(p.Ctx, paused, "SELECT pg_wal_replay_resume()"))
	p.Signal(syscall.SIGCONT, p.BackupOf(lost)...)
	p.Whole("all of that repaired", since)

	p.slotLimit(old, "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
	p.haveFired(prom, "RepoolSlotLost")
	p.Must(p.Exec(p.Ctx, old, "SELECT pg_drop_replication_slot('forgotten')"))
	p.slotLimit(old, "ALTER SYSTEM RESET max_slot_wal_keep_size")

	since = time.Now()
	p.Hold(-1)
	p.Must(p.KillNode(p.Ctx, old))
	p.haveFired(prom, "RepoolNoPrimary")
	p.Must(p.PromoteByHand(p.Ctx, paused))
	p.Must(p.StartNode(p.Ctx, old))
	p.haveFired(prom, "RepoolSecondPrimary")
	p.Release(-1)
	p.Whole("one primary again", since)
	p.Wait("every alert to clear", prom.quiet)
	p.Equal()
}

// TestAlertOfLostQuorum: of two Pgpool-IIs with a watchdog one is gone, and one
// of two is not a quorum.
func TestAlertOfLostQuorum(t *testing.T) {
	p := up(t, lab.Options{Web: true, Standbys: 1, Watchdog: 2, Agents: lab.AgentsSeparate,
		Pgpool: map[string]string{"enable_consensus_with_half_votes": "off"}})
	prom := startPrometheus(t, p.WebAddr)
	p.Wait("the first scrapes", prom.quiet)
	p.Must(p.KillPgpool(p.Ctx, 1, false))
	p.haveFired(prom, alertsOfAWatchdog...)
	p.Must(p.StartPgpool(p.Ctx, 1))
	p.Wait("every alert to clear", prom.quiet)
}

// haveFired waits until all these alerts have fired since Prometheus began; some
// do so for a moment only.
func (p *pool) haveFired(prom *promServer, names ...string) {
	p.T.Helper()
	p.Wait(fmt.Sprintf("%v to fire", names), func(ctx context.Context) error {
		fired, err := prom.fired(ctx)
		missing := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(fired, n) })
		if err == nil && len(missing) > 0 {
			err = fmt.Errorf("not yet: %s", strings.Join(missing, ", "))
		}
		return err
	})
}

// freezeCopy destroys a standby and stops the base backup that heals it, halfway.
func (p *pool) freezeCopy(node int) {
	p.T.Helper()
	caught := p.Catch(1, p.BackupOf(node)...)
	p.Wipe(node)
	caught()
}

// takeAllProcesses has a client for each of Pgpool-II's n processes.
func (p *pool) takeAllProcesses(n int) (free func()) {
	p.T.Helper()
	var clients []*pgx.Conn
	// Pgpool-II ends its processes when a node falls out, clients and all: what was
	// connected must be so still when the last one is.
	p.Wait("a client for each of Pgpool-II's processes", func(ctx context.Context) error {
		clients = slices.DeleteFunc(clients, func(c *pgx.Conn) bool { return c.Ping(ctx) != nil })
		for len(clients) < n {
			c, err := pgx.Connect(ctx, p.PoolConnString())
			if err != nil {
				return err
			}
			clients = append(clients, c)
		}
		return nil
	})
	return func() {
		for _, c := range clients {
			_ = c.Close(p.Ctx) // Pgpool-II may have ended it when a node fell out
		}
	}
}

// slotLimit changes a node's settings and makes them take effect.
func (p *pool) slotLimit(node int, sql string) {
	p.T.Helper()
	for _, s := range []string{sql, "SELECT pg_reload_conf()", "SELECT pg_switch_wal()", "CHECKPOINT"} {
		p.Must(p.Exec(p.Ctx, node, s))
	}
}
