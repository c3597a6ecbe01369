package pcp

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
)

func oversized(tag byte, length int32) []byte {
	return append([]byte{tag}, binary.BigEndian.AppendUint32(nil, uint32(length))...)
}

// TestNonsense is what a peer must not send: ErrProtocol, which names what came,
// and a connection that is not used again.
func TestNonsense(t *testing.T) {
	t.Parallel()
	one, header := texts('i', "ArraySize", "1"), "ArraySize"
	for name, tc := range map[string]struct {
		reply [][]byte
		says  string
	}{
		"another command's reply": {[][]byte{done('c')}, `got message 'c', expected 'i'`},
		"no known tag":            {[][]byte{frame('?', "x")}, `got byte '?'`},
		"out of step by a wrong length": {[][]byte{one, frame('i', "NodeInfo\x00abc")[:12], done('i')},
			"text without an end"},
		"negative length":              {[][]byte{oversized('i', -5)}, "length -5"},
		"length below its own size":    {[][]byte{oversized('i', 3)}, "length 3"},
		"over-long length":             {[][]byte{oversized('i', maxMessage+1)}, "length 16777217"},
		"text without an end":          {[][]byte{frame('i', header)}, "text without an end"},
		"empty message":                {[][]byte{frame('i', "")}, "unexpected part"},
		"record before the count":      {[][]byte{node43}, "unexpected part"},
		"count twice":                  {[][]byte{one, one}, "unexpected part"},
		"count is no number":           {[][]byte{texts('i', header, "many")}, `"many"`},
		"count is negative":            {[][]byte{texts('i', header, "-1")}, `"-1"`},
		"count is absurd":              {[][]byte{texts('i', header, "99999999")}, "99999999 NodeInfo records"},
		"more records than announced":  {[][]byte{one, node43, node43, done('i')}, "more NodeInfo records than the 1"},
		"fewer records than announced": {[][]byte{one, done('i')}, "0 NodeInfo records of 1"},
		"eleven fields": {[][]byte{one, texts('i', append([]string{"NodeInfo"}, make([]string, 11)...)...)},
			"11 fields"},
		"fourteen fields": {[][]byte{one, texts('i', append([]string{"NodeInfo"}, make([]string, 14)...)...)},
			"14 fields"},
		"record of a release before 4.3": {[][]byte{texts('i', "CommandComplete", "db1", "5432")}, "before 4.3"},
		"empty error":                    {[][]byte{frame('E', "\x00")}, "without severity"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dialScript(t, expect('I', "0\x00"), send(tc.reply...))
			_, err := c.NodeInfo(t.Context(), 0)
			if !errors.Is(err, ErrProtocol) || !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("got %v, expected ErrProtocol with %s", err, tc.says)
			}
			if _, again := c.NodeInfo(t.Context(), 0); !errors.Is(again, ErrProtocol) {
				t.Errorf("used again: %v", again)
			}
			if err := c.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

func TestNonsenseElsewhere(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		tag     byte
		request string
		reply   []byte
		call    func(context.Context, *Conn) error
	}{
		"node count of two fields": {'L', "", texts('l', "CommandComplete", "1", "2"),
			func(ctx context.Context, c *Conn) error { _, err := c.NodeCount(ctx); return err }},
		"node count without the word": {'L', "", texts('l', "1"),
			func(ctx context.Context, c *Conn) error { _, err := c.NodeCount(ctx); return err }},
		"fewer pids than counted": {'N', "", texts('n', "CommandComplete", "2", "10"),
			func(ctx context.Context, c *Conn) error { _, err := c.ProcessIDs(ctx); return err }},
		"no process count": {'N', "", done('n'),
			func(ctx context.Context, c *Conn) error { _, err := c.ProcessIDs(ctx); return err }},
		"nineteen health fields": {'H', "0\x00", texts('h', append([]string{"CommandComplete"}, make([]string, 19)...)...),
			func(ctx context.Context, c *Conn) error { _, err := c.HealthStats(ctx, 0); return err }},
		"pool status of a negative size": {'B', "", frame('b', "ArraySize\x00\xff\xff\xff\xff"),
			func(ctx context.Context, c *Conn) error { _, err := c.PoolStatus(ctx); return err }},
		"setting of two fields": {'B', "", append(frame('b', "ArraySize\x00\x00\x00\x00\x01"),
			texts('b', "ProcessConfig", "a", "b")...),
			func(ctx context.Context, c *Conn) error { _, err := c.PoolStatus(ctx); return err }},
		"watchdog info without JSON": {'W', "-1\x00", done('w'),
			func(ctx context.Context, c *Conn) error { _, err := c.Watchdog(ctx); return err }},
		"watchdog info without members": {'W', "-1\x00", texts('w', "CommandComplete", "{}"),
			func(ctx context.Context, c *Conn) error { _, err := c.Watchdog(ctx); return err }},
		"an order answered with more": {'C', "0\x00", texts('c', "Queued"),
			func(ctx context.Context, c *Conn) error { return c.AttachNode(ctx, 0) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dialScript(t, expect(tc.tag, tc.request), send(tc.reply))
			if err := tc.call(t.Context(), c); !errors.Is(err, ErrProtocol) {
				t.Errorf("got %v, expected ErrProtocol", err)
			}
		})
	}
}

// TestLeftOver is what comes behind a complete reply, seen at the next command.
func TestLeftOver(t *testing.T) {
	t.Parallel()
	count := texts('l', "CommandComplete", "3")
	for name, tc := range map[string]struct {
		extra []byte
		want  error
	}{
		"a second reply":        {count, ErrProtocol},
		"half a notice":         {frame('N', "SLOG\x00Mhi\x00\x00")[:9], io.ErrUnexpectedEOF},
		"garbage":               {[]byte("??"), ErrProtocol},
		"an error at the close": {failure("FATAL", "authentication failed", "late"), ErrAuth},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dialScript(t, expect('L', ""), send(count, tc.extra), hangUp)
			if n, err := c.NodeCount(t.Context()); n != 3 || err != nil {
				t.Fatalf("first: %d, %v", n, err)
			}
			if _, err := c.NodeCount(t.Context()); !errors.Is(err, tc.want) {
				t.Errorf("second: got %v, expected %v", err, tc.want)
			}
		})
	}
}

