package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/repool/repool/pcp"
)

// TestMain lets the test binary stand in for repool: what the lab starts and
// what Pgpool-II calls is under test here, not what repool then does.
func TestMain(m *testing.M) {
	if dir := os.Getenv(labMark); dir != "" && len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		if err := standIn(dir, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var socketLine = regexp.MustCompile(`(?m)^  socket: (.+)$`)

func standIn(dir string, args []string) error {
	switch args[0] {
	case "hook":
		f, err := os.OpenFile(filepath.Join(dir, "hooks"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = fmt.Fprintln(f, strings.Join(append(args, os.Getenv("PCPPASSFILE"), os.Getenv("EXTRA")), " "))
		return err
	case "serve", "agent":
		conf, err := os.ReadFile(after("--config", args))
		if err != nil {
			return err
		}
		path := string(socketLine.FindSubmatch(conf)[1])
		if args[0] == "agent" {
			path = filepath.Join(filepath.Dir(path), "agent"+after("--node", args)+".sock")
		}
		ln, err := net.Listen("unix", path)
		if err != nil {
			return err
		}
		end := make(chan os.Signal, 1)
		signal.Notify(end, syscall.SIGTERM)
		<-end
		return ln.Close()
	}
	return fmt.Errorf("the stand-in does not know %q", args)
}

// after gives the word that follows a flag; empty without it.
func after(flag string, args []string) string {
	i := slices.Index(args, flag)
	if i < 0 || i+1 == len(args) {
		return ""
	}
	return args[i+1]
}

func TestRepoolIsStartedAndCalled(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	must(t, err)
	l := up(t, Options{Standbys: 1, Repool: self, Hooks: true, Controller: true, Agents: AgentsSeparate,
		Web: true, Env: map[string]string{"EXTRA": "kept"}, RepoolConfig: "policy: {max_lag: 16MB}"})
	ctx := limited(t)

	if !l.ControllerRuns(0) || !l.AgentRuns(0) || !l.AgentRuns(1) {
		t.Error("controller and agents: want all running")
	}
	again, err := Open(l.Dir)
	must(t, err)
	must(t, again.KillAgent(ctx, 1))
	if l.AgentRuns(1) {
		t.Error("the killed agent runs")
	}
	must(t, again.StartAgent(ctx, 1))
	must(t, l.KillController(ctx, 0))
	must(t, l.StartController(ctx, 0))
	must(t, l.StopController(ctx, 0))

	must(t, l.Detach(ctx, 1))
	want := fmt.Sprintf("hook failover --config %s 1 127.0.0.1 %d %s 0 127.0.0.1 0 0 %d %s 127.0.0.1 %d %s kept\n",
		l.RepoolConf(), l.Nodes[1].Port, l.Nodes[1].DataDir, l.Nodes[0].Port, l.Nodes[0].DataDir, l.Nodes[0].Port,
		l.path(".pcppass"))
	must(t, WaitFor(ctx, "the failover hook", func(context.Context) error {
		got, err := os.ReadFile(l.path("hooks"))
		if err == nil && string(got) != want {
			err = fmt.Errorf("called with %q, want %q", got, want)
		}
		return err
	}))
}

func TestOnlineRecoveryCallsTheScripts(t *testing.T) {
	t.Parallel()
	note := "#!/bin/sh\necho \"$(basename \"$0\") $*\" >> \"$(dirname \"$PGDATA\")/called\"\n"
	l := up(t, Options{Standbys: 1, Recovery: true,
		RecoveryScripts: map[string]string{"recovery_1st_stage.sh": note, "pgpool_remote_start": note}})
	ctx := limited(t)
	must(t, l.Detach(ctx, 1))
	must(t, l.WaitDetached(ctx, 1))
	must(t, WaitFor(ctx, "online recovery", func(ctx context.Context) error {
		return pcp.With(ctx, l.PCP(0), func(c *pcp.Conn) error { return c.RecoverNode(ctx, 1) })
	}))
	must(t, l.WaitAttached(ctx))
	got, err := os.ReadFile(filepath.Join(l.Nodes[0].Home, "called"))
	must(t, err)
	p, s := l.Nodes[0], l.Nodes[1]
	want := fmt.Sprintf("recovery_1st_stage.sh %s 127.0.0.1 %s %d 1 %d 127.0.0.1\npgpool_remote_start 127.0.0.1 %s\n",
		p.DataDir, s.DataDir, p.Port, s.Port, s.DataDir)
	if string(got) != want {
		t.Errorf("called %q, want %q", got, want)
	}
}
