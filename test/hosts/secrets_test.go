package hosts

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repool/repool/internal/lab"
	"github.com/repool/repool/internal/topology"
)

// No password shows anywhere but in the files that are there for passwords: not
// in the arguments or the environment of any process, not in logs, journal, vault,
// history, status, nor in a node's own configuration (P10). Everything is done by
// the role that setup makes, which is no superuser.
func TestSecretsStaySecret(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsSSH, Recovery: false})
	super, err := p.Value(p.ctx, 0, "SELECT rolsuper FROM pg_roles WHERE rolname = 'repool'")
	p.must(err)
	if super != "false" {
		t.Fatalf("repool's role is a superuser: %s", super)
	}
	p.must(p.bulk(20))
	w := p.watchProcesses()
	since := time.Now()
	old, _ := p.diverged(5)
	p.whole("a rewind", since)
	p.healedBy(old, since, topology.MethodRewind)
	since = time.Now()
	node := p.standby()
	p.must(p.DestroyData(p.ctx, node))
	p.whole("a base backup", since)
	p.healedBy(node, since, topology.MethodBaseBackup)
	w.end()
	for _, args := range [][]string{{"status", "--json"}, {"plan", "--json"}, {"history", "--json"}, {"vault", "--json"}, {"check", "--json"}} {
		out, _ := p.Repool(p.ctx, args...) // check finds fault with a lab, and that is no matter here
		for name, word := range p.Passwords {
			if strings.Contains(out, word) {
				t.Errorf("repool %s shows the password of %s", args[0], name)
			}
		}
	}
	p.searchFiles()
}

// allowed are the files that may hold passwords: each is one that PostgreSQL or
// Pgpool-II reads its passwords from.
var allowed = []string{".pgpass", ".pcppass", "lab.json", "pgpool/pool_passwd", "pgpool/pgpool.conf"}

// searchFiles looks for every password in all files of the lab but the data
// directories' tables, where the roles' verifiers are.
func (p *pool) searchFiles() {
	p.t.Helper()
	seen := 0
	err := filepath.WalkDir(p.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) {
				return nil // files come and go in a live pool
			}
			return err
		}
		rel, _ := filepath.Rel(p.Dir, path)
		if d.IsDir() {
			switch d.Name() {
			case "base", "pg_stat", "pg_stat_tmp", "bin":
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		for _, a := range allowed {
			if rel == a {
				return nil
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr // it has gone since
		}
		seen++
		for name, word := range p.Passwords {
			if strings.Contains(rel, "pg_wal") && !strings.Contains(rel, "vault") {
				continue // the lab itself wrote its roles in there, as statements never do
			}
			if bytes.Contains(text, []byte(word)) {
				p.t.Errorf("%s holds the password of %s", rel, name)
			}
		}
		return nil
	})
	p.must(err)
	if seen < 100 {
		p.t.Errorf("only %d files were looked into", seen)
	}
}

// processWatch looks at the arguments and the environment of every process of the
// machine's, all the while.
type processWatch struct {
	stop  context.CancelFunc
	wg    sync.WaitGroup
	t     *testing.T
	mu    sync.Mutex
	found map[string]bool
	seen  map[string]bool
}

func (p *pool) watchProcesses() *processWatch {
	ctx, cancel := context.WithCancel(p.ctx)
	w := &processWatch{stop: cancel, t: p.t, found: map[string]bool{}, seen: map[string]bool{}}
	w.wg.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				w.look(p)
			}
		}
	})
	return w
}

func (w *processWatch) look(p *pool) {
	pids, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range pids {
		comm, _ := os.ReadFile(dir + "/comm")
		for _, file := range []string{"cmdline", "environ"} {
			text, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				continue // it has ended
			}
			w.mu.Lock()
			w.seen[strings.TrimSpace(string(comm))] = true
			for name, word := range p.Passwords {
				if bytes.Contains(text, []byte(word)) {
					w.found[fmt.Sprintf("the %s of %s (%s) holds the password of %s", file, strings.TrimSpace(string(comm)), dir, name)] = true
				}
			}
			w.mu.Unlock()
		}
	}
}

// end stops it and reports; it must have met the programs that log in.
func (w *processWatch) end() {
	w.stop()
	w.wg.Wait()
	for f := range w.found {
		w.t.Error(f)
	}
	for _, program := range []string{"repool", "ssh", "pg_rewind", "pg_basebackup", "postgres", "pgpool"} {
		if !w.seen[program] {
			w.t.Errorf("no process %s was met", program)
		}
	}
}
