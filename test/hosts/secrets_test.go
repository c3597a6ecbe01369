package hosts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/lab"
)

// No password shows anywhere but in the files that are there for passwords: not
// in the arguments or the environment of any process, not in logs, journal, vault,
// history, status, nor in a node's own configuration (P10). Everything is done by
// the role that setup makes, which is not a superuser.
func TestSecretsStaySecret(t *testing.T) {
	p := up(t, lab.Options{Agents: lab.AgentsSSH, Web: true})
	super, err := p.Value(p.Ctx, 0, "SELECT rolsuper FROM pg_roles WHERE rolname = 'repool'")
	p.Must(err)
	if super != "false" {
		t.Fatalf("repool's role is a superuser: %s", super)
	}
	p.Must(p.bulk(20))
	w := p.watchProcesses()
	since := time.Now()
	old, _ := p.diverged(5)
	p.Whole("a rewind", since)
	p.HealedBy(old, since, topology.MethodRewind)
	since = time.Now()
	node := p.standby()
	p.Must(p.DestroyData(p.Ctx, node))
	p.Whole("a base backup", since)
	p.HealedBy(node, since, topology.MethodBaseBackup)
	w.end()
	p.searchWeb()
	for _, args := range [][]string{{"status", "--json"}, {"plan", "--json"}, {"history", "--json"},
		{"vault", "--json"}, {"check", "--json"}} {
		out, _ := p.Repool(p.Ctx, args...) // check reports problems of a lab, which do not matter here
		for name, word := range p.Passwords {
			if strings.Contains(out, word) {
				t.Errorf("repool %s shows the password of %s", args[0], name)
			}
		}
	}
	p.searchFiles()
}

// searchWeb looks for every password in all that the controller tells over HTTP:
// pages, the interface for programs, the event stream, metrics.
func (p *pool) searchWeb() {
	p.T.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return p.DialFrom(ctx, p.PgpoolHost(0), network, address)
		}}}
	get := func(path string, enough func(text []byte) bool) []byte {
		p.T.Helper()
		ctx, cancel := context.WithTimeout(p.Ctx, 20*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.WebAddr+path, nil)
		p.Must(err)
		resp, err := client.Do(req)
		if err != nil {
			p.T.Fatalf("%s: %v", path, err)
		}
		defer func() { _ = resp.Body.Close() }()
		var text []byte
		buf := make([]byte, 64<<10)
		for err == nil && (enough == nil || !enough(text)) {
			var n int
			n, err = resp.Body.Read(buf)
			text = append(text, buf[:n]...)
		}
		if resp.StatusCode != http.StatusOK || (err != nil && !errors.Is(err, io.EOF)) || len(text) == 0 {
			p.T.Errorf("%s: status %d, %d bytes, %v", path, resp.StatusCode, len(text), err)
		}
		for name, word := range p.Passwords {
			if bytes.Contains(text, []byte(word)) {
				p.T.Errorf("%s shows the password of %s", path, name)
			}
		}
		return text
	}
	for _, path := range []string{"/", "/metrics", "/healthz", "/readyz", "/api/v1/status", "/api/v1/history"} {
		get(path, nil)
	}
	get("/events", func(text []byte) bool { return bytes.Count(text, []byte("\n\n")) >= 2 })
	var runs []struct{ ID string }
	text := get("/api/v1/runs", nil)
	if err := json.Unmarshal(text, &runs); err != nil || len(runs) == 0 {
		p.T.Fatalf("%d runs: %v in %.300s", len(runs), err, text)
	}
	for _, r := range runs {
		get("/runs/"+r.ID, nil)
		get("/api/v1/runs/"+r.ID, nil)
	}
}

// allowed are the files that may hold passwords: each is one that PostgreSQL or
// Pgpool-II reads its passwords from.
var allowed = []string{".pgpass", ".pcppass", "lab.json", "pgpool/pool_passwd", "pgpool/pgpool.conf"}

// searchFiles looks for every password in all files of the lab but the data
// directories' tables, where the roles' verifiers are.
func (p *pool) searchFiles() {
	p.T.Helper()
	seen := 0
	needed := []string{"history.db", "hooks.log", "report.json", "/journal/", "log/pgpool.log", "postgresql.auto.conf"}
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
		needed = slices.DeleteFunc(needed, func(n string) bool { return strings.Contains(rel, n) })
		for name, word := range p.Passwords {
			if strings.Contains(rel, "pg_wal") && !strings.Contains(rel, "vault") {
				continue // the lab itself wrote its roles in there, as statements never do
			}
			if bytes.Contains(text, []byte(word)) {
				p.T.Errorf("%s holds the password of %s", rel, name)
			}
		}
		return nil
	})
	p.Must(err)
	if seen < 100 || len(needed) > 0 {
		p.T.Errorf("%d files were looked into, none of them %q", seen, needed)
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
	// looks counts how often a process was looked at under one name: arguments and
	// environment come with the program, and titles change rarely.
	looks map[string]int
}

// oftenLooks is how many first looks at a process are made without a pause;
// afterwards it is every rarely-th.
const oftenLooks, rarely = 10, 50

func (p *pool) watchProcesses() *processWatch {
	ctx, cancel := context.WithCancel(p.Ctx)
	w := &processWatch{stop: cancel, t: p.T, found: map[string]bool{}, seen: map[string]bool{}, looks: map[string]int{}}
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
		who := dir + string(comm)
		w.looks[who]++
		if n := w.looks[who]; n > oftenLooks && n%rarely != 0 {
			continue
		}
		for _, file := range []string{"cmdline", "environ"} {
			text, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				continue // it has ended
			}
			w.mu.Lock()
			w.seen[strings.TrimSpace(string(comm))] = true
			for name, word := range p.Passwords {
				if bytes.Contains(text, []byte(word)) {
					w.found[fmt.Sprintf("the %s of %s (%s) holds the password of %s", file, strings.TrimSpace(string(comm)), dir,
						name)] = true
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
