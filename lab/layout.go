package lab

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"strconv"
)

// layOut decides names, places, ports and passwords of everything.
func (l *Lab) layOut() error {
	if l.opts.Templates != nil {
		l.Passwords = l.opts.Templates.passwords
	} else {
		l.Passwords = newPasswords()
	}
	nodes, pools := l.opts.Standbys+1, l.opts.Watchdog
	ports, release, err := freePorts(nodes + 4*pools + 1)
	if err != nil {
		return err
	}
	l.stops = append(l.stops, release)
	next := func() int { p := ports[0]; ports = ports[1:]; return p }
	for i := range nodes {
		n := Node{ID: i, Name: fmt.Sprintf("node%d", i), Host: "127.0.0.1", Port: next()}
		if l.opts.Hosts {
			n.Host = nodeAddress(i)
		}
		n.Home = l.path(n.Name)
		n.DataDir = filepath.Join(n.Home, "data")
		n.ConfigDir = n.DataDir
		if l.opts.Layout == LayoutDebian {
			n.ConfigDir = l.path("etc", strconv.Itoa(l.Major), n.Name)
		}
		n.LogFile = filepath.Join(n.Home, "log", "postgresql.log")
		for _, s := range l.sites() {
			if s.place != nil {
				s.place(l, &n)
			}
		}
		l.Nodes = append(l.Nodes, n)
	}
	for i := range pools {
		p := Pgpool{ID: i, Host: "127.0.0.1", Port: next(), PCPPort: next(), WDPort: next(), HeartbeatPort: next()}
		if l.opts.Hosts {
			p.Host = pgpoolAddress(i)
		}
		p.Dir = l.path("pgpool" + suffix(i))
		p.Conf = filepath.Join(p.Dir, "pgpool.conf")
		p.LogFile = l.path("log", "pgpool"+suffix(i)+".log")
		p.RepoolConf = l.path("repool" + suffix(i) + ".yaml")
		l.Pgpools = append(l.Pgpools, p)
	}
	if l.opts.Web {
		l.WebAddr = fmt.Sprintf("%s:%d", l.Pgpools[0].Host, next())
	}
	return nil
}

// newPasswords draws one for each role and for PCP.
func newPasswords() map[string]string {
	out := map[string]string{}
	for _, role := range []string{"postgres", "repool", "repl", "pgpool", "app", "pcp"} {
		out[role] = rand.Text()
	}
	return out
}

// suffix numbers all but the first, which people meet most.
func suffix(i int) string {
	if i == 0 {
		return ""
	}
	return strconv.Itoa(i)
}

// freePorts finds n ports that nobody listens on, below the range from which
// the kernel takes the source ports of outgoing connections: a node that is
// down for a while must find its port free when it returns. Until release is
// called no other lab takes them: each is claimed by an abstract socket of that
// name, which the kernel forgets with the process.
func freePorts(n int) (ports []int, release func(), err error) {
	const low, high = 20000, 32000
	var held []net.Listener
	release = func() {
		for _, h := range held {
			h.Close()
		}
	}
	for range 200 * n {
		r, err := rand.Int(rand.Reader, big.NewInt(high-low))
		if err != nil {
			break
		}
		port := low + int(r.Int64())
		hold, err := net.Listen("unix", fmt.Sprintf("@repool-lab-port-%d", port))
		if err != nil {
			continue
		}
		held = append(held, hold)
		if free, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			free.Close()
			if ports = append(ports, port); len(ports) == n {
				return ports, release, nil
			}
		}
	}
	release()
	return nil, nil, errors.New("find free ports: nearly all between 20000 and 32000 are taken")
}
