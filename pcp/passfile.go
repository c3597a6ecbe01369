package pcp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// DefaultPassFile is the file that Pgpool-II's own programs read: the one named by
// PCPPASSFILE, else .pcppass in the home directory. Empty if neither is known.
func DefaultPassFile() string {
	if file := os.Getenv("PCPPASSFILE"); file != "" {
		return file
	}
	home := os.Getenv("HOME")
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".pcppass")
}

// LookupPassword returns the password of the first line of a .pcppass file that
// matches. Lines are host:port:user:password; "*" matches anything, and a
// backslash takes the meaning from a colon or a backslash.
//
// For a unix socket host is its directory. Lines name it "localhost" if it is
// the directory that the clients have compiled in (isUnixDefaultDir), or if host
// is empty.
//
// ErrNoPassword is returned when no line matches, when there is no file, and
// when others than its owner may read it: such a file is not used.
func LookupPassword(file, host, port, user string, isUnixDefaultDir bool) (string, error) {
	if host == "" || isUnixDefaultDir {
		host = "localhost"
	}
	f, err := openPassFile(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	password, ok, err := scanPassFile(f, host, port, user)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", file, err)
	}
	if !ok {
		return "", fmt.Errorf("%w: no line of %s is for %s:%s:%s", ErrNoPassword, file, host, port, user)
	}
	return password, nil
}

func openPassFile(file string) (*os.File, error) {
	if file == "" {
		return nil, fmt.Errorf("%w: no .pcppass file, since PCPPASSFILE and HOME are not set", ErrNoPassword)
	}
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %w", ErrNoPassword, err)
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: %s is not a regular file", ErrNoPassword, file)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%w: %s is open to others (mode %04o): chmod 600 it", ErrNoPassword, file, info.Mode().Perm())
	}
	return os.Open(file)
}

func scanPassFile(r io.Reader, host, port, user string) (password string, ok bool, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		rest, ok := lines.Text(), true
		if strings.HasPrefix(rest, "#") {
			continue
		}
		for _, want := range []string{host, port, user} {
			var got string
			var wild, ended bool
			got, rest, wild, ended = passField(rest)
			ok = ok && ended && (wild || got == want)
		}
		if ok {
			password, _, _, _ := passField(rest)
			return password, true, nil
		}
	}
	return "", false, lines.Err()
}

// passField reads up to a colon without a backslash before it. Ended says that
// there was one, wild that the field was a bare asterisk.
func passField(s string) (value, rest string, wild, ended bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == ':':
			return b.String(), s[i+1:], s[:i] == "*", true
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), "", s == "*", false
}
