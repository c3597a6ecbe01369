package crashpoints

import (
	"os"
	"path/filepath"
	"testing"
)

// script is an operator's resync_command: a base backup in place. It may be
// killed anywhere and is then called again.
const script = `#!/bin/sh
set -e
dir=$1
keep=$dir.own
pg_ctl -D "$dir" -m immediate -w stop || true
if [ ! -d "$keep" ]; then
	mkdir -p "$keep.new"
	cp -p "$dir/postgresql.conf" "$dir/pg_hba.conf" "$dir/pg_ident.conf" "$keep.new"
	mv "$keep.new" "$keep"
fi
rm -rf "$dir"
pg_basebackup --no-sync -h "$2" -p "$3" -U repl -D "$dir" -R -S "$REPOOL_SLOT" -X stream -c fast
cp -p "$keep"/* "$dir"
pg_ctl -D "$dir" -w start >/dev/null 2>&1
rm -r "$keep"
`

// ownResync puts the script where the servers' user can run it.
func ownResync(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "repool-own-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(dir, "resync.sh")
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
