package scenarios

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/pgpool/hook"
	"github.com/repool/repool/lab"
)

// S30: pcp_recovery_node within a second of a failover. Up to 4.4, Pgpool-II then
// replaces its PCP process, which waits for the recovery to end, and answers nobody
// else meanwhile: the recovery must not wait for PCP.
func TestS30OnlineRecoveryRightBehindAFailover(t *testing.T) {
	dir, _ := shimmed(t)
	o := lab.Options{Dir: dir, Recovery: true, RecoveryScripts: map[string]string{},
		RepoolConfig: "policy: {methods: {base-backup: ask}}\n"}
	for _, s := range hook.Shims(filepath.Join(dir, "bin", "repool"), filepath.Join(dir, "repool.yaml")) {
		if s.DataDir {
			o.RecoveryScripts[s.Name] = s.Text
		}
	}
	p := up(t, o)
	n := p.Standbys()[1]
	since := time.Now()
	p.Wipe(n)
	p.Must(p.WaitDetached(p.Ctx, n))
	pg := p.Pgpools[0]
	out, err := p.Command(p.Ctx, "pcp_recovery_node", "-w", "-h", pg.Host, "-p", fmt.Sprint(pg.PCPPort), "-U",
		"repool", "-n", fmt.Sprint(n)).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Command Successful") {
		t.Errorf("pcp_recovery_node: %v\n%s", err, out)
	}
	p.Must(p.happened(p.Ctx, n, since, "recovery", "recovered"))
	p.Must(p.WaitAttached(p.Ctx, n))
	p.Whole("online recovery", since)
	p.HealedBy(n, since, topology.MethodBaseBackup)
	p.Equal()
}
