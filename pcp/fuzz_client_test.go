package pcp

import (
	"bufio"
	"context"
	"errors"
	"net"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// FuzzClient is a server that says anything at all to a client that is logged in,
// and then goes away: every command ends, with an answer or with an error that
// names the server.
func FuzzClient(f *testing.F) {
	commands := []func(context.Context, *Conn) error{
		func(ctx context.Context, c *Conn) error { _, err := c.NodeCount(ctx); return err },
		func(ctx context.Context, c *Conn) error { _, err := c.Nodes(ctx); return err },
		func(ctx context.Context, c *Conn) error { _, err := c.HealthStats(ctx, 0); return err },
		func(ctx context.Context, c *Conn) error { _, err := c.Processes(ctx); return err },
		func(ctx context.Context, c *Conn) error { _, err := c.Watchdog(ctx); return err },
		func(ctx context.Context, c *Conn) error { _, err := c.PoolStatus(ctx); return err },
		func(ctx context.Context, c *Conn) error { return c.AttachNode(ctx, 0) },
		func(ctx context.Context, c *Conn) error { return c.RecoverNode(ctx, 0) },
	}
	for i := range commands {
		for _, m := range captured(f) {
			f.Add(uint8(i), frame(m.tag, string(m.payload)))
		}
		f.Add(uint8(i), oversized('i', maxMessage))
	}
	f.Add(uint8(1), append(texts('i', arraySize, "1048576"), node43...))
	f.Fuzz(func(t *testing.T, which uint8, said []byte) {
		nc := &canned{said: strings.NewReader(string(said))}
		c := &Conn{nc: nc, r: bufio.NewReader(nc), addr: "fuzz", timeout: 10 * time.Second, loc: time.UTC}
		err := commands[int(which)%len(commands)](t.Context(), c)
		var server *ServerError
		if err != nil && !strings.HasPrefix(err.Error(), "pcp fuzz: ") {
			t.Errorf("an error without a place: %v", err)
		}
		// After anything but an orderly refusal the connection's place is unknown.
		if refused := errors.As(err, &server) && !server.Fatal(); err != nil && !refused && c.dead == nil {
			t.Errorf("the connection is used on after %v", err)
		}
		if c.dead != nil && !nc.closed {
			t.Error("a dead connection is left open")
		}
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

// TestFalseAnnouncementsCostNothing: memory is taken as bytes arrive, not as they
// are announced.
func TestFalseAnnouncementsCostNothing(t *testing.T) {
	for name, said := range map[string][]byte{
		"length": append(texts('i', arraySize, "1"), oversized('i', maxMessage)...),
		"count":  texts('i', arraySize, "1048576"),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c := &Conn{nc: &canned{said: strings.NewReader(string(said))}, addr: "fuzz", timeout: 10 * time.Second, loc: time.UTC}
		c.r = bufio.NewReader(c.nc)
		if _, err := c.Nodes(t.Context()); err == nil {
			t.Errorf("%s: an answer", name)
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
			t.Errorf("%s: %d bytes for %d", name, took, len(said))
		}
	}
}

// canned is a connection on which the answers lie ready.
type canned struct {
	said   *strings.Reader
	closed bool
}

func (c *canned) Read(b []byte) (int, error) {
	if c.closed {
		return 0, net.ErrClosed
	}
	return c.said.Read(b)
}
func (c *canned) Write(b []byte) (int, error) { return len(b), nil }
func (c *canned) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	return nil
}
func (c *canned) LocalAddr() net.Addr              { return &net.UnixAddr{Name: "fuzz"} }
func (c *canned) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "fuzz"} }
func (c *canned) SetDeadline(time.Time) error      { return nil }
func (c *canned) SetReadDeadline(time.Time) error  { return nil }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }

func FuzzHealthStats(f *testing.F) {
	addPayloads(f, 'h')
	f.Fuzz(func(t *testing.T, payload []byte) {
		text, err := completed(payload)
		if err != nil {
			if !errors.Is(err, ErrProtocol) {
				t.Errorf("unexpected error %v", err)
			}
			return
		}
		h, err := parseHealthStats(text, time.UTC)
		if err != nil {
			if !errors.Is(err, ErrProtocol) {
				t.Errorf("unexpected error %v", err)
			}
			return
		}
		if h.Host != text[1] || h.Attached() && h.Status != "up" && h.Status != "waiting" || h.AverageDuration < 0 ||
			h.MaxDuration < 0 || h.MinDuration < 0 {
			t.Errorf("got %+v from %q", h, text)
		}
	})
}

func FuzzProcessInfo(f *testing.F) {
	addPayloads(f, 'p')
	f.Fuzz(func(t *testing.T, payload []byte) {
		text, err := fields(payload)
		if err != nil || len(text) == 0 {
			return
		}
		p, err := parseProcessInfo(text[1:], time.UTC)
		if err != nil {
			if !errors.Is(err, ErrProtocol) {
				t.Errorf("unexpected error %v", err)
			}
			return
		}
		if again, err := parseProcessInfo(text[1:], time.UTC); err != nil || !reflect.DeepEqual(p, again) {
			t.Errorf("once %+v, then %+v", p, again)
		}
	})
}

func FuzzWatchdog(f *testing.F) {
	f.Add([]byte("CommandComplete\x00{\"RemoteNodeCount\":1,\"QuorumStatus\":1,\"AliveNodeCount\":1," +
		"\"LeaderNodeName\":\"a\",\"NodeCount\":2," +
		"\"WatchdogNodes\":[{\"ID\":0,\"State\":4,\"NodeName\":\"a\"},{\"ID\":1,\"State\":7}]}\x00"))
	f.Add([]byte("CommandComplete\x00{\"WatchdogNodes\":[{\"State\":\"x\"}]}\x00"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		text, err := completed(payload)
		if err != nil {
			return
		}
		w, err := parseWatchdog(strings.Join(text, ""))
		if err != nil {
			if !errors.Is(err, ErrProtocol) {
				t.Errorf("unexpected error %v", err)
			}
			return
		}
		// Whoever asks whether to act must find somebody to ask about.
		if len(w.Nodes) == 0 {
			t.Errorf("no members: %+v", w)
		}
		_ = w.LeaderHere()
	})
}

// addPayloads adds the captured replies with that tag.
func addPayloads(f *testing.F, tag byte) {
	f.Helper()
	n := 0
	for _, m := range captured(f) {
		if m.tag == tag {
			f.Add(m.payload)
			n++
		}
	}
	if n == 0 {
		f.Fatalf("no capture has a reply %q", tag)
	}
}
