package lab

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// owner is the system user as which everything in the lab runs. PostgreSQL
// refuses to run as root, so root's labs belong to the user postgres.
type owner struct {
	Name     string `json:"name"`
	UID, GID uint32
	// Switch: the lab is made by root and every program must change user.
	Switch bool `json:"switch"`
}

// findOwner is oneself, or postgres for root.
func findOwner() (owner, error) {
	if os.Geteuid() != 0 {
		name := strconv.Itoa(os.Geteuid())
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
		return owner{Name: name, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return owner{}, fmt.Errorf("find the user that servers started by root run as (Debian's postgresql package makes "+
			"it): %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return owner{}, fmt.Errorf("read the uid of postgres: %w", err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return owner{}, fmt.Errorf("read the gid of postgres: %w", err)
	}
	return owner{Name: "postgres", UID: uint32(uid), GID: uint32(gid), Switch: true}, nil
}

// become makes cmd run as the owner, in a session of its own, so that no
// terminal's interrupt reaches it.
func (o owner) become(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if o.Switch {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: o.UID, Gid: o.GID, Groups: []uint32{}}
	}
}

// give makes path the owner's.
func (o owner) give(path string) error {
	if !o.Switch {
		return nil
	}
	if err := os.Lchown(path, int(o.UID), int(o.GID)); err != nil {
		return fmt.Errorf("give %s to %s: %w", path, o.Name, err)
	}
	return nil
}

// mkdir makes a private directory of the owner's, with its parents.
func (o owner) mkdir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("make the lab's directories: %w", err)
	}
	return o.give(path)
}

// write makes a file of the owner's with exactly these permissions.
func (o owner) write(path, content string, perm os.FileMode) error {
	if err := os.WriteFile(path, []byte(content), perm); err != nil {
		return fmt.Errorf("write a file of the lab: %w", err)
	}
	if err := os.Chmod(path, perm); err != nil {
		return fmt.Errorf("set permissions: %w", err)
	}
	return o.give(path)
}

// canEnter checks that programs run as the owner can work in dir.
func (o owner) canEnter(dir string) error {
	cmd := exec.Command("/bin/true")
	cmd.Dir = dir
	o.become(cmd)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the user %s cannot enter %s: choose a directory whose parents all users may search, such as one "+
			"in /tmp: %w", o.Name, dir, err)
	}
	return nil
}
