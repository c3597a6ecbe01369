package hook

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"

	"github.com/repool/repool/internal/core/topology"
)

// readPoolStatus reads Pgpool-II's own file of who is attached: one line a
// node, "up", "down" or "unused". Pgpool-II writes it before it calls
// failover_command, so it is as fresh as a question over PCP, and cannot hang.
// nil: not known, for instance because the file is somewhere else.
func readPoolStatus(workDir string) map[topology.NodeID]bool {
	if workDir == "" {
		return nil
	}
	f, err := os.Open(filepath.Join(workDir, "pgpool_status"))
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // only read
	attached := map[topology.NodeID]bool{}
	lines := bufio.NewScanner(f)
	for id := topology.NodeID(0); lines.Scan(); id++ {
		switch strings.TrimSpace(lines.Text()) {
		case "up":
			attached[id] = true
		case "down", "unused":
			attached[id] = false
		default:
			return nil // the binary form of very old versions, or no such file at all
		}
	}
	if lines.Err() != nil || len(attached) == 0 {
		return nil
	}
	return attached
}
