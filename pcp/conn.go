package pcp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

const (
	// waitLimit bounds the commands that wait for work of Pgpool-II when their
	// context has no end: a base backup can take long, but not for ever.
	waitLimit = 24 * time.Hour
	// byeTimeout bounds the farewell, which nobody answers.
	byeTimeout = time.Second
)

// Conn is a logged-in connection for one short use; With opens and closes one.
// It is not for use by several goroutines at once. After ErrProtocol, a deadline,
// a cancelled context, a lost connection or a FATAL error it is closed and every
// further command fails.
type Conn struct {
	nc      net.Conn
	r       *bufio.Reader
	addr    string
	timeout time.Duration
	loc     *time.Location
	// dead is why the connection cannot be used any more; nil while it can.
	dead error
}

var errClosed = errors.New("connection is closed")

// Dial connects and logs in, all within Config.Timeout. Close the connection as
// soon as the command is done.
func Dial(ctx context.Context, cfg Config) (*Conn, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("pcp %s: %w", cfg.Addr(), err)
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.timeout())
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, cfg.network(), cfg.Addr())
	if err != nil {
		var op *net.OpError
		var sys *os.SyscallError
		switch { // without the address, which stands before it
		case errors.As(err, &sys):
			err = sys.Err
		case errors.As(err, &op):
			err = op.Err
		}
		return nil, fmt.Errorf("pcp %s: %w", cfg.Addr(), timeoutCause(ctx, err))
	}
	return handshake(ctx, nc, cfg)
}

// handshake logs in over nc, and closes nc if that does not succeed.
func handshake(ctx context.Context, nc net.Conn, cfg Config) (*Conn, error) {
	c := &Conn{
		nc:      nc,
		r:       bufio.NewReader(nc),
		addr:    cfg.Addr(),
		timeout: cfg.timeout(),
		loc:     cfg.location(),
	}
	if err := c.login(ctx, cfg); err != nil {
		c.fail(err)
		return nil, err
	}
	return c, nil
}

// With dials, hands the connection to use and always closes it. This is how to
// run a command; keep use short.
func With(ctx context.Context, cfg Config, use func(*Conn) error) error {
	c, err := Dial(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return use(c)
}

// Close says goodbye and closes the connection. It may be called again.
func (c *Conn) Close() error {
	if c.dead != nil {
		return nil
	}
	c.dead = errClosed
	bye, err := encode('X', nil)
	if err == nil {
		_ = c.nc.SetDeadline(time.Now().Add(byeTimeout))
		// Nothing depends on the farewell: closing ends the server's worker too.
		_, _ = c.nc.Write(bye)
	}
	return c.nc.Close()
}

// fail ends the connection for good: its place in the stream is unknown.
func (c *Conn) fail(err error) {
	if c.dead == nil {
		c.dead = err
		_ = c.nc.Close()
	}
}

// command is a kind of request: its name for people, its tag and its reply's.
type command struct {
	name       string
	tag, reply byte
	// waits marks those that Pgpool-II answers when the work is done.
	waits bool
}

// do sends one request and gives the payload of each message of the reply to
// take, until take says that it was the last.
func (c *Conn) do(ctx context.Context, cmd command, payload []byte, take func([]byte) (bool, error)) error {
	err := c.exchange(ctx, cmd, payload, take)
	if err != nil {
		return fmt.Errorf("pcp %s: %s: %w", c.addr, cmd.name, err)
	}
	return nil
}

func (c *Conn) exchange(ctx context.Context, cmd command, payload []byte, take func([]byte) (bool, error)) error {
	if c.dead != nil {
		return fmt.Errorf("connection is no longer usable: %w", c.dead)
	}
	request, err := encode(cmd.tag, payload)
	if err != nil {
		return err
	}
	limit := c.timeout
	if cmd.waits {
		limit = waitLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer c.watch(ctx)()

	err = c.drain()
	if err == nil {
		_, err = c.nc.Write(request)
	}
	if err == nil {
		err = c.replies(cmd, take)
	}
	var server *ServerError
	if err == nil || errors.As(err, &server) && !server.Fatal() {
		return err
	}
	err = timeoutCause(ctx, err)
	c.fail(err)
	return err
}

// watch makes the end of ctx the end of all reading and writing. The function
// it returns stops that, and waits until it really has.
func (c *Conn) watch(ctx context.Context) (stop func()) {
	deadline, _ := ctx.Deadline()
	_ = c.nc.SetDeadline(deadline)
	done := make(chan struct{})
	cancelled := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = c.nc.SetDeadline(time.Unix(1, 0))
	})
	return func() {
		if !cancelled() {
			<-done
		}
	}
}

// drain takes what came after the last reply: only notices may, or an error by
// which Pgpool-II ends the connection.
func (c *Conn) drain() error {
	for c.r.Buffered() > 0 {
		m, err := readMessage(c.r)
		if err != nil {
			return err
		}
		if err := unsolicited(m); err != nil {
			return err
		}
		if m.tag != tagNotice {
			return fmt.Errorf("%w: message %q after the end of a reply", ErrProtocol, m.tag)
		}
	}
	return nil
}

func (c *Conn) replies(cmd command, take func([]byte) (bool, error)) error {
	left := maxReply
	for {
		m, err := readMessage(c.r)
		if err != nil {
			return err
		}
		if left -= len(m.payload); left < 0 {
			return fmt.Errorf("%w: reply of more than %d bytes", ErrProtocol, maxReply)
		}
		if err := unsolicited(m); err != nil {
			return err
		}
		if m.tag == tagNotice {
			continue
		}
		if m.tag != cmd.reply {
			return fmt.Errorf("%w: got message %q, expected %q", ErrProtocol, m.tag, cmd.reply)
		}
		if done, err := take(m.payload); done || err != nil {
			return err
		}
	}
}

// unsolicited returns the error that an error message carries, else nil.
func unsolicited(m message) error {
	if m.tag != tagError {
		return nil
	}
	server, err := parseServerError(m.payload)
	if err != nil {
		return err
	}
	return server
}

// timeoutCause tells a deadline, a cancelled context and a closed peer apart from
// the many shapes in which the network reports them.
func timeoutCause(ctx context.Context, err error) error {
	var server *ServerError
	switch {
	case errors.Is(err, ErrProtocol), errors.As(err, &server):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("no complete answer: %w", ctx.Err())
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("no complete answer: %w", context.DeadlineExceeded)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("pgpool closed the connection: %w", io.ErrUnexpectedEOF)
	}
	return err
}
