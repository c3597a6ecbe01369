package check

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/repool/repool/internal/pgpool/pgpoolconf"
)

// FailoverTrouble says why Pgpool-II has no failover_command that its user can run,
// by pgpool.conf and the command's file alone: it starts nothing. Empty: it can be
// run, or that cannot be told from here, as with a line of shell.
func FailoverTrouble(conf string) string {
	file, err := pgpoolconf.Load(conf)
	if err != nil {
		return "" // Pgpool-II may be reading a file that is being written
	}
	set, _ := file.Lookup("failover_command")
	words := shellWords(set.Value)
	if len(words) == 0 {
		return "failover_command is empty"
	}
	path := words[0]
	if !filepath.IsAbs(path) || strings.ContainsAny(path, ";&|$`<>(){}*?%") {
		return ""
	}
	id := pgpoolIdentity(file)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrPermission) && os.Geteuid() != int(id.UID) {
		return "" // another user than ours may be able to enter
	}
	if msg := id.mayRun(path); msg != "" {
		return fmt.Sprintf("failover_command runs %s, but %s", path, msg)
	}
	return ""
}
