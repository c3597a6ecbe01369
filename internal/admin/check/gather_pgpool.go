package check

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/topology"
	"github.com/repool/repool/internal/layout"
	"github.com/repool/repool/internal/pgpool/pgpoolconf"
	"github.com/repool/repool/pcp"
)

// pgpool asks Pgpool-II over PCP.
func (g *gatherer) pgpool(ctx context.Context, f *PgpoolFacts) {
	f.Endpoint, f.User = g.pool.PCP.Name(), pgpoolIdentity(g.file)
	f.PCP = g.pcp(ctx, g.pool.PCP, func(c *pcp.Conn) error {
		if wd, err := c.Watchdog(ctx); err == nil {
			f.Watchdog = topology.Watchdog{Enabled: true, Leader: wd.LeaderHere(), Quorum: int(wd.Quorum),
				State: wd.Self().StateName}
		}
		settings, err := c.PoolStatus(ctx)
		if err != nil {
			return err
		}
		f.Running = map[string]string{}
		for _, s := range settings {
			f.Running[s.Name] = s.Value
		}
		return nil
	})
	for _, p := range g.pool.Peers {
		f.Peers = append(f.Peers, PeerFacts{Endpoint: p.Name(), PCP: g.pcp(ctx, p, func(c *pcp.Conn) error {
			_, err := c.NodeCount(ctx)
			return err
		})})
	}
}

func (g *gatherer) pcp(ctx context.Context, e config.PCP, use func(*pcp.Conn) error) LoginResult {
	l := LoginResult{Tried: true, User: e.User}
	conf, err := e.Config()
	if err == nil {
		err = pcp.With(ctx, conf, use)
	}
	if err != nil {
		l.Away = !errors.Is(err, pcp.ErrAuth) && !errors.Is(err, pcp.ErrNoPassword)
		// One line, without the address, which stands beside it.
		text := strings.Join(strings.Fields(err.Error()), " ")
		l.Err = strings.TrimPrefix(text, "pcp "+conf.Addr()+": ")
	}
	return l
}

// installedVersion asks the installed program; zero: none is found.
func installedVersion(ctx context.Context, timeout time.Duration) pgpoolconf.Version {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for _, path := range layout.Here.PgpoolPrograms() {
		out, err := exec.CommandContext(ctx, path, "--version").CombinedOutput()
		if err != nil {
			continue
		}
		if v, err := pgpoolconf.ParseVersion(string(out)); err == nil {
			return v
		}
	}
	return pgpoolconf.Version{}
}

// HookNames are the commands in pgpool.conf that repool implements.
var HookNames = []string{"failover_command", "follow_primary_command", "failback_command"}

func (g *gatherer) hooks(ctx context.Context, f *PgpoolFacts) {
	f.Hooks = map[string]Program{}
	for _, name := range HookNames {
		set, ok := g.file.Lookup(name)
		words := shellWords(set.Value)
		if !ok || len(words) == 0 {
			continue
		}
		p := Program{Path: words[0], Err: f.User.mayRun(words[0])}
		// The program may have any name.
		p.Repool = filepath.Base(words[0]) == "repool" || len(words) > 1 && words[1] == "hook"
		if !p.Repool {
			p.Shim = isShim(words[0])
		}
		if p.Err == "" && (p.Shim || slices.Contains(words, "hook")) {
			if err := TryHook(ctx, f.User, set.Value); err != nil && !errors.Is(err, ErrCannotTry) {
				p.Err = "it fails: " + err.Error()
			}
		}
		f.Hooks[name] = p
	}
}

// isShim says whether the file is a script that repool installed.
func isShim(path string) bool {
	text, err := os.ReadFile(path)
	return err == nil && strings.Contains(string(text[:min(len(text), 1024)]), config.ShimMark)
}

// shellWords splits a command line as the shell does, quotes and backslashes
// only: nothing is expanded.
func shellWords(line string) []string {
	var words []string
	var b strings.Builder
	var quote byte
	in := false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\\' && quote == '"' && i+1 < len(line) && !strings.ContainsRune("$`\"\\", rune(line[i+1])):
			b.WriteByte(c) // an ordinary character
		case c == '\\' && quote != '\'' && i+1 < len(line):
			i++
			b.WriteByte(line[i])
			in = true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			b.WriteByte(c)
		case c == '"' || c == '\'':
			quote, in = c, true
		case c == ' ' || c == '\t':
			if in {
				words = append(words, b.String())
				b.Reset()
				in = false
			}
		default:
			b.WriteByte(c)
			in = true
		}
	}
	if in {
		words = append(words, b.String())
	}
	return words
}
