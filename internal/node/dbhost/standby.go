package dbhost

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/repool/repool/internal/codes"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/postgres"
	"github.com/repool/repool/internal/node/resync"
)

// recoveryTargets would make a standby stop or promote by itself.
var recoveryTargets = []string{"recovery_target", "recovery_target_action", "recovery_target_inclusive",
	"recovery_target_lsn", "recovery_target_name", "recovery_target_time", "recovery_target_xid"}

// promotingSettings must be emptied where postgresql.conf sets them, since
// taking them out of postgresql.auto.conf is not enough.
var promotingSettings = []string{"recovery_target", "recovery_target_lsn", "recovery_target_name",
	"recovery_target_time", "recovery_target_xid", "promote_trigger_file"}

// foreignKeys of an old primary_conninfo are never kept: they say where to go
// and as whom.
var foreignKeys = []string{"host", "hostaddr", "port", "user", "application_name", "passfile", "service",
	"servicefile", "dbname", "replication", "target_session_attrs", "load_balance_hosts"}

// WriteStandby makes p a standby of up: first standby.signal, then the
// settings in postgresql.auto.conf, which win over every other file. Keys of
// the old primary_conninfo that say neither where nor as whom (SSL files and
// the like) are kept. Each file is durable before the next is touched.
//
// What an unfinished promotion has left is set aside first, see setAsideHistories.
//
// It refuses where a server that is no standby runs on p, and where a
// backup_label of an exclusive backup is left over at Home: recovery would
// begin where the label says and wait for an end of backup that never comes.
// Labels of pg_basebackup and pg_rewind belong there.
func (h *Host) WriteStandby(p resync.Place, up topology.Upstream, slot, appName string) error {
	dir := h.path(p)
	if err := h.refuseAsStandby(p); err != nil {
		return err
	}
	if err := h.setAsideHistories(p, up.History); err != nil {
		return err
	}
	auto, text, err := autoConf(dir)
	if err != nil && text == "" {
		return fmt.Errorf("write the standby's settings: %w", err)
	}
	file, err := h.configFile(p)
	if err != nil {
		return err
	}
	base, err := baseConf(file)
	if err != nil && fileThere(file) {
		return fail(codes.ServerConfig, "correct the file that the message names",
			"write the standby's settings: %w", err)
	}
	if err != nil {
		return fail(codes.ConfigMissing, "put the node's own postgresql.conf there", "write the standby's settings: %w", err)
	}
	set := map[string]string{
		"primary_conninfo":         h.upstreamConnInfo(append(base, auto...), up, appName).String(),
		"primary_slot_name":        slot,
		"recovery_target_timeline": "latest",
	}
	for _, name := range promotingSettings {
		if v, ok := base.Get(name); ok && v != "" {
			set[name] = ""
		}
	}
	signal := filepath.Join(dir, "standby.signal")
	if st, err := os.Lstat(signal); err != nil || !st.Mode().IsRegular() {
		if err := pgdata.ReplaceFile(signal, nil); err != nil {
			return err
		}
	}
	remove := append([]string{"promote_trigger_file"}, recoveryTargets...)
	remove = without(remove, set)
	if err := pgdata.ReplaceFile(filepath.Join(dir, "postgresql.auto.conf"),
		[]byte(pgdata.SetConf(text, set, remove))); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, "recovery.signal")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove recovery.signal: %w", err)
	}
	return pgdata.SyncDir(dir)
}

// without takes the names that are being set out of those to remove.
func without(names []string, set map[string]string) []string {
	var out []string
	for _, n := range names {
		if _, ok := set[n]; !ok {
			out = append(out, n)
		}
	}
	return out
}

// upstreamConnInfo builds primary_conninfo from what the old one says besides.
func (h *Host) upstreamConnInfo(conf pgdata.Conf, up topology.Upstream, appName string) postgres.ConnInfo {
	out := h.o.Replication.ConnInfo(up.Host, up.Port)
	if appName != "" {
		out = out.With("application_name", appName)
	}
	text, _ := conf.Get("primary_conninfo")
	old, err := postgres.ParseConnInfo(text)
	if err != nil {
		return out // nothing to keep from what cannot be read
	}
	user, _ := old.Get("user")
	keepPassword := user == h.o.Replication.User && h.o.Replication.Passfile == ""
	for _, p := range old.Without(foreignKeys...) {
		if _, mine := out.Get(p.Key); mine || (p.Key == "password" && !keepPassword) {
			continue
		}
		out = append(out, p)
	}
	return out
}

// refuseAsStandby looks for what must not be there when p becomes a standby.
func (h *Host) refuseAsStandby(p resync.Place) error {
	dir := h.path(p)
	sig, err := pgdata.Signals(dir)
	if err != nil {
		return fmt.Errorf("write the standby's settings: %w", err)
	}
	if !sig.Standby {
		if err := h.refuseInUse(dir); err != nil {
			return err
		}
	}
	if p != resync.Home || !sig.BackupLabel {
		return nil
	}
	label, err := os.ReadFile(filepath.Join(dir, "backup_label"))
	if err != nil {
		return fmt.Errorf("read backup_label: %w", err)
	}
	if bytes.Contains(label, []byte("BACKUP METHOD: pg_start_backup")) {
		return fail(codes.ConfigMissing, "if no backup is being restored here, remove backup_label (and tablespace_map) by "+
			"hand",
			"make %s a standby: a backup_label of an unfinished backup is left in it", dir)
	}
	return nil
}
