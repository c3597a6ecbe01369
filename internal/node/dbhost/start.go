package dbhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/resync"
)

// startPatience is how long a server that starts may show no progress at all
// (no new process, no other process title, no other state) before the start
// counts as failed. Long recoveries do show progress.
const startPatience = 60 * time.Second

// appearPatience is how long a program that starts a server may take until
// there is a postmaster.
const appearPatience = 20 * time.Second

// StartServer starts the server at Home and returns when it accepts
// connections. One that runs or starts already is only waited for. It refuses
// while anything else of the server is alive.
func (h *Host) StartServer(ctx context.Context) error {
	state, _, err := h.serverIn(resync.Home)
	if err != nil {
		return coded(codes.StartFailed, "", err)
	}
	if err := h.comeHome(); err != nil { // a crash may have come between a move and this
		return coded(codes.StartFailed, "", err)
	}
	mark := h.markLog()
	switch state {
	case topology.ServerRunning, topology.ServerStarting:
		return h.awaitReady(ctx, mark, nil)
	case topology.ServerFrozen, topology.ServerStopping:
		return fail(codes.ServerRunning, "stop it first, or wait until it is gone", "start the server: one is %s in %s",
			state, h.home)
	}
	if err := h.removeStalePID(h.home); err != nil {
		return coded(codes.StartFailed, "", err)
	}
	if err := h.removeOrphanLock(); err != nil {
		return coded(codes.StartFailed, "", err)
	}
	out := &lineTail{}
	cmd, err := h.launch(out)
	if err != nil {
		return coded(codes.ServerConfig, "see whether PostgreSQL's programs are where bin_directory says", err)
	}
	launcher := &launcher{out: out, done: make(chan struct{})}
	h.wg.Go(func() {
		if err := cmd.Wait(); err != nil {
			h.log.Debug("the program that starts the server ended", "err", err, "output", out.text())
		}
		out.flush()
		if err := h.children.Remove(cmd.Process.Pid); err != nil {
			h.log.Warn("a finished program stays in the list of children", "program", "pg_ctl", "err", err)
		}
		close(launcher.done)
	})
	return h.awaitReady(ctx, mark, launcher)
}

// launcher is the program that starts the server. pg_ctlcluster goes on for a
// second or two after the server is up, which is not waited for.
type launcher struct {
	out  *lineTail
	done chan struct{}
}