func TestServerErrors(t *testing.T) {
	t.Parallel()
	t.Run("ERROR leaves the connection usable", func(t *testing.T) {
		t.Parallel()
		c := dialScript(t,
			expect('I', "9\x00"), send(failure("ERROR", "informing node info failed", "invalid node ID : 9")),
			expect('L', ""), send(texts('l', "CommandComplete", "1")))
		_, err := c.NodeInfo(t.Context(), 9)
		var server *ServerError
		if !errors.As(err, &server) || server.Fatal() || server.Code != "XX000" || server.Detail != "invalid node ID : 9" {
			t.Errorf("got %v", err)
		}
		if n, err := c.NodeCount(t.Context()); n != 1 || err != nil {
			t.Errorf("afterwards: %d, %v", n, err)
		}
	})
	t.Run("an error in the middle of a reply", func(t *testing.T) {
		t.Parallel()
		c := dialScript(t, expect('I', "-1\x00"), send(texts('i', "ArraySize", "2"), node43, failure("ERROR", "oops", "")),
			expect('L', ""), send(texts('l', "CommandComplete", "1")))
		if nodes, err := c.Nodes(t.Context()); nodes != nil || err == nil {
			t.Errorf("got %v, %v", nodes, err)
		}
		if _, err := c.NodeCount(t.Context()); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
	t.Run("FATAL ends it", func(t *testing.T) {
		t.Parallel()
		c := dialScript(t, expect('G', ""), send(failure("FATAL", "PCP processing request", `unknown PCP packet type "G"`)),
			hangUp)
		for range 2 {
			err := c.InvalidateQueryCache(t.Context())
			var server *ServerError
			if !errors.As(err, &server) || !server.Fatal() {
				t.Errorf("got %v", err)
			}
		}
	})
	for name, tc := range map[string]struct {
		message, detail string
		want            error
	}{
		"busy":         {"failed to process PCP request at the moment", "failover is in progress", ErrBusy},
		"watchdog off": {"PCP: informing watchdog info failed", "watchdog is not enabled", ErrWatchdogOff},
		"bad login":    {`authentication failed for user "x"`, "username and/or password does not match", ErrAuth},
		"no pcp.conf":  {"failed to authenticate PCP user", "could not open /etc/pcp.conf", ErrAuth},
		"none of them": {"PCP: informing watchdog info failed", "invalid watchdog index", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dialScript(t, expect('O', "1\x00"), send(failure("ERROR", tc.message, tc.detail)))
			err := c.RecoverNode(t.Context(), 1)
			for _, sentinel := range []error{ErrBusy, ErrWatchdogOff, ErrAuth, ErrProtocol} {
				if errors.Is(err, sentinel) != (sentinel == tc.want) {
					t.Errorf("%v: is it %v? expected %v", err, sentinel, tc.want)
				}
			}
		})
	}
}

func TestLoginFails(t *testing.T) {
	t.Parallel()
	refused := append(loggedIn()[:3], send(failure("FATAL", `authentication failed for user "postgres"`, "no match")),
		hangUp)
	for name, tc := range map[string]struct {
		steps []step
		want  error
	}{
		"refused":                 {refused, ErrAuth},
		"salt too long":           {[]step{expect('M', ""), send(frame('m', "12345"))}, ErrProtocol},
		"salt too short":          {[]step{expect('M', ""), send(frame('m', ""))}, ErrProtocol},
		"unknown word":            {append(loggedIn()[:3], send(texts('r', "AuthenticationContinue"))), ErrProtocol},
		"closed at once":          {[]step{hangUp}, nil},
		"closed before the salt":  {[]step{expect('M', ""), hangUp}, io.ErrUnexpectedEOF},
		"closed within the salt":  {[]step{expect('M', ""), send([]byte("m\x00\x00")), hangUp}, io.ErrUnexpectedEOF},
		"speaks another protocol": {[]step{expect('M', ""), send([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))}, ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := handshake(t.Context(), script(t, tc.steps...), captureConfig())
			if c != nil || err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("got %v, %v, expected %v", c, err, tc.want)
			}
		})
	}
}
