package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

func pgpoolName(i int) string     { return "pgpool" + suffix(i) }
func controllerName(i int) string { return "serve" + suffix(i) }
func agentName(i int) string      { return fmt.Sprintf("agent%d", i) }

// StartPgpool starts Pgpool-II i in the foreground and a session of its own,
// as Debian's unit does, and waits until it serves PCP. With no primary among
// the nodes that it takes for up that can last search_primary_node_timeout.
func (l *Lab) StartPgpool(ctx context.Context, i int) error {
	if err := l.LaunchPgpool(i); err != nil {
		return err
	}
	p := l.Pgpools[i]
	return l.waitListening(ctx, pgpoolHost(i), pgpoolName(i), "tcp", fmt.Sprintf("%s:%d", p.Host, p.PCPPort), p.LogFile)
}

// LaunchPgpool is StartPgpool without the wait.
func (l *Lab) LaunchPgpool(i int) error {
	p := l.Pgpools[i]
	if _, ok := l.running(pgpoolName(i)); !ok {
		// A killed one leaves these; a new one may refuse to start over them.
		for _, path := range []string{filepath.Join(p.Dir, "pgpool.pid"), l.pgpoolSocket(p.Port), l.pgpoolSocket(p.PCPPort)} {
			if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
				return fmt.Errorf("clear what a killed Pgpool-II left: %w", err)
			}
		}
	}
	return l.spawn(pgpoolHost(i), pgpoolName(i), p.LogFile, l.PgpoolBin, "-n",
		"-f", p.Conf, "-F", filepath.Join(p.Dir, "pcp.conf"), "-a", filepath.Join(p.Dir, "pool_hba.conf"))
}

func (l *Lab) pgpoolSocket(port int) string {
	return filepath.Join(l.Sockets, ".s.PGSQL."+strconv.Itoa(port))
}

// StopPgpool is a fast stop: sessions are cut, the status file stays.
func (l *Lab) StopPgpool(_ context.Context, i int) error {
	return l.stop(pgpoolName(i), syscall.SIGINT, 15*time.Second)
}

// KillPgpool is kill -9 of Pgpool-II i with all its processes. Hooks that it
// had started live on. removeStatusFile is what a container without a
// persistent directory, or `pgpool -D`, amounts to at the next start.
func (l *Lab) KillPgpool(_ context.Context, i int, removeStatusFile bool) error {
	p, ok := l.running(pgpoolName(i))
	if !ok {
		return fmt.Errorf("kill Pgpool-II %d: it does not run", i)
	}
	p.signal(syscall.SIGSTOP)
	family := []proc{p}
	for _, d := range descendants(p) {
		if d.Program() == "pgpool" {
			family = append(family, d)
		}
	}
	left := leftoversOf(family)
	if err := killHard(family); err != nil {
		return fmt.Errorf("kill Pgpool-II %d: %w", i, err)
	}
	removeLeftovers(left)
	l.logf("%s: killed", pgpoolName(i))
	if removeStatusFile {
		return l.RemovePgpoolStatus(i)
	}
	return nil
}

// RemovePgpoolStatus makes a stopped Pgpool-II forget which nodes were down.
func (l *Lab) RemovePgpoolStatus(i int) error {
	if err := os.Remove(filepath.Join(l.Pgpools[i].Dir, "pgpool_status")); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("remove the status file of Pgpool-II %d: %w", i, err)
	}
	return nil
}

// StartController starts `repool serve` beside Pgpool-II i and waits until its
// socket answers.
func (l *Lab) StartController(ctx context.Context, i int) error {
	log := l.ControllerLog(i)
	if err := l.clearSocket(controllerName(i), l.ControllerSocket(i)); err != nil {
		return err
	}
	if err := l.spawn(pgpoolHost(i), controllerName(i), log, l.RepoolBin(), "serve", "--verbose", "--config",
		l.Pgpools[i].RepoolConf); err != nil {
		return err
	}
	return l.waitListening(ctx, pgpoolHost(i), controllerName(i), "unix", l.ControllerSocket(i), log)
}

// ControllerLog is where the controller beside Pgpool-II i writes.
func (l *Lab) ControllerLog(i int) string { return l.path("log", controllerName(i)+".log") }

// AgentLog is where the separate agent of node i writes.
func (l *Lab) AgentLog(i int) string { return l.path("log", agentName(i)+".log") }

// clearSocket removes the socket of a process that was killed, so that one who
// waits for it does not take the old for the new.
func (l *Lab) clearSocket(name, path string) error {
	if _, ok := l.running(name); ok {
		return nil
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("remove the socket of a killed process: %w", err)
	}
	return nil
}

// StopController is SIGTERM, and a wait for an orderly end.
func (l *Lab) StopController(_ context.Context, i int) error {
	return l.stop(controllerName(i), syscall.SIGTERM, 20*time.Second)
}

// KillController is kill -9 of the process alone: programs that it runs
// (pg_rewind, a server in recovery) live on.
func (l *Lab) KillController(_ context.Context, i int) error { return l.kill(controllerName(i)) }

// StartAgent starts the separate agent of node i.
func (l *Lab) StartAgent(ctx context.Context, i int) error {
	if err := l.clearSocket(agentName(i), l.AgentSocket(i)); err != nil {
		return err
	}
	conf := l.RepoolConf()
	if l.opts.Hosts {
		conf = l.AgentConf(i)
	}
	err := l.spawn(nodeHost(i), agentName(i), l.AgentLog(i), l.RepoolBin(), "agent", "--config", conf, "--node",
		strconv.Itoa(i))
	if err != nil {
		return err
	}
	return l.waitListening(ctx, nodeHost(i), agentName(i), "unix", l.AgentSocket(i), l.AgentLog(i))
}

// StopAgent is SIGTERM, and a wait for an orderly end.
func (l *Lab) StopAgent(_ context.Context, i int) error {
	return l.stop(agentName(i), syscall.SIGTERM, 20*time.Second)
}

// KillAgent is kill -9 of the agent alone: what it runs lives on.
func (l *Lab) KillAgent(_ context.Context, i int) error { return l.kill(agentName(i)) }

// ControllerRuns says whether the controller beside Pgpool-II i runs.
func (l *Lab) ControllerRuns(i int) bool { _, ok := l.running(controllerName(i)); return ok }

// AgentRuns says whether the separate agent of node i runs.
func (l *Lab) AgentRuns(i int) bool { _, ok := l.running(agentName(i)); return ok }

// PgpoolRuns says whether Pgpool-II i runs.
func (l *Lab) PgpoolRuns(i int) bool { _, ok := l.running(pgpoolName(i)); return ok }
