package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// netnsDir is where `ip netns` keeps its names.
const netnsDir = "/run/netns"

// inNetns calls do in a network namespace; a process that it starts stays there.
func inNetns(name string, do func() error) (err error) {
	there, err := os.Open(filepath.Join(netnsDir, name))
	if err != nil {
		return fmt.Errorf("enter the network namespace %s: %w", name, err)
	}
	defer there.Close()
	runtime.LockOSThread()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("find the own network namespace: %w", err)
	}
	defer own.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter the network namespace %s: %w", name, err)
	}
	err = do()
	if back := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); back != nil {
		// the thread stays locked, and ends with its goroutine
		return errors.Join(err, fmt.Errorf("leave the network namespace %s: %w", name, back))
	}
	runtime.UnlockOSThread()
	return err
}

// DialFrom connects from a host of the lab; without hosts of its own, from here.
func (l *Lab) DialFrom(ctx context.Context, host, network, address string) (c net.Conn, err error) {
	dial := func() error {
		var d net.Dialer
		c, err = d.DialContext(ctx, network, address)
		return err
	}
	if ns := l.netns(host); ns != "" {
		err = inNetns(ns, dial)
	} else {
		err = dial()
	}
	return c, err
}

// netnsOf is the inode of a process's network namespace, 0 when it has gone.
func netnsOf(pid string) uint64 {
	var st unix.Stat_t
	if err := unix.Stat("/proc/"+pid+"/ns/net", &st); err != nil {
		return 0
	}
	return st.Ino
}

// netnsInode is a named namespace's, 0 when there is none.
func netnsInode(name string) uint64 {
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(netnsDir, name), &st); err != nil {
		return 0
	}
	return st.Ino
}

// procsIn lists the processes in any of these namespaces.
func procsIn(names ...string) []proc {
	var inodes []uint64
	for _, n := range names {
		if i := netnsInode(n); i != 0 {
			inodes = append(inodes, i)
		}
	}
	if len(inodes) == 0 {
		return nil
	}
	return slices.DeleteFunc(allProcs(), func(p proc) bool {
		return p.PID == os.Getpid() || !slices.Contains(inodes, netnsOf(strconv.Itoa(p.PID)))
	})
}

// tool runs a program of the system as root.
func tool(stdin, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, lastLines(string(out), 10))
	}
	return nil
}
