package agentapi

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// DialTLS reaches an agent over TLS 1.3 at addr, host:port. conf is called for
// each connection, so that certificates can be renewed. Nothing is opened before
// the first call; Close closes the connection.
func DialTLS(addr string, conf func() (*tls.Config, error), expect *Expect) Agent {
	d := &tlsDialer{addr: addr, conf: conf}
	l := &link{open: d.open}
	c := newClient("https://"+addr, l, expect)
	c.peer = l.peer
	return c
}

// Peer returns the name and the expiry of the certificate that the agent
// presented on the connection that is open now. The time is zero when none is
// open, or when the agent is not reached over TLS. Peer never connects, and may
// be called at any time.
func Peer(a Agent) (name string, notAfter time.Time) {
	if c, ok := a.(*client); ok && c.peer != nil {
		return c.peer()
	}
	return "", time.Time{}
}

func (l *link) peer() (name string, notAfter time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.live == nil {
		return "", time.Time{}
	}
	c, ok := l.live.carrier.(*tlsConn)
	if !ok {
		return "", time.Time{}
	}
	return c.name, c.expires
}

type tlsDialer struct {
	addr string
	conf func() (*tls.Config, error)
}

// tlsConn is a carrier until the agent's certificate expires.
type tlsConn struct {
	*tls.Conn
	name    string
	expires time.Time
}

func (c *tlsConn) alive() bool { return time.Now().Before(c.expires) }

func (c *tlsConn) end() { _ = c.NetConn().Close() } // it may be closed already

func (c *tlsConn) explain(err error) error {
	if !c.alive() {
		return fmt.Errorf("the agent's certificate expired on %s: %w",
			c.expires.UTC().Format(time.DateOnly), ErrCertificate)
	}
	return err
}

func (d *tlsDialer) open(ctx context.Context) (carrier, net.Conn, *bufio.Reader, error) {
	own, err := d.conf()
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	host, _, err := net.SplitHostPort(d.addr)
	if err != nil {
		return nil, nil, nil, err
	}
	own = own.Clone()
	own.MinVersion, own.NextProtos, own.ServerName = tls.VersionTLS13, []string{"h2"}, host
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, "tcp", d.addr)
	if err != nil {
		return nil, nil, nil, err
	}
	c := tls.Client(raw, own)
	first := bufio.NewReader(c)
	if err = c.HandshakeContext(ctx); err == nil {
		// In TLS 1.3 a client's handshake ends before the server has checked its
		// certificate. A server that accepts it speaks first in HTTP/2.
		stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
		_, err = first.Peek(1)
		stop()
	}
	if err != nil {
		if isCertificate(err) {
			err = fmt.Errorf("%w: %w", ErrCertificate, err)
		}
		return nil, nil, nil, errors.Join(err, raw.Close())
	}
	shown := c.ConnectionState().PeerCertificates[0]
	return &tlsConn{Conn: c, name: shown.Subject.CommonName, expires: shown.NotAfter}, c, first, nil
}
