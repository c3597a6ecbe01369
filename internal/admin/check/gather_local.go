package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/dbhost"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/vault"
)

// recoveryScripts are what Pgpool-II's online recovery looks for in a data directory.
var recoveryScripts = []string{"recovery_1st_stage.sh", "recovery_2nd_stage.sh", "pgpool_remote_start"}

// local inspects a data directory on this machine, or asks the node's agent.
func (g *gatherer) local(ctx context.Context, n config.NodeConf) (*LocalFacts, string) {
	if n.Agent.Remote() {
		if g.o.Inspect == nil {
			return nil, "its agent was not asked"
		}
		in, err := g.o.Inspect(ctx, n)
		if err != nil {
			return nil, "its agent does not answer: " + err.Error()
		}
		return fromInspection(in, n.DataDir), ""
	}
	if n.Agent.Kind != config.AgentLocal || n.DataDir == "" {
		return nil, "neither an agent nor a data directory is configured"
	}
	type result struct {
		facts *LocalFacts
		err   string
	}
	done := make(chan result, 1) // a big directory takes long, and the walk cannot be interrupted
	scripts := append(recoveryScripts[:len(recoveryScripts):len(recoveryScripts)],
		g.pool.Pgpool.Recovery.FirstStage, g.pool.Pgpool.Recovery.SecondStage)
	go func() {
		f, err := lookInto(n, scripts)
		if err != nil {
			done <- result{nil, err.Error()}
			return
		}
		done <- result{f, ""}
	}()
	select {
	case r := <-done:
		return r.facts, r.err
	case <-ctx.Done():
		return nil, "reading its data directory took longer than " + g.o.Timeout.String()
	}
}

func fromInspection(in topology.Inspection, dir string) *LocalFacts {
	f := &LocalFacts{Dir: dir, Exists: in.Dir == topology.DirPresent, Major: in.Version,
		MountPoint: in.MountPoint, Tablespaces: in.Tablespaces, Odd: in.Odd, Own: in.Own,
		DataBytes: in.DataBytes, WALBytes: in.WALBytes, FreeBytes: in.FreeBytes, Kept: in.Kept}
	if in.Control != nil {
		f.SystemID = in.Control.SystemID
	}
	return f
}

// lookInto reads a data directory. A missing one is a fact, an unreadable one an
// error.
func lookInto(n config.NodeConf, scripts []string) (*LocalFacts, error) {
	f := &LocalFacts{Dir: n.DataDir, Scripts: map[string]RecoveryScript{}}
	info, err := os.Stat(n.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	if _, err := os.ReadDir(n.DataDir); err != nil {
		return nil, err
	}
	f.Exists = true
	if f.Major, err = pgdata.MajorVersion(n.DataDir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if c, err := pgdata.ReadControl(n.DataDir); err == nil {
		f.SystemID = c.SystemID
	}
	if f.MountPoint, err = pgdata.IsMountPoint(n.DataDir); err != nil {
		return nil, err
	}
	real, err := filepath.EvalSymlinks(n.DataDir)
	if err != nil {
		return nil, err
	}
	if f.MountsBelow, err = pgdata.MountsBelow(real); err != nil {
		return nil, err
	}
	for _, s := range scripts {
		path := filepath.Join(n.DataDir, s)
		if st, err := os.Stat(path); err == nil && s != "" {
			f.Scripts[s] = RecoveryScript{Mode: st.Mode(), Shim: isShim(path)}
		}
	}
	f.WorkDirErr = workDirError(n, info)
	if f.Vault, err = vault.List(n.VaultDir, n.ID); err != nil {
		return nil, err
	}
	if f.Kept, err = dbhost.Kept(n.WorkDir, n.VaultDir); err != nil {
		return nil, err
	}
	return f, f.measure()
}

// measure walks through the directory.
func (f *LocalFacts) measure() error {
	odd, err := pgdata.OddFiles(f.Dir)
	if err != nil {
		return err
	}
	for _, o := range odd {
		f.Odd = append(f.Odd, o.String())
	}
	if f.Own, err = pgdata.OwnNames(f.Dir); err != nil {
		return err
	}
	lost, err := pgdata.Unkeepable(f.Dir)
	if err != nil {
		return err
	}
	for _, o := range lost {
		f.Lost = append(f.Lost, o.String())
	}
	spaces, err := pgdata.Tablespaces(f.Dir)
	if err != nil {
		return err
	}
	f.Tablespaces = len(spaces)
	for _, s := range spaces {
		if why := f.spaceError(s); why != "" {
			f.SpacesErr = append(f.SpacesErr, fmt.Sprintf("tablespace %d: %s", s.OID, why))
		}
	}
	if f.DataBytes, err = pgdata.Size(f.Dir); err != nil {
		return err
	}
	if f.WALBytes, err = pgdata.WALSize(f.Dir); err != nil {
		return err
	}
	var st unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(f.Dir), &st); err != nil {
		return fmt.Errorf("measure free space beside %s: %w", f.Dir, err)
	}
	f.FreeBytes = st.Bavail * uint64(st.Bsize)
	return nil
}

// spaceError says why no second tablespace can be made beside s.
func (f *LocalFacts) spaceError(s pgdata.Tablespace) string {
	dir, err := os.Stat(f.Dir)
	if err != nil {
		return err.Error()
	}
	path := s.Path
	if !filepath.IsAbs(path) {
		path = filepath.Join(f.Dir, "pg_tblspc", path)
	}
	st, err := os.Stat(path)
	if err != nil {
		return err.Error()
	}
	if owner, ok := dir.Sys().(*syscall.Stat_t); ok && !identityOf(owner.Uid).may(st, 0o3) {
		return "the server's user may not write in " + path
	}
	return ""
}

// workDirError says why the owner of the data directory cannot use the work
// directory: it is not writable, or it is on another file system, so that nothing
// can be renamed into it.
func workDirError(n config.NodeConf, data os.FileInfo) string {
	owner, ok := data.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	id := identityOf(owner.Uid)
	place := n.WorkDir
	st, err := os.Stat(place)
	if errors.Is(err, fs.ErrNotExist) {
		place = filepath.Dir(place)
		st, err = os.Stat(place)
	}
	if err != nil {
		return err.Error()
	}
	if !id.may(st, 0o3) {
		return fmt.Sprintf("%s may not write in %s", id.Name, place)
	}
	if real, err := filepath.EvalSymlinks(n.DataDir); err == nil { // its parent is written to by the rename
		if beside, err := os.Stat(filepath.Dir(real)); err == nil {
			if !id.may(beside, 0o3) {
				return fmt.Sprintf("%s may not write in %s, so the data directory cannot be renamed", id.Name, filepath.Dir(real))
			}
			if s, ok := beside.Sys().(*syscall.Stat_t); ok && s.Dev != st.Sys().(*syscall.Stat_t).Dev {
				return fmt.Sprintf("%s is not on the data directory's file system", place)
			}
		}
	}
	return ""
}
