package dbhost

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/resync"
)

// Exists says whether p holds anything. An empty folder at Home counts as
// nothing: it may be replaced.
func (h *Host) Exists(p resync.Place) (bool, error) {
	switch {
	case p != resync.Home && h.partly(p):
		return true, nil
	case p == resync.Home && slices.ContainsFunc([]resync.Place{resync.InRepair, resync.New, resync.Old}, h.partly):
		return false, nil
	}
	st, err := os.Lstat(h.path(p))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the data directory (%s): %w", p, err)
	}
	if !st.IsDir() {
		return true, nil
	}
	d, err := os.Open(h.path(p))
	if err != nil {
		return false, fmt.Errorf("look into the data directory: %w", err)
	}
	defer d.Close()
	names, err := d.Readdirnames(3) // two that count for nothing, and one
	names = slices.DeleteFunc(names, func(n string) bool { return n == pgdata.RepoolDir || n == pgdata.LostFound })
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("look into the data directory: %w", err)
	}
	return len(names) > 0, nil
}

// Control reads the control file in p.
func (h *Host) Control(p resync.Place) (topology.Control, error) {
	c, err := pgdata.ReadControl(h.path(p))
	if err != nil {
		return topology.Control{}, err
	}
	return controlFacts(c), nil
}

func controlFacts(c pgdata.Control) topology.Control {
	return topology.Control{
		SystemID: c.SystemID, State: c.State.String(), CheckpointLSN: c.CheckpointLSN, RedoLSN: c.RedoLSN,
		Timeline: c.Timeline, MinRecoveryPoint: c.MinRecoveryPoint, MinRecoveryTLI: c.MinRecoveryTLI,
		WALLogHints: c.WALLogHints, Checksums: c.DataChecksums,
		SegmentSize:      c.SegmentSize,
		WasCleanShutdown: c.State.Clean(), ShutDownInRecover: c.State == pgdata.StateShutDownInRecovery,
	}
}

// FreeBytes is the space left on the data directory's file system for an
// ordinary user.
func (h *Host) FreeBytes() (uint64, error) { return freeBytes(h.fileSystem()) }

func freeBytes(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("measure free space of %s: %w", dir, err)
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// Move renames one place to another and makes it durable. When it moves Home
// away it proves that no server lives there, before and after: a server that
// started in between is found by its working directory, which moves with it.
func (h *Host) Move(from, to resync.Place) error {
	src, dst := h.path(from), h.path(to)
	if src == "" || dst == "" || from == to {
		return fail(codes.Internal, "", "move %q to %q: not two places", from, to)
	}
	if err := h.refuseUnmounted(); err != nil {
		return err
	}
	if err := h.refuseInUse(src); err != nil {
		return err
	}
	there, err := h.Exists(to)
	if err != nil {
		return err
	}
	if there {
		return fail(codes.Internal, "look at "+dst+" and remove it by hand if nobody needs it",
			"move %s to %s: there is already something at %s", from, to, dst)
	}
	if err := h.settle(); err != nil {
		return err
	}
	if err := h.beforeMove(from); err != nil {
		return err
	}
	if to == resync.Home {
		if err := h.bringOutside(from); err != nil {
			return fmt.Errorf("bring what lies outside the data directory: %w", err)
		}
	}
	if err := h.rename(from, to); err != nil {
		return err
	}
	switch {
	case to == resync.Home:
		return h.comeHome()
	case from != resync.Home:
		return nil
	}
	err = h.refuseInUse(dst)
	if err == nil {
		err = h.refuseInUse(src) // a mount point stays where it is
	}
	if err != nil {
		if back := h.rename(to, from); back != nil {
			return errors.Join(err, back)
		}
		return errors.Join(err, h.comeHome())
	}
	return nil
}

// beforeMove makes what leaves a place whole and its links good anywhere.
func (h *Host) beforeMove(from resync.Place) error {
	switch from {
	case resync.Home:
		return h.leaveHome()
	case resync.InRepair:
		if err := h.putBack(); err != nil {
			return fmt.Errorf("put back the node's own files: %w", err)
		}
	}
	return nil
}

// refuseInUse is an error while any PostgreSQL process works in dir.
func (h *Host) refuseInUse(dir string) error {
	servers, err := pgdata.ServerProcesses(dir)
	if err != nil {
		return err
	}
	if len(servers) > 0 {
		return fail(codes.ServerRunning, "find out what starts the server (systemd, cron, a person) and keep it from doing "+
			"so during a resync",
			"a PostgreSQL server (process %d) works in %s", servers[0].PID, dir)
	}
	return nil
}

// renameDir renames a directory and makes both parents durable. An empty
// folder at dst is replaced.
func renameDir(src, dst string) error {
	err := unix.Rename(src, dst) // unlike os.Rename it replaces an empty folder
	switch {
	case errors.Is(err, unix.EBUSY):
		return fail(codes.MountPoint, "mount the file system one level higher, so that the data directory is a folder "+
			"inside it",
			"move %s: it is a mount point and cannot be renamed: %w", src, err)
	case errors.Is(err, unix.EXDEV):
		return fail(codes.MountPoint, "set work directory in repool.yaml to a folder on the data directory's file system",
			"move %s to %s: they are on different file systems: %w", src, dst, err)
	case err != nil:
		return fail(codes.Internal, "the server's owner needs write permission on both parent folders",
			"move the data directory: %w", err)
	}
	if err := pgdata.SyncDir(filepath.Dir(dst)); err != nil {
		return err
	}
	if filepath.Dir(src) != filepath.Dir(dst) {
		return pgdata.SyncDir(filepath.Dir(src))
	}
	return nil
}

// Remove deletes a place of the work directory; a missing one is fine. Home is
// refused. What is in the place gets another name, in the trash, which takes
// no time, and a half removed directory never has a place's name: EmptyTrash deletes it.
func (h *Host) Remove(p resync.Place) error {
	dir := h.path(p)
	if p == resync.Home || dir == "" {
		return fail(codes.Internal, "", "remove %q: only places of the work directory are ever removed", p)
	}
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := h.refuseInUse(dir); err != nil {
		return err
	}
	if err := errors.Join(h.settle(), h.loseOutside(p)); err != nil {
		return err
	}
	if err := h.throwAway(dir); err != nil || p != resync.InRepair {
		return err
	}
	return h.dropAside()
}
