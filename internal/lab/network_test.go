package lab

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// asRoot says whether a test of the network can be played.
func asRoot(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Log("network namespaces need root: nothing was tested")
		return false
	}
	return true
}

// hostsLab is a network without any server in it.
func hostsLab(t *testing.T) *Lab {
	t.Helper()
	o := Options{Hosts: true, Agents: AgentsSSH, Repool: "/bin/true", Standbys: 1}
	if err := o.fill(); err != nil {
		t.Fatal(err)
	}
	l, err := prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

// reaches says whether a connection from one host to another is answered, be it
// by a refusal, within two seconds.
func reaches(t *testing.T, l *Lab, from, address string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/bash", "-c", "exec 3<>/dev/tcp/"+address+"/9")
	var said strings.Builder
	cmd.Stderr = &said
	if err := l.waitOn(from, cmd); err == nil {
		return true
	}
	return strings.Contains(said.String(), "refused")
}

func TestNetworkFaults(t *testing.T) {
	t.Parallel()
	if !asRoot(t) {
		return
	}
	ctx := t.Context()
	l, other := hostsLab(t), hostsLab(t) // two at a time, with the same addresses
	a, b, pg := l.NodeHost(0), l.NodeHost(1), l.PgpoolHost(0)
	check := func(what string, want map[string]bool) {
		t.Helper()
		for pair, ok := range want {
			from, to, _ := strings.Cut(pair, ">")
			address := map[string]string{a: nodeAddress(0), b: nodeAddress(1), pg: pgpoolAddress(0)}[to]
			if got := reaches(t, l, from, address); got != ok {
				t.Errorf("%s: %s is %v, want %v", what, pair, got, ok)
			}
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	all := map[string]bool{a + ">" + b: true, pg + ">" + a: true, b + ">" + pg: true}
	check("at first", all)
	must(l.Part(ctx, a, pg))
	check("two apart", map[string]bool{a + ">" + b: true, pg + ">" + a: false, b + ">" + pg: true})
	if !reaches(t, other, other.PgpoolHost(0), nodeAddress(0)) {
		t.Error("another lab's network is cut, too")
	}
	must(l.HealNetwork(ctx))
	must(l.CutCable(ctx, b))
	check("no cable", map[string]bool{a + ">" + b: false, pg + ">" + a: true, b + ">" + pg: false})
	must(l.MendCable(ctx, b))
	must(l.SlowLink(ctx, a, "8mbit"))
	check("mended, and slow", all)
	must(l.SlowLink(ctx, a, ""))
	must(l.Lose(ctx, a, ""))
	check("lost in one direction", map[string]bool{a + ">" + b: false, pg + ">" + b: true})
}

func TestPowerOffKillsOneHostOnly(t *testing.T) {
	t.Parallel()
	if !asRoot(t) {
		return
	}
	l := hostsLab(t)
	start := func(host string) proc {
		cmd := exec.Command("/bin/sleep", "600")
		if err := l.startOn(host, cmd); err != nil {
			t.Fatal(err)
		}
		p, ok := readProc(cmd.Process.Pid)
		if !ok {
			t.Fatal("it vanished at once")
		}
		go func() { _ = cmd.Wait() }()
		return p
	}
	one, two := start(l.NodeHost(0)), start(l.NodeHost(1))
	if err := l.PowerOff(t.Context(), l.NodeHost(0)); err != nil {
		t.Fatal(err)
	}
	if one.alive() || !two.alive() {
		t.Errorf("on the host without power: %v, on the other: %v", one.alive(), two.alive())
	}
	// Whatever runs on its hosts is the lab's, also without its mark.
	if err := l.Down(context.Background()); err != nil {
		t.Fatal(err)
	}
	if two.alive() {
		t.Error("a process outlives its lab")
	}
}

// A lab whose process has died is found and taken down from its directory.
func TestNetworkIsTakenDownByAnother(t *testing.T) {
	t.Parallel()
	if !asRoot(t) {
		return
	}
	l := hostsLab(t)
	again, err := Open(l.Dir)
	if err != nil {
		t.Fatal(err)
	}
	spaces := l.allNetns()
	for _, ns := range spaces {
		if _, err := os.Stat(filepath.Join(netnsDir, ns)); err != nil {
			t.Errorf("before: %v", err)
		}
	}
	if err := again.Down(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, ns := range spaces {
		if _, err := os.Stat(filepath.Join(netnsDir, ns)); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", ns, err)
		}
	}
}
