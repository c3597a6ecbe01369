package lab

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
			if !ok {
				if reaches(t, l, from, address) {
					t.Errorf("%s: %s is there", what, pair)
				}
				continue
			}
			// What was cut may take a moment to be found again: addresses are asked
			// for again, a second apart.
			wait, cancel := context.WithTimeout(ctx, 15*time.Second)
			err := WaitFor(wait, what+": "+pair, func(context.Context) error {
				if !reaches(t, l, from, address) {
					return errors.New("it is not reached")
				}
				return nil
			})
			cancel()
			if err != nil {
				t.Error(err)
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
	check("repaired, and slow", all)
	must(l.SlowLink(ctx, a, ""))
	must(l.Lose(ctx, a, ""))
	check("lost in one direction", map[string]bool{a + ">" + b: false, pg + ">" + b: true})
	must(l.HealNetwork(ctx))
	must(l.LoseSome(ctx, a, "", 100))
	check("all of a hundred lost", map[string]bool{a + ">" + b: false, pg + ">" + b: true})
}

// exchanges sends so many bytes from one host to another over TCP, and back, and says how long it took. Each has a port
// of its own: a program that another test has just forked holds a closed listener's port until it calls exec.
func exchanges(t *testing.T, l *Lab, from, to, address string, bytes int) time.Duration {
	t.Helper()
	var srv net.Listener
	if err := inNetns(l.netns(to), func() (err error) {
		srv, err = net.Listen("tcp", address+":0") //nolint:noctx // in a network of its own
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	go func() {
		c, err := srv.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.Copy(c, c)
	}()
	began := time.Now()
	var c net.Conn
	if err := inNetns(l.netns(from), func() (err error) {
		c, err = net.DialTimeout("tcp", srv.Addr().String(), 30*time.Second)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	sent := make([]byte, bytes)
	_, _ = cryptorand.Read(sent)
	go func() { _, _ = c.Write(sent) }()
	got := make([]byte, bytes)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(sent, got) {
		t.Error("what came back is not what was sent")
	}
	return time.Since(began)
}

// What is delayed or lost now and then arrives all the same, and later.
func TestDelayAndLoss(t *testing.T) {
	t.Parallel()
	if !asRoot(t) {
		return
	}
	ctx := t.Context()
	l := hostsLab(t)
	a, b := l.NodeHost(0), l.NodeHost(1)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(l.Delay(ctx, a, 50*time.Millisecond, 100*time.Millisecond))
	// Three ways for a connection's first byte and its answer, each twice the least.
	if took := exchanges(t, l, a, b, nodeAddress(1), 1); took < 200*time.Millisecond {
		t.Errorf("delayed: a byte and its answer took %s", took)
	}
	exchanges(t, l, a, b, nodeAddress(1), 2<<20)
	exchanges(t, l, b, a, nodeAddress(0), 2<<20)
	if err := l.Delay(ctx, a, 0, 0); err == nil {
		t.Error("delayed twice")
	}
	must(l.Part(ctx, a, b))
	if reaches(t, l, a, nodeAddress(1)) {
		t.Error("a partition does not hold while there is a delay")
	}
	must(l.HealNetwork(ctx))
	must(l.LoseSome(ctx, b, "", 5))
	exchanges(t, l, a, b, nodeAddress(1), 1<<20)
	must(l.Undelay(ctx, a))
	must(l.HealNetwork(ctx))
	if took := exchanges(t, l, a, b, nodeAddress(1), 1); took > 150*time.Millisecond {
		t.Errorf("no delay any more: a byte and its answer took %s", took)
	}
	must(l.Delay(ctx, b, 0, time.Millisecond)) // the end of the lab ends it
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
