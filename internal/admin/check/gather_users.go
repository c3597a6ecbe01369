package check

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/node/postgres"
	"github.com/repool/repool/internal/pgpool/pgpoolconf"
)

// pgpoolUser tries the user that Pgpool-II checks a node with; kind is health_check
// or sr_check. It is not tried if the password is unknown.
func (g *gatherer) pgpoolUser(ctx context.Context, n config.NodeConf, kind string) LoginResult {
	user, db, password, known := PgpoolUser(g.file, g.pool, int(n.ID), kind)
	l := LoginResult{User: user}
	if user == "" || !known {
		return l
	}
	l.Tried = true
	conf, err := postgres.Login{User: user, DBName: db, Passfile: os.DevNull}.Config(n.Host, n.Port, g.session())
	if err != nil {
		l.fail(err)
		return l
	}
	conf.Password = password
	conn, err := postgres.Connect(ctx, conf)
	if err == nil {
		_ = conn.Close(context.WithoutCancel(ctx)) // logged in only
	}
	l.fail(err)
	return l
}

// PgpoolUser is the user that Pgpool-II checks a node with, and its password if it
// is stored unencrypted. kind is health_check or sr_check.
func PgpoolUser(file *pgpoolconf.File, pool *config.Pool, node int, kind string) (user, db, password string,
	known bool) {
	user, db = pool.Pgpool.SRCheck.User, pool.Pgpool.SRCheck.Database
	if kind == "health_check" {
		if node >= len(pool.Pgpool.Backends) {
			return "", "", "", false
		}
		hc := pool.Pgpool.Backends[node].HealthCheck
		user, db = hc.User, hc.Database
	}
	if db == "" {
		db = "postgres"
	}
	set, _ := file.LookupNode(kind+"_password", node)
	password = set.Value
	if password == "" {
		password = poolPassword(file, pool.PgpoolConf, user)
	}
	inClear, ok := strings.CutPrefix(password, "TEXT")
	switch {
	case ok:
		return user, db, inClear, true
	case strings.HasPrefix(password, "AES"), isMD5(password):
		return user, db, "", false
	}
	return user, db, password, true
}

func isMD5(s string) bool { return len(s) == 35 && strings.HasPrefix(s, "md5") }

// PoolPasswd is the path of Pgpool-II's password file; empty: there is none.
func PoolPasswd(file *pgpoolconf.File, conf string) string {
	name := "pool_passwd"
	if set, ok := file.Lookup(name); ok {
		name = set.Value
	}
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(conf), name)
}

// poolPassword is the user's entry in pool_passwd; empty without one.
func poolPassword(file *pgpoolconf.File, conf, user string) string {
	path := PoolPasswd(file, conf)
	if path == "" {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, password, ok := strings.Cut(s.Text(), ":"); ok && name == user {
			return password
		}
	}
	return ""
}
