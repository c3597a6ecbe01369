package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// walLinkSite: initdb --waldir, as for a disk of its own.
var walLinkSite = Site{
	Name: "wal-link",
	What: "pg_wal is a symbolic link out of the data directory",
	data: func(ctx context.Context, l *Lab, n Node) error {
		return l.linkOut(ctx, n, "pg_wal", filepath.Join(n.Home, "wal"))
	},
}

// logLinkSite: the server's log directory is a link.
var logLinkSite = Site{
	Name: "log-link",
	What: "the data directory has a link, log, to where the server logs",
	settings: func(_ *Lab, _ Node, s map[string]string) {
		s["log_directory"] = "log"
	},
	data: func(_ context.Context, l *Lab, n Node) error {
		link := filepath.Join(n.DataDir, "log")
		if err := os.Remove(link); err != nil && !os.IsNotExist(err) {
			return err
		}
		return l.symlink(filepath.Dir(n.LogFile), link)
	},
}

// tablespacesSite: a tablespace outside, with a table.
var tablespacesSite = Site{
	Name: "tablespaces",
	What: "one table is in a tablespace outside of the data directory",
	data: func(ctx context.Context, l *Lab, n Node) error {
		outside := filepath.Join(n.Home, "space")
		if n.ID == 0 {
			if err := l.Owner.mkdir(outside); err != nil {
				return err
			}
			if err := l.single(ctx, "postgres", []string{
				fmt.Sprintf("CREATE TABLESPACE space OWNER app LOCATION '%s'", outside)}); err != nil {
				return err
			}
			return l.single(ctx, "app", []string{
				"CREATE TABLE app.elsewhere TABLESPACE space AS SELECT g AS id, repeat('x', 200) AS filler " +
					"FROM generate_series(1, 2000) g", "ALTER TABLE app.elsewhere OWNER TO app"})
		}
		links, err := filepath.Glob(filepath.Join(n.DataDir, "pg_tblspc", "*"))
		if err != nil || len(links) != 1 {
			return fmt.Errorf("find the tablespace: %v %w", links, err)
		}
		return l.linkOut(ctx, n, filepath.Join("pg_tblspc", filepath.Base(links[0])), outside)
	},
}

// mountSite: the data directory is a file system's root.
var mountSite = Site{
	Name: "mount",
	What: "the data directory is a mount point",
	Root: true,
	home: func(l *Lab, n Node) error {
		if err := l.Owner.mkdir(n.DataDir); err != nil {
			return err
		}
		how := fmt.Sprintf("size=2g,uid=%d,gid=%d,mode=0700", l.Owner.UID, l.Owner.GID)
		if err := unix.Mount("repool-lab", n.DataDir, "tmpfs", 0, how); err != nil {
			return fmt.Errorf("mount a file system on %s: %w", n.DataDir, err)
		}
		return nil
	},
}

// oddFilesSite: what people leave in data directories.
var oddFilesSite = Site{
	Name: "odd-files",
	What: "a read-only file, a foreign link, a foreign directory in the data directory",
	data: func(_ context.Context, l *Lab, n Node) error {
		if n.ID != 0 {
			return nil // a copy has them already
		}
		scripts := filepath.Join(n.DataDir, "backup scripts")
		if err := l.Owner.mkdir(scripts); err != nil {
			return err
		}
		if err := l.Owner.write(filepath.Join(scripts, "daily.sh"), "#!/bin/sh\n", 0o700); err != nil {
			return err
		}
		if err := l.Owner.write(filepath.Join(n.DataDir, "do-not-touch"), "read-only\n", 0o400); err != nil {
			return err
		}
		return l.symlink("/usr/share/doc", filepath.Join(n.DataDir, "notes"))
	},
}

// utf8Site: paths that need quotes.
var utf8Site = Site{
	Name: "utf8",
	What: "paths of the nodes have spaces, quotes and letters beyond ASCII",
	place: func(l *Lab, n *Node) {
		n.Home = l.path("Knoten größer " + n.Name)
		n.DataDir = filepath.Join(n.Home, "данные 数据")
		if n.ConfigDir != "" && l.opts.Layout != LayoutDebian {
			n.ConfigDir = n.DataDir
		}
		n.LogFile = filepath.Join(n.Home, "log", "postgresql.log")
	},
}

// linkOut moves what rel is in a node's data directory to outside, and leaves a link. What is a link already, since a
// standby's directory is a copy of the primary's, gets a copy of its own.
func (l *Lab) linkOut(ctx context.Context, n Node, rel, outside string) error {
	inside := filepath.Join(n.DataDir, rel)
	if err := l.copyDir(ctx, inside+"/.", outside); err != nil {
		return err
	}
	if err := os.RemoveAll(inside); err != nil {
		return err
	}
	return l.symlink(outside, inside)
}

func (l *Lab) symlink(to, link string) error {
	if err := os.Symlink(to, link); err != nil {
		return err
	}
	return l.Owner.give(link)
}
