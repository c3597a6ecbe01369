package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Listen makes the socket at path, mode 0600, taking the place of a dead one.
// It refuses where something listens already, or where path is no socket. The
// socket is made in a private directory and moved, so that nobody else can open
// it even for a moment.
func Listen(path string) (net.Listener, error) {
	if len(path) > 100 {
		return nil, fmt.Errorf("socket path %s is longer than the 100 bytes a unix socket takes: set controller.socket to a shorter one", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make socket directory: %w", err)
	}
	if err := free(path); err != nil {
		return nil, err
	}
	private, err := os.MkdirTemp(filepath.Dir(path), ".socket-")
	if err != nil {
		return nil, fmt.Errorf("make socket %s: %w", path, err)
	}
	l, err := listenIn(private, path)
	if rerr := os.RemoveAll(private); rerr != nil {
		err = errors.Join(err, fmt.Errorf("make socket %s: %w", path, rerr))
		if l != nil {
			err, l = errors.Join(err, l.Close()), nil
		}
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// free says why path cannot be taken, if so.
func free(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at the old socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("listen on %s: something that is no socket is there already, and is left alone: move it away, or set another path", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return nil // nobody listens: it is a dead one
	}
	return errors.Join(fmt.Errorf("listen on %s: another process listens there already", path), conn.Close())
}

// listenIn listens in the private directory and moves the socket to path. The
// directory is named through its descriptor, to stay below the length limit.
func listenIn(private, path string) (_ *socket, err error) {
	dir, err := os.Open(private)
	if err != nil {
		return nil, fmt.Errorf("make socket %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fmt.Sprintf("/proc/self/fd/%d/s", dir.Fd()), Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false)
	made := filepath.Join(private, "s")
	if err := os.Chmod(made, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect socket %s: %w", path, err), l.Close())
	}
	if err := os.Rename(made, path); err != nil {
		return nil, errors.Join(fmt.Errorf("move socket into place: %w", err), l.Close())
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("look at the new socket: %w", err), l.Close())
	}
	return &socket{UnixListener: l, path: path, info: info}, nil
}

// socket removes its file when it is closed, unless another has taken its place.
type socket struct {
	*net.UnixListener
	path string
	info fs.FileInfo
}

func (s *socket) Close() error {
	if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.info) {
		_ = os.Remove(s.path) // a dead socket is no harm: the next Listen removes it
	}
	return s.UnixListener.Close()
}

// Addr is the path, not the name it was made under.
func (s *socket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }
