package dbhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/resync"
)

// Settle finishes crash recovery of InRepair without adding WAL (hazard 2): a
// server of our own replays all that is there as a standby without an
// upstream, in isolation (no TCP, a private socket folder, its own hba file, no
// archiving), and is stopped. The control file then says "shut down in
// recovery" at the end of the WAL, which pg_rewind accepts. A directory that
// was shut down in order is left alone.
func (h *Host) Settle(ctx context.Context) error {
	dir := h.path(resync.InRepair)
	before, err := pgdata.ReadControl(dir)
	if err != nil {
		return coded(codes.SettleFailed, "", err)
	}
	if before.State.Clean() {
		return nil
	}
	sig, err := pgdata.Signals(dir)
	if err != nil {
		return coded(codes.SettleFailed, "", err)
	}
	if sig.BackupLabel {
		return fail(codes.SettleFailed, "a base backup replaces it",
			"finish crash recovery: a backup_label is left in the directory, so where recovery must begin is unknown")
	}
	all, err := h.ownWAL(ctx, dir)
	if err != nil {
		return coded(codes.SettleFailed, "", err)
	}
	if err := h.removeStalePID(dir); err != nil {
		return coded(codes.SettleFailed, "", err)
	}
	if err := pgdata.ReplaceFile(filepath.Join(dir, "standby.signal"), nil); err != nil {
		return coded(codes.SettleFailed, "", err)
	}
	if err := os.Remove(filepath.Join(dir, "recovery.signal")); err != nil && !os.IsNotExist(err) {
		return coded(codes.SettleFailed, "", err)
	}
	defer h.busyNow()()
	if err := h.recoverIsolated(ctx, before, all); err != nil {
		return coded(codes.SettleFailed, "a base backup replaces the directory if its recovery cannot be finished", err)
	}
	return h.settled(ctx, dir, all)
}

// settled proves that recovery ended as it must and added no WAL.
func (h *Host) settled(ctx context.Context, dir string, before wholeWAL) error {
	after, err := pgdata.ReadControl(dir)
	if err != nil {
		return coded(codes.SettleFailed, "", err)
	}
	if after.State != pgdata.StateShutDownInRecovery {
		return fail(codes.SettleFailed, "", "finish crash recovery: the directory is %q afterwards, want %q", after.State,
			pgdata.StateShutDownInRecovery)
	}
	now, err := h.ownWAL(ctx, dir)
	if err != nil {
		return coded(codes.SettleFailed, "", err)
	}
	if now.end > before.end || now.tli != before.tli {
		return fail(codes.SettleFailed, "", "finish crash recovery: it added WAL, from %s on timeline %d to %s on %d",
			before.end, before.tli, now.end, now.tli)
	}
	if after.MinRecoveryPoint < before.end {
		return fail(codes.SettleFailed, "", "finish crash recovery: it ended at %s, before the end of the WAL at %s",
			after.MinRecoveryPoint, before.end)
	}
	return nil
}

// wholeWAL is what there is to replay in a data directory.
type wholeWAL struct {
	tli  topology.TimelineID
	last topology.LSN // where the last record starts
	end  topology.LSN
}

func (h *Host) ownWAL(ctx context.Context, dir string) (wholeWAL, error) {
	w, _, err := h.openWAL(ctx, dir)
	if err != nil {
		return wholeWAL{}, err
	}
	defer w.Close()
	end, err := endOfWAL(w)
	if err != nil {
		return wholeWAL{}, err
	}
	last, err := w.RecordBefore(end)
	return wholeWAL{tli: w.History().TLI, last: last.Start, end: end}, err
}

// settlePatience is how long the isolated recovery may go without any sign of
// progress.
const settlePatience = 2 * time.Minute

// recoverIsolated runs the isolated server until it is consistent.
func (h *Host) recoverIsolated(ctx context.Context, before pgdata.Control, all wholeWAL) error {
	dir := h.path(resync.InRepair)
	p, err := h.settleProgram(dir, before, all)
	if err != nil {
		return err
	}
	out := &lineTail{}
	cmd, err := h.start(p, out)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	err = h.awaitReplayed(ctx, dir, before, ended)
	if _, serr := h.stopIn(context.WithoutCancel(ctx), dir, []stopMode{stopFast, stopImmediate, stopKill}); serr != nil {
		err = errors.Join(err, serr)
	}
	h.reap(cmd, ended)
	if err != nil {
		if own := configFailure("finish crash recovery", ownReason(parseLog(out.text()))); own != nil {
			return own
		}
		return errors.New(withLog("finish crash recovery: "+err.Error(), out.text()))
	}
	return nil
}

