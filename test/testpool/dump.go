package testpool

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// dump prints what a person would look at after a failed test.
func (p *Pool) dump() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, what := range [][]string{{"status"}, {"plan"}, {"history", "--limit", "60"}} {
		out, err := p.Repool(ctx, what...)
		if err != nil {
			out = err.Error() + "\n" + out
		}
		p.T.Logf("%s:\n%s", what[0], out)
	}
	logs := []string{p.ControllerLog(0), filepath.Join(p.Dir, "controller", "hooks.log")}
	for _, pg := range p.Pgpools {
		logs = append(logs, pg.LogFile)
	}
	for _, n := range p.Nodes {
		logs = append(logs, p.AgentLog(n.ID))
	}
	for _, log := range logs {
		if b, err := os.ReadFile(log); err == nil {
			lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(b)), "\n"), chatter)
			p.T.Logf("%s:\n%s", log, clipped(lines))
		}
	}
}

// clipped is the end of a log: what is read of a failed test on another machine is
// often no more than the last few hundred lines of everything.
func clipped(lines []string) string {
	lines = lines[max(0, len(lines)-40):]
	for i, l := range lines {
		if len(l) > 300 {
			lines[i] = l[:300] + "…"
		}
	}
	return strings.Join(lines, "\n")
}

// chatter is what the controller logs of a pass, and Pgpool-II of each PCP
// request and of its own processes.
func chatter(line string) bool {
	for _, c := range []string{"msg=pass ", "status_changed_time", "forked new pcp worker", "PCP process with pid",
		"watchdog is not enabled",
		"informing watchdog info", "child process with pid", "fork a new child", "CONTEXT:  while"} {
		if strings.Contains(line, c) {
			return true
		}
	}
	return false
}
