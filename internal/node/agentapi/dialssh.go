package agentapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
)

// SSH says how to reach an agent over the system's ssh, with the operator's own
// configuration, keys, jump hosts and known_hosts.
type SSH struct {
	// User may be empty and Port 0; ssh then chooses. Host is a name, an address or
	// an alias from the operator's configuration.
	User, Host string
	Port       int
	// Program is ssh itself; empty means "ssh" from PATH. ConfigFile is for its -F.
	Program, ConfigFile string
	// Node is the node to ask for; a forced command of the key may name another.
	Node int
}

// DialSSH reaches an agent through `ssh … repool agent --stdio`, with one process
// for all calls. Nothing is started before the first call; Close ends it.
func DialSSH(s SSH, expect *Expect) Agent {
	return newClient(s.String(), &link{open: s.open}, expect)
}

// String is the address as repool.yaml has it.
func (s SSH) String() string {
	host := s.Host
	if s.Port != 0 {
		host = net.JoinHostPort(host, fmt.Sprint(s.Port))
	}
	if s.User != "" {
		host = s.User + "@" + host
	}
	return "ssh://" + host
}

// open starts ssh and waits for the greeting.
func (s SSH) open(ctx context.Context) (carrier, net.Conn, *bufio.Reader, error) {
	p, err := startSSH(s)
	if err != nil {
		return nil, nil, nil, err
	}
	stop := context.AfterFunc(ctx, p.end)
	r := bufio.NewReader(p.conn)
	err = readGreeting(r)
	if !stop() {
		err = errors.Join(fmt.Errorf("ssh has connected, but nothing answers after %s", dialLimit), err)
	}
	if err != nil {
		err = p.explain(err)
		p.end()
		return nil, nil, nil, err
	}
	return p, p.conn, r, nil
}
