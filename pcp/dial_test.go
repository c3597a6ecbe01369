package pcp

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestSilentPeer takes no time: the bubble's clock runs ahead when all wait.
func TestSilentPeer(t *testing.T) {
	t.Parallel()
	silent := func(nc net.Conn) error { _, _ = io.Copy(io.Discard, nc); return nil }
	half := []step{expect('I', "0\x00"), send(texts('i', "ArraySize", "1"), node43[:20]), silent}
	for name, tc := range map[string]struct {
		steps []step
		limit time.Duration
		call  func(context.Context, *Conn) error
		takes time.Duration
		want  error
	}{
		"own timeout": {half, 0, func(ctx context.Context, c *Conn) error { _, err := c.NodeInfo(ctx, 0); return err },
			3 * time.Second, context.DeadlineExceeded},
		"the context's deadline": {half, time.Second, func(ctx context.Context, c *Conn) error {
			_,
				err := c.NodeInfo(ctx, 0)
			return err
		},
			time.Second, context.DeadlineExceeded},
		"a recovery waits for the context": {[]step{expect('O', "1\x00"), silent}, time.Hour,
			func(ctx context.Context, c *Conn) error { return c.RecoverNode(ctx, 1) }, time.Hour, context.DeadlineExceeded},
		"a recovery does not wait for ever": {[]step{expect('O', "1\x00"), silent}, 0,
			func(ctx context.Context, c *Conn) error { return c.RecoverNode(ctx, 1) }, waitLimit, context.DeadlineExceeded},
		"cancelled": {half, 0, func(ctx context.Context, c *Conn) error {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			_, err := c.NodeInfo(ctx, 0)
			return err
		}, time.Second, context.Canceled},
		"a peer that does not read": {nil, 0, nil, 3 * time.Second, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := captureConfig()
				cfg.Timeout = 3 * time.Second
				ctx := t.Context()
				if tc.limit > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.limit)
					defer cancel()
				}
				began := time.Now()
				err := silence(ctx, t, cfg, tc.steps, tc.call)
				if took := time.Since(began); !errors.Is(err, tc.want) || took != tc.takes {
					t.Errorf("got %v after %v, expected %v after %v", err, took, tc.want, tc.takes)
				}
			})
		})
	}
}

// silence runs call against the steps; without call, the login against a peer
// that never reads.
func silence(ctx context.Context, t *testing.T, cfg Config, steps []step,
	call func(context.Context, *Conn) error) error {
	if call == nil {
		client, server := net.Pipe()
		defer func() { _ = server.Close() }()
		_, err := handshake(ctx, client, cfg)
		return err
	}
	c, err := handshake(ctx, script(t, append(loggedIn(), steps...)...), cfg)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return call(ctx, c)
}

func TestDial(t *testing.T) {
	t.Parallel()
	count := []step{expect('L', ""), send(texts('l', "CommandComplete", "2"))}
	farewell := expect('X', "")
	t.Run("with, over TCP", func(t *testing.T) {
		t.Parallel()
		cfg := listen(t, append(append(loggedIn(), count...), farewell)...)
		var n int
		err := With(t.Context(), cfg, func(c *Conn) (err error) { n, err = c.NodeCount(t.Context()); return err })
		if n != 2 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
	})
	t.Run("with returns what its function returned, and closes", func(t *testing.T) {
		t.Parallel()
		want := errors.New("changed my mind")
		var kept *Conn
		err := With(t.Context(), listen(t, append(loggedIn(), farewell)...), func(c *Conn) error { kept = c; return want })
		if !errors.Is(err, want) {
			t.Errorf("got %v", err)
		}
		if _, err := kept.NodeCount(t.Context()); !errors.Is(err, errClosed) {
			t.Errorf("used after the end: %v", err)
		}
	})
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		cfg := captureConfig()
		cfg.Host = t.TempDir()
		_, err := Dial(t.Context(), cfg)
		if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), filepath.Join(cfg.Host, ".s.PGSQL.9898")) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		cfg := captureConfig()
		cfg.Host, cfg.Port = "127.0.0.1", l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		if err := With(t.Context(), cfg, nil); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("accepted and then silent", func(t *testing.T) {
		t.Parallel()
		cfg := listen(t, expect('M', ""), func(nc net.Conn) error { _, _ = nc.Read(make([]byte, 1)); return nil })
		cfg.Timeout = 30 * time.Millisecond
		if _, err := Dial(t.Context(), cfg); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}
