package agentapi

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of a connection to another host. A call's own deadline may be shorter;
// these hold when nobody waits for the connection any more.
const (
	dialLimit = 10 * time.Second
	// pingAfter and pingWait find a peer that has gone silently: a host that lost
	// power, a network that drops everything.
	pingAfter = 3 * time.Second
	pingWait  = 3 * time.Second
)

// carrier is what a connection to an agent runs over: TLS, or an ssh process.
type carrier interface {
	// alive says whether it can still carry anything.
	alive() bool
	// end closes it and waits for its end. It is idempotent.
	end()
	// explain adds to an error what the carrier itself knows about it.
	explain(err error) error
}

// link carries all calls to one agent over one HTTP/2 connection, and opens
// another when that one has ended. It is an http.RoundTripper.
type link struct {
	// open opens a carrier and the byte stream over it; first holds what has been
	// read from the stream already. ctx ends the attempt, not the carrier.
	open func(ctx context.Context) (c carrier, conn net.Conn, first *bufio.Reader, err error)

	mu   sync.Mutex
	live *linked
	next *linking // the attempt under way, or nil
	// failed counts the failed attempts in a row; the last was at failedAt, with
	// lastErr. A host that refuses us is not asked all the time.
	failed   int
	failedAt time.Time
	lastErr  error
}

// linked is an open connection.
type linked struct {
	carrier
	http *http.ClientConn
}

func (c *linked) usable() bool { return c.http.Err() == nil && c.alive() }

func (c *linked) close() {
	_ = c.http.Close() // the carrier ends next
	c.end()
}

// linking is one attempt to connect; it continues when its caller has gone.
type linking struct {
	cancel context.CancelFunc
	done   chan struct{}
	conn   *linked
	err    error
}

func (l *link) RoundTrip(r *http.Request) (*http.Response, error) {
	c, err := l.get(r.Context())
	if err != nil {
		return nil, err
	}
	resp, err := c.http.RoundTrip(r)
	if err != nil && !c.usable() {
		l.drop(c)
		err = c.explain(err)
	}
	return resp, err
}

// CloseIdleConnections closes the connection, also one that is being opened; when
// it returns, nothing that was started for it is left.
func (l *link) CloseIdleConnections() {
	l.mu.Lock()
	d := l.next
	l.mu.Unlock()
	if d != nil {
		d.cancel()
		<-d.done
	}
	l.mu.Lock()
	c := l.live
	l.live = nil
	l.mu.Unlock()
	if c != nil {
		c.close()
	}
}

func (l *link) drop(c *linked) {
	l.mu.Lock()
	if l.live == c {
		l.live = nil
	}
	l.mu.Unlock()
	c.close()
}

// retryPause is how long no attempt is made after the n-th failure in a row.
func retryPause(n int) time.Duration { return min(time.Second/2<<min(n-1, 4), 5*time.Second) }

// get returns the live connection, or waits for a new one.
func (l *link) get(ctx context.Context) (*linked, error) {
	l.mu.Lock()
	if c := l.live; c != nil {
		if c.usable() {
			l.mu.Unlock()
			return c, nil
		}
		l.live = nil
		go c.close()
	}
	d := l.next
	if d == nil {
		if l.failed > 0 && time.Since(l.failedAt) < retryPause(l.failed) {
			defer l.mu.Unlock()
			return nil, l.lastErr
		}
		// The attempt continues when its caller has gone, for the next caller.
		try, cancel := context.WithTimeout(context.WithoutCancel(ctx), dialLimit)
		d = &linking{cancel: cancel, done: make(chan struct{})}
		l.next = d
		go l.dial(try, d)
	}
	l.mu.Unlock()
	select {
	case <-d.done:
		return d.conn, d.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// dial opens one connection; it gives up after dialLimit.
func (l *link) dial(ctx context.Context, d *linking) {
	defer d.cancel()
	d.conn, d.err = l.connect(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = nil
	if d.err != nil {
		l.failed, l.failedAt, l.lastErr = l.failed+1, time.Now(), d.err
	} else {
		l.failed, l.live = 0, d.conn
	}
	close(d.done)
}

func (l *link) connect(ctx context.Context) (*linked, error) {
	c, conn, first, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	// Over every carrier it is HTTP/2 from the first byte.
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	tr := &http.Transport{
		Protocols: &protocols,
		HTTP2:     &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingWait},
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return &begun{Conn: conn, first: first}, nil
		},
	}
	h, err := tr.NewClientConn(ctx, "http", "agent:80")
	if err != nil {
		c.end()
		return nil, c.explain(err)
	}
	return &linked{carrier: c, http: h}, nil
}

// begun is a connection from which something has been read already.
type begun struct {
	net.Conn
	first *bufio.Reader
}

func (b *begun) Read(p []byte) (int, error) { return b.first.Read(p) }
