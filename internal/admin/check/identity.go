package check

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/repool/repool/internal/pgpool/pgpoolconf"
)

// noUID is that of a user who does not exist here: it may do what all others may.
const noUID = 1<<32 - 1

// identityOf looks up a user. One without a name is called by its number.
func identityOf(uid uint32) Identity {
	id := Identity{Name: fmt.Sprintf("user %d", uid), UID: uid}
	if u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10)); err == nil {
		id.fill(u)
	}
	return id
}

func (id *Identity) fill(u *user.User) {
	id.Name = u.Username
	groups, err := u.GroupIds()
	if err != nil {
		groups = []string{u.Gid}
	}
	for _, g := range groups {
		if n, err := strconv.ParseUint(g, 10, 32); err == nil {
			id.GIDs = append(id.GIDs, uint32(n))
		}
	}
}

// pgpoolIdentity is the user of the running Pgpool-II by its pid file, or else
// Debian's user.
func pgpoolIdentity(file *pgpoolconf.File) Identity {
	pidFile := "/var/run/postgresql/pgpool.pid"
	if set, ok := file.Lookup("pid_file_name"); ok && set.Value != "" {
		pidFile = set.Value
	}
	if text, err := os.ReadFile(pidFile); err == nil {
		// Pgpool-II writes the number with its terminating NUL (4.3.5).
		if pid, err := strconv.Atoi(strings.Trim(string(text), "\x00 \n")); err == nil && pid > 0 {
			if st, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
				return identityOf(st.Sys().(*syscall.Stat_t).Uid)
			}
		}
	}
	id := Identity{Name: "postgres", UID: noUID}
	if u, err := user.Lookup("postgres"); err == nil {
		uid, _ := strconv.ParseUint(u.Uid, 10, 32) // the system's own number
		id.UID = uint32(uid)
		id.fill(u)
	}
	return id
}

// may says whether the mode allows want (4 read, 2 write, 1 search or run). It
// ignores ACLs.
func (id Identity) may(info os.FileInfo, want os.FileMode) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	perm := info.Mode().Perm()
	switch {
	case !ok:
		return true
	case id.UID == 0:
		return want&1 == 0 || info.IsDir() || perm&0o111 != 0
	case st.Uid == id.UID:
		perm >>= 6
	case slices.Contains(id.GIDs, st.Gid):
		perm >>= 3
	}
	return perm&want == want
}

// mayRun says why the user cannot run the program at path; empty: it can.
func (id Identity) mayRun(path string) string {
	if !filepath.IsAbs(path) {
		return "its path is not absolute, and hooks run with a minimal PATH"
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err.Error()
	}
	for dir := filepath.Dir(real); ; dir = filepath.Dir(dir) {
		st, err := os.Stat(dir)
		if err != nil {
			return err.Error()
		}
		if !id.may(st, 1) {
			return fmt.Sprintf("%s may not enter %s", id.Name, dir)
		}
		if dir == "/" {
			break
		}
	}
	st, err := os.Stat(real)
	switch {
	case err != nil:
		return err.Error()
	case !st.Mode().IsRegular():
		return "it is not a regular file"
	case !id.may(st, 1):
		return fmt.Sprintf("%s may not run it (mode %04o)", id.Name, st.Mode().Perm())
	}
	return ""
}

// OwnerOf is the user that a file or directory belongs to.
func OwnerOf(path string) (Identity, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Identity{}, err
	}
	return identityOf(info.Sys().(*syscall.Stat_t).Uid), nil
}

// PgpoolOwner is the user that runs the Pgpool-II of that pgpool.conf, and so
// its hooks.
func PgpoolOwner(conf string) Identity {
	file, err := pgpoolconf.Load(conf)
	if err != nil {
		return Identity{Name: "postgres", UID: noUID}
	}
	return pgpoolIdentity(file)
}
