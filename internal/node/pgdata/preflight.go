package pgdata

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// OddReason says why a file prevents a rewind, copy or swap.
type OddReason string

// The reasons. Each is harmless to a running server.
const (
	OddSocket     OddReason = "socket"
	OddSpecial    OddReason = "pipe or device"
	OddUnreadable OddReason = "unreadable"
	OddReadOnly   OddReason = "read-only"
	OddSymlink    OddReason = "symlink"
	OddMount      OddReason = "mount point"
	OddOwner      OddReason = "foreign owner"
)

// OddFile is a file that PostgreSQL itself would not have put there so.
type OddFile struct {
	Path   string // relative to the data directory
	Reason OddReason
	Detail string
}

// String is one line for a person.
func (o OddFile) String() string {
	if o.Detail == "" {
		return fmt.Sprintf("%s: %s", o.Path, o.Reason)
	}
	return fmt.Sprintf("%s: %s (%s)", o.Path, o.Reason, o.Detail)
}

// OddFiles walks dir, pg_wal behind a symlink included, and lists what a
// rewind or copy would fail on: sockets, pipes, files that cannot be read
// or written, symlinks other than pg_wal and those in pg_tblspc, mount points
// inside, files of another owner than dir's. What is the node's own is kept away
// from all methods, so only what could not be kept of it is listed. Files that
// vanish meanwhile are passed over. An unreadable folder is listed, not an error.
func OddFiles(dir string) ([]OddFile, error) {
	top, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("look over data directory: %w", err)
	}
	mounts, err := mountPoints()
	if err != nil {
		return nil, err
	}
	o := oddWalk{owner: ownerOf(top), dev: deviceOf(top), mounts: mounts}
	if err := errors.Join(o.walk(dir, ""), o.ownUnkeepable(dir)); err != nil {
		return nil, err
	}
	if wal, ok := linkTarget(filepath.Join(dir, walDirName)); ok {
		st, err := os.Stat(wal)
		if err != nil {
			return nil, fmt.Errorf("look over %s: %w", walDirName, err)
		}
		o.dev = deviceOf(st)
		if err := o.walk(wal, walDirName); err != nil {
			return nil, err
		}
	}
	return o.found, nil
}

// oddWalk collects odd files of one tree on one file system.
type oddWalk struct {
	owner  uint32
	dev    uint64
	mounts map[string]bool
	found  []OddFile
}

func (o *oddWalk) add(path string, reason OddReason, detail string) {
	o.found = append(o.found, OddFile{Path: path, Reason: reason, Detail: detail})
}

// walk goes through root; paths are listed under prefix.
func (o *oddWalk) walk(root, prefix string) error {
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return fmt.Errorf("look over data directory: %w", err)
	}
	return filepath.WalkDir(real, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(real, path) // path is always below real
		rel = filepath.Join(prefix, rel)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			o.add(rel, OddUnreadable, "")
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if path == real {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil // vanished
		}
		if prefix == "" && (rel == RepoolDir || rel == LostFound) {
			return fs.SkipDir
		}
		if prefix == "" && filepath.Dir(rel) == "." && info.Mode()&fs.ModeSocket == 0 &&
			(!ServerName(rel, info) || slices.Contains(configFiles, rel)) {
			if info.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if info.IsDir() && (deviceOf(info) != o.dev || o.mounts[path]) {
			o.add(rel, OddMount, "")
			return fs.SkipDir
		}
		o.look(path, rel, info)
		return nil
	})
}

// look judges one file by its kind, mode and owner.
func (o *oddWalk) look(path, rel string, info fs.FileInfo) {
	if uid := ownerOf(info); uid != o.owner {
		o.add(rel, OddOwner, fmt.Sprintf("user id %d, the data directory has %d", uid, o.owner))
	}
	mode := info.Mode()
	switch {
	case mode&fs.ModeSymlink != 0:
		if !keptLink(rel) && filepath.Dir(rel) != tablespaceDir {
			target, _ := os.Readlink(path) // for the message only
			o.add(rel, OddSymlink, "to "+target)
		}
	case mode&fs.ModeSocket != 0:
		o.add(rel, OddSocket, "")
	case !mode.IsRegular() && !mode.IsDir():
		o.add(rel, OddSpecial, "")
	case mode.Perm()&0o400 == 0:
		o.add(rel, OddUnreadable, "mode "+mode.Perm().String())
	case mode.Perm()&0o200 == 0:
		o.add(rel, OddReadOnly, "mode "+mode.Perm().String())
	}
}

// IsMountPoint says whether dir, symlinks resolved, is where a file system is
// mounted, bind mounts included: such a folder cannot be renamed away.
func IsMountPoint(dir string) (bool, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return false, fmt.Errorf("find mount point: %w", err)
	}
	mounts, err := mountPoints()
	return mounts[real], err
}

// MountsBelow lists the mount points within dir, which is a real path, sorted.
func MountsBelow(dir string) ([]string, error) {
	mounts, err := mountPoints()
	if err != nil {
		return nil, err
	}
	var below []string
	for m := range mounts {
		if strings.HasPrefix(m, dir+"/") {
			below = append(below, m)
		}
	}
	slices.Sort(below)
	return below, nil
}

// mountPoints reads the mount points that this process sees. The procfs library
// would not do: it leaves the kernel's escapes in paths, and one line that it does
// not understand makes it fail.
func mountPoints() (map[string]bool, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mount points: %w", err)
	}
	points := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 4 {
			points[mountUnescaper.Replace(f[4])] = true
		}
	}
	return points, nil
}

// mountUnescaper turns the kernel's octal escapes back.
var mountUnescaper = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// linkTarget gives what a symlink finally points to; ok is false when path is
// no symlink.
func linkTarget(path string) (string, bool) {
	if _, err := os.Readlink(path); err != nil {
		return "", false
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return path, true
	}
	return real, true
}

func ownerOf(info fs.FileInfo) uint32 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Uid
	}
	return 0
}

func deviceOf(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Dev) //nolint:unconvert // an int32 on some systems
	}
	return 0
}