// ended says whether the program has ended: it waits itself until the server
// is up or has failed.
func (l *launcher) ended() bool {
	if l == nil {
		return false
	}
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// launch starts pg_ctl, or pg_ctlcluster in Debian's layout.
func (h *Host) launch(out *lineTail) (*exec.Cmd, error) {
	l, err := h.layout()
	if err != nil {
		return nil, err
	}
	options, port := h.startOptions(l)
	if l.debian() {
		p := program{name: pgCtlCluster, args: []string{l.version, l.cluster, "start"}}
		if len(options) > 0 {
			p.args = append(p.args, "-o", quoteOptions(options))
		}
		if l.root != debianRoot {
			p.env = []string{"PG_CLUSTER_CONF_ROOT=" + l.root}
		}
		return h.start(p, out)
	}
	p := program{name: "pg_ctl", args: []string{"start", "-D", h.home, "-w", "-s", "-l", h.plainLog()},
		env: portEnv(port)}
	if l.config != "" {
		options = append([]string{"-c", "config_file=" + l.config}, options...)
	}
	if len(options) > 0 {
		p.args = append(p.args, "-o", quoteOptions(options))
	}
	return h.start(p, out)
}

// shellQuote quotes for pg_ctl -o, which goes through a shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// awaitReady waits until the server at Home accepts connections, as long as it
// shows progress.
func (h *Host) awaitReady(ctx context.Context, mark logMark, l *launcher) error {
	begin, p := time.Now(), progress{patience: startPatience}
	appeared := l == nil
	err := poll(ctx, 0, func() (bool, error) {
		ended := l.ended() // before the look at the server
		state, pm, err := h.serverIn(resync.Home)
		if err != nil {
			return false, err
		}
		appeared = appeared || state != topology.ServerStopped
		if state == topology.ServerStopped && (appeared || ended || time.Since(begin) > appearPatience) {
			return false, errors.New(withOutput("the server did not stay up", l))
		}
		if pm.Status == pgdata.PostmasterStandby {
			return false, fail(codes.ServerConfig, "set hot_standby = on",
				"the server runs but accepts no connections: hot_standby is off")
		}
		if state == topology.ServerRunning && h.accepts(ctx) {
			return true, nil
		}
		if !p.alive(string(state), h.home) {
			return false, fmt.Errorf("the server is %s and made no progress for %s", state, startPatience)
		}
		return false, nil
	}, "")
	if err == nil || ctx.Err() != nil {
		return err
	}
	return h.startFailure(err, mark, l)
}

// startFailure is the error of a start that failed, by the server's own last words.
func (h *Host) startFailure(err error, mark logMark, l *launcher) error {
	if state, _, serr := h.serverIn(resync.Home); serr == nil && state == topology.ServerStopped {
		words := parseLog(h.logSince(mark))
		if l != nil {
			words = append(words, parseLog(l.out.text())...)
		}
		if own := configFailure("start the server", ownReason(words)); own != nil {
			return own
		}
	}
	text := errors.New(withLog("start the server: "+err.Error(), h.logTail(mark)))
	var known *resync.Error
	if errors.As(err, &known) {
		return coded(known.Code, known.Hint, text)
	}
	return coded(codes.StartFailed, "read the server's log", text)
}

// configFailure is the error for a server that cannot start for that reason of its own; nil without one.
func configFailure(doing string, reason []string) error {
	if len(reason) == 0 {
		return nil
	}
	return fail(codes.ServerConfig, remedy(reason), "%s: it says itself why it cannot: %s", doing,
		strings.Join(reason, "; "))
}

// withOutput adds what the starting program said.
func withOutput(msg string, l *launcher) string {
	if l == nil {
		return msg
	}
	if text := l.out.text(); text != "" {
		msg += " (" + strings.ReplaceAll(text, "\n", "; ") + ")"
	}
	return msg
}

// progress watches whether a server's processes do anything.
type progress struct {
	patience     time.Duration
	last         string
	moved, asked time.Time
}

// titlesEvery is how often process titles are read: that goes through every
// process of the machine.
const titlesEvery = 500 * time.Millisecond

// alive is false once neither state nor the titles of dir's server processes
// have changed for the patience.
func (p *progress) alive(state, dir string) bool {
	now := time.Now()
	if now.Sub(p.asked) < titlesEvery {
		return true
	}
	p.asked = now
	if all := state + titlesIn(dir); all != p.last || p.moved.IsZero() {
		p.last, p.moved = all, now
	}
	return now.Sub(p.moved) <= p.patience
}

// titlesIn are the process titles of a server's processes: the startup process
// shows the segment it replays, the WAL receiver its position.
func titlesIn(dir string) string {
	servers, err := pgdata.ServerProcesses(dir)
	if err != nil {
		return ""
	}
	var b strings.Builder
	for _, p := range servers {
		b.WriteString(p.Title() + "\n")
	}
	return b.String()
}

// removeStalePID removes the lock files that a killed server left in dir and
// beside its socket. The next server would take them for a living one's when a
// process has that number by now, or while nobody has waited for the dead one.
//
// An external process may start a server at any moment of this, so what is removed
// is what was read before the look for a living one, and nothing else.
func (h *Host) removeStalePID(dir string) error {
	seen, err := os.ReadFile(filepath.Join(dir, pidFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the lock file of a killed server: %w", err)
	}
	stale, parsed := pgdata.ReadPostmasterPID(dir)
	pm, alive, err := pgdata.PostmasterAlive(dir)
	if err != nil {
		return err
	}
	if alive {
		return fail(codes.ServerRunning, "", "a server (process %d) runs in %s", pm.PID, dir)
	}
	if err := h.refuseInUse(dir); err != nil {
		return err
	}
	if parsed == nil && stale.SocketDir != "" {
		if err := removeSocketLock(stale); err != nil {
			return err
		}
	}
	return removeLock(dir, seen)
}

// pidFile is the lock file of a data directory.
const pidFile = "postmaster.pid"

// removeLock removes the lock file of dir if it is still the one that was seen.
// It is renamed first, because nothing else is certain; a server's own
// that has come meanwhile goes back, long before that server looks for it.
func removeLock(dir string, seen []byte) error {
	lock, aside := filepath.Join(dir, pidFile), filepath.Join(dir, pidFile+".stale")
	if err := os.Rename(lock, aside); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("remove the lock file of a killed server: %w", err)
	}
	now, err := os.ReadFile(aside)
	if err == nil && !bytes.Equal(now, seen) {
		if err := os.Link(aside, lock); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("put the lock file of a server back that has just started: %w", err)
		}
		err = fail(codes.ServerRunning, "", "somebody has started a server in %s meanwhile", dir)
	}
	if rm := os.Remove(aside); rm != nil {
		err = errors.Join(err, fmt.Errorf("remove the lock file of a killed server: %w", rm))
	}
	return err
}

// removeSocketLock removes a killed server's lock file beside its socket, if
// it is still that server's.
func removeSocketLock(stale pgdata.PostmasterPID) error {
	lock := filepath.Join(stale.SocketDir, ".s.PGSQL."+strconv.Itoa(stale.Port)+".lock")
	b, err := os.ReadFile(lock)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the socket's lock file of a killed server: %w", err)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	if strings.TrimSpace(first) != strconv.Itoa(stale.PID) {
		return nil
	}
	if err := os.Remove(lock); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the socket's lock file of a killed server: %w", err)
	}
	return nil
}