// reap waits for a stopped child; nothing of it is left by then.
func (h *Host) reap(cmd *exec.Cmd, ended <-chan error) {
	<-ended //nolint:errcheck // it was told to stop: how it says so is all one
	if err := h.children.Remove(cmd.Process.Pid); err != nil {
		h.log.Warn("a finished program stays in the list of children", "program", "postgres", "err", err)
	}
}

// awaitReplayed returns when everything is replayed: the server has ended
// itself at its target, or has gone over from crash recovery, which goes
// through all WAL, to waiting for more, of which the control file tells.
func (h *Host) awaitReplayed(ctx context.Context, dir string, before pgdata.Control, ended chan error) error {
	p := progress{patience: settlePatience}
	return poll(ctx, 0, func() (bool, error) {
		select {
		case err := <-ended:
			ended <- err
			c, cerr := pgdata.ReadControl(dir)
			if cerr == nil && c.State == pgdata.StateShutDownInRecovery {
				return true, nil
			}
			return false, serverEnded(err)
		default:
		}
		_, pm, err := pgdata.ServerState(dir)
		if err != nil {
			return false, err
		}
		c, err := pgdata.ReadControl(dir)
		if err != nil {
			return false, err
		}
		if !targeted(before) && c.State == pgdata.StateInArchiveRecovery && c.MinRecoveryPoint != 0 {
			return true, nil
		}
		if !p.alive(string(pm.Status), dir) {
			return false, fmt.Errorf("no progress for %s", settlePatience)
		}
		return false, nil
	}, "")
}

// targeted says whether the isolated recovery needs a target. With a minimum
// recovery point (a standby, or a primary killed between its promotion and its
// first checkpoint) PostgreSQL does archive recovery at once, and would call
// itself consistent before all is replayed. pg_rewind would then not look at
// the WAL after that point, though pages it changed may be on disk. Without
// one PostgreSQL first does crash recovery to the end, where no target works.
func targeted(c pgdata.Control) bool { return c.MinRecoveryPoint != 0 }

// settleProgram is the isolated server's command line. What is given there
// wins over every configuration file. The target's action is shutdown and not
// pause: a pause turns into a promotion where hot standby is not active yet.
func (h *Host) settleProgram(dir string, before pgdata.Control, all wholeWAL) (program, error) {
	major, err := pgdata.MajorVersion(dir)
	if err != nil {
		return program{}, err
	}
	config, err := h.configFile(resync.InRepair)
	if err != nil {
		return program{}, err
	}
	private, err := h.privateDir()
	if err != nil {
		return program{}, err
	}
	args := []string{"-D", dir}
	set := func(name, value string) { args = append(args, "-c", name+"="+value) }
	set("config_file", config)
	set("data_directory", dir)
	set("hba_file", filepath.Join(private, "pg_hba.conf"))
	set("ident_file", filepath.Join(private, "pg_ident.conf"))
	set("unix_socket_directories", private)
	for _, name := range []string{"listen_addresses", "external_pid_file", "archive_command", "restore_command",
		"recovery_end_command", "archive_cleanup_command", "primary_conninfo", "primary_slot_name",
		"recovery_target", "recovery_target_lsn", "recovery_target_name", "recovery_target_time", "recovery_target_xid"} {
		set(name, "")
	}
	for _, name := range []string{"archive_mode", "ssl", "logging_collector"} {
		set(name, "off")
	}
	if major >= 15 {
		set("archive_library", "")
	}
	if major <= 15 {
		set("promote_trigger_file", "")
	}
	set("log_destination", "stderr")
	set("lc_messages", "C")
	set("hot_standby", "on")
	set("wal_keep_size", "2147483647MB") // its restart points must not recycle what a rewind needs
	set("recovery_target_timeline", all.tli.String())
	set("recovery_target_action", "shutdown")
	if targeted(before) {
		set("recovery_target_lsn", all.last.String())
		set("recovery_target_inclusive", "on")
	}
	return program{name: "postgres", args: args}, nil
}

// isolatedDir is where an isolated server has its socket, in the work directory.
const isolatedDir = "run"

// privateDir makes the folder for the isolated server's socket and its own
// access rules: only the owner gets near it. A socket's path must be short.
func (h *Host) privateDir() (string, error) {
	dir := filepath.Join(h.workDir, isolatedDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the isolated server's folder: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the isolated server's folder: %w", err)
	}
	for name, text := range map[string]string{"pg_hba.conf": "local all all trust\n", "pg_ident.conf": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("make the isolated server's folder: %w", err)
		}
	}
	return dir, nil
}

// serverEnded is the error for a server that ended, with what its process said.
func serverEnded(err error) error {
	if err == nil {
		return errors.New("the server ended")
	}
	return fmt.Errorf("the server ended: %w", err)
}
