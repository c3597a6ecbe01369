package hook

import (
	"fmt"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Prepare makes a process that Pgpool-II, or a PostgreSQL server, has started
// safe to work in. It must come before any file is opened, and does this:
//
//   - closes every descriptor above 2 that was inherited: Pgpool-II's listening
//     sockets are among them, and a child that kept one would stop Pgpool-II
//     from starting again. Go's own descriptors carry FD_CLOEXEC and stay.
//   - catches SIGPIPE, which Pgpool-II ignores: our own writes to a log that is
//     gone fail with an error, and our children have the default again.
//   - unsets all PG variables but PGPASSFILE, since those that a server passes
//     on lead its children to the wrong data directory; sets LC_ALL=C, and PATH
//     and HOME where an init system has left them out.
//   - makes new files private.
func Prepare() error {
	closed, err := closeInherited()
	if err != nil {
		return fmt.Errorf("close inherited descriptors (%d closed): %w", closed, err)
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	syscall.Umask(0o077)
	return prepareEnvironment()
}

// closeInherited closes what is open above 2 and would pass on to children.
func closeInherited() (closed int, err error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, err
	}
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil || fd <= 2 {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue // gone already (the listing's own), or ours
		}
		if err := unix.Close(fd); err != nil {
			return closed, fmt.Errorf("descriptor %d: %w", fd, err)
		}
		closed++
	}
	return closed, nil
}

func prepareEnvironment() error {
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "PG") && name != "PGPASSFILE" {
			if err := os.Unsetenv(name); err != nil {
				return fmt.Errorf("unset %s: %w", name, err)
			}
		}
	}
	set := map[string]string{"LC_ALL": "C"}
	if os.Getenv("PATH") == "" {
		set["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	if home := os.Getenv("HOME"); !filepath.IsAbs(home) {
		set["HOME"] = "/"
		if u, err := user.Current(); err == nil && filepath.IsAbs(u.HomeDir) {
			set["HOME"] = u.HomeDir
		}
	}
	for name, value := range set {
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}
