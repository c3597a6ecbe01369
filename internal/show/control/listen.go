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

// Listen creates the socket at path, mode 0600, and replaces a dead one. It refuses
// if something is listening there, or if path is not a socket. The socket is created
// in a private directory and moved, so that nobody else can open it even briefly.
func Listen(path string) (net.Listener, error) {
	if len(path) > 100 {
		return nil, fmt.Errorf("socket path %s is too long for a unix socket (100 bytes): set controller.socket to a "+
			"shorter one", path)
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

// free says why path cannot be used.
func free(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at the old socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("listen on %s: it exists and is not a socket: move it away, or set another path", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return nil // nobody listens: a dead socket
	}
	return errors.Join(fmt.Errorf("listen on %s: another process is already listening there", path), conn.Close())
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

// socket removes its file when it is closed, unless another has replaced it.
type socket struct {
	*net.UnixListener
	path string
	info fs.FileInfo
}

func (s *socket) Close() error {
	if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.info) {
		_ = os.Remove(s.path) // a dead socket does no harm: the next Listen removes it
	}
	return s.UnixListener.Close()
}

// Addr is the path, not the name under which the socket was created.
func (s *socket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }
