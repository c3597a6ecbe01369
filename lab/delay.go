package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel may have no netem, so a delay is made by hand: the host's cable is
// taken out of the switch and put into a relay, which holds each frame back and
// passes it on through another cable. Its two ends, in the switch's namespace:
func relayPort(host string) string   { return host + "-in" }  // in the bridge
func relaySocket(host string) string { return host + "-out" } // the relay's

// Delay holds back all that a host sends and receives, each packet by a time
// between least and most in each direction; the order is kept. It ends with
// Undelay, with the lab, or with this process.
func (l *Lab) Delay(_ context.Context, host string, least, most time.Duration) error {
	if l.Net == "" {
		return errOneHost
	}
	if least < 0 || most < least {
		return fmt.Errorf("delay %s: from %s to %s", host, least, most)
	}
	l.delayMu.Lock()
	defer l.delayMu.Unlock()
	if l.delays[host] != nil {
		return fmt.Errorf("delay %s: it is delayed already", host)
	}
	sw, in, out := l.netns(theSwitch), relayPort(host), relaySocket(host)
	if err := tool("", "ip", "-n", sw, "link", "add", "name", in, "type", "veth", "peer", "name", out); err != nil {
		return err
	}
	r := &relay{}
	// A frame that is read and sent again must be whole: checksums made, and no
	// larger than the cable takes.
	err := errors.Join(
		inNetns(l.netns(host), func() error { return plainFrames("eth0") }),
		inNetns(sw, func() error { return errors.Join(plainFrames(in), r.open(host, out)) }),
		tool(fmt.Sprintf("link set dev %s nomaster\nlink set dev %s master br0 up\nlink set dev %s up\n", host, in, out),
			"ip", "-n", sw, "-batch", "-"))
	if err != nil {
		r.close()
		return errors.Join(err, l.unplugRelay(host))
	}
	if l.delays == nil {
		l.delays = map[string]*relay{}
	}
	l.delays[host] = r
	r.start(least, most)
	l.logf("%s: delayed by %s to %s in each direction", host, least, most)
	return nil
}

// Undelay ends a delay; it is not an error if the host is not delayed.
func (l *Lab) Undelay(_ context.Context, host string) error {
	l.delayMu.Lock()
	defer l.delayMu.Unlock()
	r := l.delays[host]
	if r == nil {
		return nil
	}
	delete(l.delays, host)
	r.close()
	l.logf("%s: no delay any more", host)
	return l.unplugRelay(host)
}

// unplugRelay puts the host's own cable back into the switch.
func (l *Lab) unplugRelay(host string) error {
	return tool(fmt.Sprintf("link del dev %s\nlink set dev %s master br0\n", relayPort(host), host), "ip", "-n",
		l.netns(theSwitch), "-batch", "-")
}

// endDelays stops the relays; the cables go with their namespaces.
func (l *Lab) endDelays() {
	l.delayMu.Lock()
	defer l.delayMu.Unlock()
	for _, r := range l.delays {
		r.close()
	}
	l.delays = nil
}

// relay passes frames between two ends.
type relay struct{ ends [2]*os.File }

// maxHeld is how many frames are on their way in one direction: more are dropped,
// as a router's queue does it.
const maxHeld = 4096

type heldFrame struct {
	due  time.Time
	data []byte
}

// open takes the two network devices; it is called in their namespace.
func (r *relay) open(names ...string) error {
	for i, name := range names {
		dev, err := net.InterfaceByName(name)
		if err != nil {
			return fmt.Errorf("relay: %w", err)
		}
		const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all)
		if err != nil {
			return fmt.Errorf("relay: open a packet socket: %w", err)
		}
		r.ends[i] = os.NewFile(uintptr(fd), "relay "+name)
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: dev.Index}); err != nil {
			return fmt.Errorf("relay: bind to %s: %w", name, err)
		}
		// What the relay itself sends there is not to come back to it.
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
			return fmt.Errorf("relay: %s: %w", name, err)
		}
	}
	return nil
}

func (r *relay) close() {
	for _, f := range r.ends {
		if f != nil {
			_ = f.Close() // ends its goroutines
		}
	}
}

// start begins to pass frames on, until close.
func (r *relay) start(least, most time.Duration) {
	for i := range r.ends {
		held := make(chan heldFrame, maxHeld)
		go takeFrames(r.ends[i], held, least, most)
		go passFrames(held, r.ends[1-i])
	}
}

func takeFrames(from *os.File, held chan<- heldFrame, least, most time.Duration) {
	defer close(held)
	buf := make([]byte, 65536)
	for {
		n, err := from.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			if errors.Is(err, unix.ENETDOWN) { // the cable is cut, and may come back
				continue
			}
			return
		}
		f := heldFrame{due: time.Now().Add(least + rand.N(most-least+1)),
			data: append([]byte(nil), buf[:n]...)} //nolint:gosec // no secret
		select {
		case held <- f:
		default:
		}
	}
}

func passFrames(held <-chan heldFrame, to *os.File) {
	for f := range held {
		<-time.After(time.Until(f.due))
		_, _ = to.Write(f.data) // a frame that nobody takes is lost, as on a cable
	}
}

// plainFrames has a device compute checksums and cut what is too long itself, in
// the calling thread's namespace.
func plainFrames(dev string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("offloading of %s: %w", dev, err)
	}
	defer func() { _ = unix.Close(fd) }()
	for _, what := range []uint32{unix.ETHTOOL_STSO, unix.ETHTOOL_SGSO, unix.ETHTOOL_STXCSUM} {
		value := struct{ cmd, data uint32 }{what, 0}
		req := struct {
			name [unix.IFNAMSIZ]byte
			data unsafe.Pointer
			_    [16]byte
		}{data: unsafe.Pointer(&value)}
		copy(req.name[:], dev)
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL,
			uintptr(unsafe.Pointer(&req))); errno != 0 {
			return fmt.Errorf("offloading of %s: request %#x: %w", dev, what, errno)
		}
	}
	return nil
}
