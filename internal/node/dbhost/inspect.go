package dbhost

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/postgres"
	"github.com/repool/repool/internal/node/resync"
)

// Inspect looks at the data directory and its server. It is cheap enough for
// every second: sizes and odd files are measured in the background and may be
// minutes old. Source.Err is set when the directory cannot be looked into at
// all; a single unreadable file leaves its fact out and is listed in Odd. The
// agent's version, run and lock are the agent's to add.
func (h *Host) Inspect(context.Context) (topology.Inspection, error) {
	in := topology.Inspection{Server: topology.ServerUnknown}
	err := h.inspect(&in)
	in.At = time.Now()
	if err != nil {
		in.Err = err.Error()
	}
	return in, nil
}

func (h *Host) inspect(in *topology.Inspection) error {
	dir, place, err := h.dirState()
	in.Dir = dir
	if err != nil {
		return err
	}
	state, pm, err := h.serverIn(resync.Home)
	if err == nil && state == topology.ServerStopped {
		state, pm, err = h.serverIn(resync.InRepair)
	}
	if err != nil {
		return err
	}
	if state == topology.ServerStopping && (dir == topology.DirMissing || dir == topology.DirEmpty) {
		// Its directory was deleted under it: nothing to wait for, the next run kills it.
		state = topology.ServerStopped
	}
	in.Server, in.PID = state, pm.PID
	in.Port, in.SocketDir, in.ListenAddr = pm.Port, pm.SocketDir, pm.ListenAddr
	if state == topology.ServerRunning && dir == topology.DirPresent {
		h.noteStarted(pm)
	}
	if in.FreeBytes, err = h.FreeBytes(); err != nil {
		return err
	}
	if in.MountPoint, err = h.MountPoint(); err != nil {
		return err
	}
	in.Kept = h.keptNow()
	if dir == topology.DirMissing || dir == topology.DirEmpty {
		return nil
	}
	if dir != topology.DirForeign {
		h.inspectData(in, place)
	}
	h.measured(in, place)
	return nil
}

// dirState says what is at Home, and where the node's data is.
func (h *Host) dirState() (topology.DirState, resync.Place, error) {
	_, err := os.Stat(h.home)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return topology.DirUnknown, resync.Home, err
	}
	home, err := h.Exists(resync.Home)
	if err != nil {
		return topology.DirUnknown, resync.Home, err
	}
	if !home {
		repair, err := h.Exists(resync.InRepair)
		switch {
		case err != nil:
			return topology.DirUnknown, resync.InRepair, err
		case repair:
			return topology.DirInRepair, resync.InRepair, nil
		case missing:
			return topology.DirMissing, resync.Home, nil
		}
		return topology.DirEmpty, resync.Home, nil
	}
	if _, err := os.Stat(filepath.Join(h.home, "PG_VERSION")); err == nil {
		return topology.DirPresent, resync.Home, nil
	}
	if st, err := os.Stat(filepath.Join(h.home, "global")); err == nil && st.IsDir() {
		return topology.DirPresent, resync.Home, nil // damaged, but a data directory
	}
	return topology.DirForeign, resync.Home, nil
}

// inspectData reads the small files of a data directory. What cannot be read
// stays zero, which means unknown, and is told in Odd.
func (h *Host) inspectData(in *topology.Inspection, p resync.Place) {
	dir := h.path(p)
	odd := func(err error) {
		if err != nil {
			in.Odd = append(in.Odd, err.Error())
		}
	}
	in.DataID = dataID(dir)
	var err error
	in.Version, err = pgdata.MajorVersion(dir)
	odd(err)
	c, err := pgdata.ReadControl(dir)
	odd(err)
	if err == nil {
		facts := controlFacts(c)
		in.Control = &facts
		in.History, err = pgdata.OwnHistory(dir)
		odd(err)
	}
	// Counted at each look: which methods are possible depends on them.
	if spaces, err := pgdata.Tablespaces(dir); err == nil {
		in.Tablespaces = len(spaces)
	} else if !errors.Is(err, fs.ErrNotExist) {
		odd(err)
	}
	if in.InPlace, err = pgdata.InPlaceTablespaces(dir); !errors.Is(err, fs.ErrNotExist) {
		odd(err)
	}
	sig, err := pgdata.Signals(dir)
	odd(err)
	in.StandbySignal, in.RecoverySignal, in.BackupLabel = sig.Standby, sig.Recovery, sig.BackupLabel
	conf, err := h.settings(p)
	odd(err)
	in.ConfigID = h.hot.configID()
	if err == nil {
		in.HotStandby = hotStandby(conf)
	}
	text, _ := conf.Get("primary_conninfo")
	if ci, err := postgres.ParseConnInfo(text); err == nil {
		in.UpstreamHost, _ = ci.Get("host")
		port, _ := ci.Get("port")
		in.UpstreamPort, _ = strconv.Atoi(port) // zero: not said
		if text != "" && in.UpstreamPort == 0 {
			in.UpstreamPort = 5432
		}
	}
	in.UpstreamSlot, _ = conf.Get("primary_slot_name")
}

const (
	sizesAge = time.Minute
	oddAge   = 5 * time.Minute
)

// sizeCache keeps what takes a walk through the whole directory.
type sizeCache struct {
	mu        sync.Mutex
	measuring bool
	at, oddAt time.Time
	data, wal uint64
	odd, own  []string
}

// busyCount is above zero while a program moves data: then nothing else should
// walk through the directory.
type busyCount struct{ n atomic.Int32 }

// busyNow marks a data moving step; call the result when it is over.
func (h *Host) busyNow() func() {
	h.busy.n.Add(1)
	return func() { h.busy.n.Add(-1) }
}

// measured adds the cached sizes and odd files, and starts to measure again in
// the background when they are old.
func (h *Host) measured(in *topology.Inspection, p resync.Place) {
	c := &h.sizes
	c.mu.Lock()
	defer c.mu.Unlock()
	in.DataBytes, in.WALBytes = c.data, c.wal
	in.Odd, in.Own = append(in.Odd, c.odd...), c.own
	if c.measuring || time.Since(c.at) < sizesAge || h.busy.n.Load() > 0 {
		return
	}
	c.measuring = true
	withOdd := time.Since(c.oddAt) >= oddAge
	h.wg.Go(func() { h.measure(h.path(p), withOdd) })
}

func (h *Host) measure(dir string, withOdd bool) {
	var odd, own []string
	note := func(err error) {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			odd = append(odd, strings.TrimSpace(err.Error()))
		}
	}
	data, err := pgdata.Size(dir)
	note(err)
	wal, err := pgdata.WALSize(dir)
	note(err)
	if withOdd {
		files, err := pgdata.OddFiles(dir)
		note(err)
		for _, f := range files {
			odd = append(odd, f.String())
		}
		own, err = h.ownNames(dir)
		note(err)
	}
	c := &h.sizes
	c.mu.Lock()
	defer c.mu.Unlock()
	c.measuring, c.at = false, time.Now()
	c.data, c.wal = data, wal
	if withOdd {
		c.odd, c.own, c.oddAt = odd, own, c.at
	}
}
