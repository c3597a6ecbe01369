package config

import (
	"path/filepath"
	"time"
)

// fill sets every missing setting to its default, except those that depend on
// pgpool.conf, which Resolve fills in.
func (c *Config) fill() {
	orText(&c.Pgpool.Conf, DefaultPgpoolConf())
	c.Pgpool.PCP.fill()
	for i := range c.Peers {
		c.Peers[i].PCP.fill()
	}
	orText(&c.Database.User, "repool")
	orText(&c.Database.DBName, "postgres")
	orText(&c.Replication.User, "repool")
	orText(&c.Replication.DBName, "postgres")
	orText(&c.Controller.StateDir, "/var/lib/repool")
	orText(&c.Controller.Socket, filepath.Join(c.Controller.StateDir, "repool.sock"))
	orTime(&c.Controller.Interval, time.Second)
	orText(&c.Vault.MaxBytes, "10GB")
	orText(&c.Log.Format, "text")
}

func (p *PCP) fill() {
	orText(&p.User, "repool")
	orTime(&p.Timeout, 5*time.Second)
}

func orText(s *string, def string) {
	if *s == "" {
		*s = def
	}
}

func orTime(d *time.Duration, def time.Duration) {
	if *d == 0 {
		*d = def
	}
}
