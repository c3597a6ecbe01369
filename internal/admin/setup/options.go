package setup

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/repool/repool/internal/admin/check"
	"github.com/repool/repool/internal/config"
)

// Options say what to set up and where. Loaded is required; every other zero
// value has a sensible default.
type Options struct {
	Loaded *config.Loaded
	// ConfigFile is the repool.yaml that is written if the loaded one sets nothing.
	ConfigFile string
	// Program is the path of repool that hooks and the unit call.
	Program string

	// AdminUser is a superuser of PostgreSQL; default postgres. AdminHost is a
	// host or socket directory; default: the node's own socket, or its host.
	AdminUser, AdminHost string
	// ServiceUser runs repool and owns its files; default: Pgpool-II's user when run
	// by root, or else the current user.
	ServiceUser string
	// StateDir, PGPass and PCPPass are for a new repool.yaml.
	StateDir, PGPass, PCPPass string
	// PCPConf is Pgpool-II's pcp.conf; default: beside pgpool.conf.
	PCPConf string

	// Shims installs the older script names in ShimDir, and has pgpool.conf
	// call them. ShimDir defaults to pgpool.conf's folder.
	Shims   bool
	ShimDir string
	// Recovery sets up pcp_recovery_node.
	Recovery bool
	// UnitDir is where the systemd unit goes; empty: no unit.
	UnitDir string
	// ResetPassword gives existing roles a new password if the current one is unknown.
	ResetPassword bool
	// NoReload leaves the reload of Pgpool-II to a person.
	NoReload bool
	// Suffix is appended to the names of backups.
	Suffix string
	// Timeout bounds each query; zero: 5 s.
	Timeout time.Duration
}

// owner is the user of this system who gets new files.
type owner struct {
	name     string
	home     string
	uid, gid int
}

func (o *Options) fill() (owner, error) {
	conf := &o.Loaded.Config
	orText(&o.AdminUser, "postgres")
	orText(&o.ConfigFile, config.DefaultPath)
	orText(&o.PCPConf, filepath.Join(filepath.Dir(conf.Pgpool.Conf), "pcp.conf"))
	orText(&o.ShimDir, filepath.Dir(conf.Pgpool.Conf))
	orText(&o.Suffix, ".repool-"+time.Now().UTC().Format("20060102T150405"))
	own, err := o.findOwner()
	if err != nil {
		return owner{}, err
	}
	orText(&conf.Database.Passfile, orElse(o.PGPass, filepath.Join(own.home, ".pgpass")))
	orText(&conf.Replication.Passfile, conf.Database.Passfile)
	orText(&conf.Pgpool.PCP.Passfile, orElse(o.PCPPass, filepath.Join(own.home, ".pcppass")))
	if !o.Loaded.Sets() && o.StateDir != "" {
		if conf.Controller.Socket == filepath.Join(conf.Controller.StateDir, "repool.sock") {
			conf.Controller.Socket = filepath.Join(o.StateDir, "repool.sock")
		}
		conf.Controller.StateDir = o.StateDir
	}
	return own, nil
}

func (o *Options) findOwner() (owner, error) {
	if o.ServiceUser == "" && os.Geteuid() == 0 {
		o.ServiceUser = check.PgpoolOwner(o.Loaded.Config.Pgpool.Conf).Name
	}
	if o.ServiceUser == "" {
		own := owner{name: "user " + strconv.Itoa(os.Geteuid()), uid: os.Geteuid(), gid: os.Getegid()}
		if u, err := user.Current(); err == nil {
			own.name, own.home = u.Username, u.HomeDir
		}
		o.ServiceUser = own.name
		return own, nil
	}
	u, err := user.Lookup(o.ServiceUser)
	if err != nil {
		return owner{}, fmt.Errorf("find the user who is to run repool: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return owner{}, fmt.Errorf("uid of %s: %w", u.Username, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return owner{}, fmt.Errorf("gid of %s: %w", u.Username, err)
	}
	return owner{name: u.Username, home: u.HomeDir, uid: uid, gid: gid}, nil
}

func orText(s *string, def string) {
	if *s == "" {
		*s = def
	}
}

func orElse(s, def string) string {
	orText(&s, def)
	return s
}

// groupOf is the name of the owner's group, for the unit.
func groupOf(o owner) string {
	if g, err := user.LookupGroupId(strconv.Itoa(o.gid)); err == nil {
		return g.Name
	}
	return strconv.Itoa(o.gid)
}
