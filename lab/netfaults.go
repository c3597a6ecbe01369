package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// errOneHost: the lab has no network to break.
var errOneHost = errors.New("the lab was made without Options.Hosts: all of it is on one host")

// CutCable takes the carrier from a host: nothing goes in or out, and the host
// itself sees that. MendCable ends it.
func (l *Lab) CutCable(_ context.Context, host string) error { return l.cable(host, "down") }

// MendCable puts the cable back.
func (l *Lab) MendCable(_ context.Context, host string) error { return l.cable(host, "up") }

func (l *Lab) cable(host, state string) error {
	if l.Net == "" {
		return errOneHost
	}
	if err := tool("", "ip", "-n", l.netns(theSwitch), "link", "set", "dev", host, state); err != nil {
		return err
	}
	l.logf("%s: cable %s", host, state)
	return nil
}

// Lose swallows everything that host from sends to host to, without a word: loss
// in one direction. An empty name is every host. HealNetwork ends it.
func (l *Lab) Lose(_ context.Context, from, to string) error {
	if err := l.cut(from, to, ""); err != nil {
		return err
	}
	l.logf("all from %q to %q is lost", from, to)
	return nil
}

// LoseSome swallows so many of a hundred packets, at random, of what host from
// sends to host to; empty names and the end are as with Lose.
func (l *Lab) LoseSome(_ context.Context, from, to string, percent int) error {
	if percent < 1 || percent > 100 {
		return fmt.Errorf("lose %d of a hundred packets", percent)
	}
	if err := l.cut(from, to, fmt.Sprintf(" numgen random mod 100 <= %d", percent-1)); err != nil {
		return err
	}
	l.logf("%d of a hundred packets from %q to %q are lost", percent, from, to)
	return nil
}

// cut adds a rule to the switch. A host's port has another name while the host is
// delayed.
func (l *Lab) cut(from, to, which string) error {
	if l.Net == "" {
		return errOneHost
	}
	rule := "add rule bridge lab cut"
	if from != "" {
		rule += fmt.Sprintf(" iifname { %q, %q }", from, relayPort(from))
	}
	if to != "" {
		rule += fmt.Sprintf(" oifname { %q, %q }", to, relayPort(to))
	}
	return l.nft(rule + which + " drop\n")
}

// Part loses everything between two hosts, in both directions. With an empty
// name for the second, host is alone: it has a carrier, and nobody answers.
func (l *Lab) Part(ctx context.Context, host, other string) error {
	return errors.Join(l.Lose(ctx, host, other), l.Lose(ctx, other, host))
}

// HealNetwork ends all losses; cables and slow links stay as they are.
func (l *Lab) HealNetwork(context.Context) error {
	if l.Net == "" {
		return errOneHost
	}
	if err := l.nft("flush chain bridge lab cut\n"); err != nil {
		return err
	}
	l.logf("no losses any more")
	return nil
}

func (l *Lab) nft(rules string) error {
	return inNetns(l.netns(theSwitch), func() error { return tool(rules, "nft", "-f", "-") })
}

// SlowLink bounds what a host can send and receive, such as "8mbit"; an empty
// rate ends it.
func (l *Lab) SlowLink(_ context.Context, host, rate string) error {
	if l.Net == "" {
		return errOneHost
	}
	for ns, dev := range map[string]string{l.netns(host): "eth0", l.netns(theSwitch): host} {
		args := []string{"-n", ns, "qdisc", "del", "dev", dev, "root"}
		if rate != "" {
			args = strings.Fields(fmt.Sprintf("-n %s qdisc replace dev %s root tbf rate %s burst 64kb latency 400ms", ns,
				dev, rate))
		}
		if err := tool("", "tc", args...); err != nil {
			return err
		}
	}
	l.logf("%s: link %s", host, rate)
	return nil
}

// Sent is how many bytes a host has sent over its cable so far.
func (l *Lab) Sent(host string) (bytes uint64, err error) {
	if l.Net == "" {
		return 0, errOneHost
	}
	err = inNetns(l.netns(host), func() error {
		b, err := os.ReadFile("/proc/thread-self/net/dev") // of this thread's namespace
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			// "eth0:", eight numbers of what came in, and then what went out.
			if f := strings.Fields(line); len(f) > 9 && f[0] == "eth0:" {
				bytes, err = strconv.ParseUint(f[9], 10, 64)
				return err
			}
		}
		return errors.New("there is no eth0")
	})
	if err != nil {
		return 0, fmt.Errorf("bytes sent by %s: %w", host, err)
	}
	return bytes, nil
}

// PowerOff kills everything on one host at once and takes its cable away. What
// was not on its disk is gone; PowerOn brings it back.
func (l *Lab) PowerOff(ctx context.Context, host string) error {
	if l.Net == "" {
		return errOneHost
	}
	// The cable first: or a peer would see the kernel close a connection.
	if err := l.CutCable(ctx, host); err != nil {
		return err
	}
	ns := l.netns(host)
	signalAll(procsIn(ns), stopSignal)
	ps := procsIn(ns) // those that were born in between
	l.noteLeftovers(leftoversOf(ps))
	if err := killHard(ps); err != nil {
		return fmt.Errorf("power off %s: %w", host, err)
	}
	if err := killHard(procsIn(ns)); err != nil {
		return fmt.Errorf("power off %s: %w", host, err)
	}
	waitCollected(ps, collectLimit)
	l.logf("%s: power off, %d processes", host, len(ps))
	return nil
}

// PowerOnNode boots the host of node i: network, sshd and agent. Its PostgreSQL is
// started too if boot says that the service manager has it so; that it does not
// come up, is not an error: repool may have been quicker.
func (l *Lab) PowerOnNode(ctx context.Context, i int, boot bool) error {
	if err := l.MendCable(ctx, nodeHost(i)); err != nil {
		return err
	}
	if err := l.StartSSHD(ctx, i); err != nil {
		return err
	}
	if err := l.StartAgent(ctx, i); err != nil {
		return err
	}
	if boot {
		l.logf("node %d: started at boot: %v", i, l.StartNode(ctx, i))
	}
	return nil
}
