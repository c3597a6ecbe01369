package check

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/pgpool/hook"
	"github.com/repool/repool/internal/pgpool/pgpoolconf"
)

var hookChecks = []Check{
	{"failover-command", "failover_command",
		"Without it nothing promotes a standby when the primary fails.",
		func(f *Facts, r *results) { checkHook(f, r, "failover_command") }},
	{"follow-primary-command", "follow_primary_command",
		"Without it Pgpool-II leaves standbys attached that still follow the old primary.",
		func(f *Facts, r *results) { checkHook(f, r, "follow_primary_command") }},
	{"resync-command", "resync_command",
		"A custom command replaces repool's own methods.", checkResyncCommand},
	{"recovery-scripts", "online recovery's scripts",
		"pcp_recovery_node runs them from the primary's data directory, and any node may be the primary.", checkScripts},
}

// hookWords are the subcommand and the shim for each command.
var hookWords = map[string]struct{ kind, shim string }{
	"failover_command":       {"failover", "failover.sh"},
	"follow_primary_command": {"follow-primary", "follow_primary.sh"},
}

// HookLine is the value that a command in pgpool.conf should have.
func (f *Facts) HookLine(name string) string {
	words := []string{f.Program, "hook", hookWords[name].kind}
	if f.Pool.File != "" && f.Pool.File != config.DefaultPath {
		words = append(words, "--config", f.Pool.File)
	} else if f.Pool.File == "" && f.Pool.PgpoolConf != config.DefaultPgpoolConf() {
		words = append(words, "--pgpool-conf", f.Pool.PgpoolConf)
	}
	return strings.Join(append(words, hook.KeyValueForm), " ")
}

func checkHook(f *Facts, r *results, name string) {
	set, _ := f.File.Lookup(name)
	found := Finding{Subject: pgpoolSubject, At: f.at(name), Remedy: line(name, f.HookLine(name))}
	p := f.Pgpool.Hooks[name]
	words := shellWords(set.Value)
	switch {
	case set.Value == "":
		found.Found = name + " is empty"
	case !p.Repool && !p.Shim:
		found.Found = fmt.Sprintf("%s runs %s, which is not repool", name, words[0])
	case p.Err != "":
		found.Found = fmt.Sprintf("%s runs %s, but %s", name, p.Path, p.Err)
		found.Remedy = "let Pgpool-II's user run it, or: " + found.Remedy
	case p.Repool && !calls(words, hookWords[name].kind):
		found.Found = fmt.Sprintf("%s does not call \"hook %s\"", name, hookWords[name].kind)
	case p.Shim && filepath.Base(p.Path) != hookWords[name].shim:
		found.Found = fmt.Sprintf("%s calls the shim %s, not %s", name, filepath.Base(p.Path), hookWords[name].shim)
	default:
		f.checkArguments(r, name, set.Value, found)
		return
	}
	r.problem(found)
}

// calls says whether a command line of repool has that hook.
func calls(words []string, kind string) bool {
	i := slices.Index(words, "hook")
	return i > 0 && slices.Contains(words[i:], kind)
}

// checkArguments tries the command with the values that Pgpool-II would pass if
// the first node failed as primary.
func (f *Facts) checkArguments(r *results, name, command string, found Finding) {
	line := pgpoolconf.Expand(command, f.failure())
	_, err := hook.ParseArgs(hook.Kind(hookWords[name].kind), hookArgs(shellWords(line), hookWords[name].kind),
		f.Pool.Nodes)
	if err != nil {
		found.Found = fmt.Sprintf("%s passes arguments that cannot be understood: %v", name, err)
		r.problem(found)
		return
	}
	var bare []string
	for _, p := range pgpoolconf.Placeholders(command) {
		if p.Quote == 0 && strings.IndexByte("hDHRNS", p.Letter) >= 0 {
			bare = append(bare, "%"+string(p.Letter))
		}
	}
	if len(bare) > 0 {
		found.Found = fmt.Sprintf("%s has %s without quotes: an empty value shifts the arguments that follow", name,
			strings.Join(bare, " "))
		r.warn(found)
		return
	}
	r.ok(pgpoolSubject, name+" calls repool and passes what it needs")
}

// failure are the values of the placeholders when the first node fails as primary.
// Pgpool-II passes "" for what it does not know.
func (f *Facts) failure() map[byte]string {
	nodes := f.Pool.Nodes
	if len(nodes) == 0 {
		return nil
	}
	old := nodes[0]
	v := map[byte]string{'d': old.ID.String(), 'h': old.Host, 'p': strconv.Itoa(old.Port), 'D': old.DataDir,
		'M': old.ID.String(), 'P': old.ID.String(), 'N': old.Host, 'S': strconv.Itoa(old.Port),
		'm': "-1", 'H': `""`, 'r': `""`, 'R': `""`}
	if len(nodes) > 1 {
		next := nodes[1]
		v['m'], v['H'], v['r'], v['R'] = next.ID.String(), next.Host, strconv.Itoa(next.Port), next.DataDir
	}
	return v
}

// hookArgs are a hook's arguments: the words after its name, without flags.
func hookArgs(words []string, kind string) []string {
	if i := slices.Index(words, kind); i > 0 && slices.Contains(words[:i], "hook") {
		words = words[i+1:]
	} else if len(words) > 0 {
		words = words[1:]
	}
	var args []string
	for i := 0; i < len(words); i++ {
		switch {
		case words[i] == "--config" || words[i] == "--pgpool-conf":
			i++
		case !strings.HasPrefix(words[i], "--"):
			args = append(args, words[i])
		}
	}
	return args
}

func checkResyncCommand(f *Facts, r *results) {
	if f.Pool.ResyncCommand == "" {
		r.ok(pgpoolSubject, "resync_command is empty: repool's own methods")
		return
	}
	words := shellWords(f.Pool.ResyncCommand)
	found := Finding{Subject: pgpoolSubject, At: f.at(pgpoolconf.ResyncCommand),
		Found:  "resync_command runs " + words[0] + " instead of repool's methods",
		Remedy: "resync_command = ''   # in pgpool.conf, unless this is intended"}
	if msg := f.Pgpool.User.mayRun(words[0]); msg != "" {
		found.Found += ", but " + msg
		r.problem(found)
		return
	}
	r.warn(found)
}

func checkScripts(f *Facts, r *results) {
	first := f.Pool.Pgpool.Recovery.FirstStage
	if first == "" {
		r.ok(pgpoolSubject, "online recovery is not configured; repool does not need it")
		return
	}
	f.checkRecoveryCommands(r)
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if n.Local == nil || !n.Local.Exists {
			continue
		}
		for _, script := range []string{first, f.Pool.Pgpool.Recovery.SecondStage, "pgpool_remote_start"} {
			if script == "" {
				continue
			}
			have, there := n.Local.Scripts[script]
			remedy := "repool setup --recovery --apply"
			switch {
			case !there:
				r.warn(Finding{Subject: n.Subject(), At: f.at("recovery_1st_stage_command"),
					Found: script + " is missing in " + n.Local.Dir, Remedy: remedy})
			case !have.Shim:
				r.problem(Finding{Subject: n.Subject(), At: f.at("recovery_1st_stage_command"),
					Found: fmt.Sprintf("%s in %s is not repool's: pcp_recovery_node would run it past locks, holds and vault",
						script, n.Local.Dir), Remedy: remedy})
			case have.Mode&0o100 == 0:
				r.warn(Finding{Subject: n.Subject(), At: f.at("recovery_1st_stage_command"), Found: script + " cannot be run",
					Remedy: "chmod 700 " + filepath.Join(n.Local.Dir, script)})
			default:
				r.ok(n.Subject(), script+" is there")
			}
		}
	}
}

// checkRecoveryCommands looks at the names alone: they count for nodes on other
// machines, too.
func (f *Facts) checkRecoveryCommands(r *results) {
	for name, script := range map[string]string{"recovery_1st_stage_command": f.Pool.Pgpool.Recovery.FirstStage,
		"recovery_2nd_stage_command": f.Pool.Pgpool.Recovery.SecondStage} {
		if script == "" || hook.IsDataShim(script) || f.isShimSomewhere(script) {
			continue
		}
		r.problem(Finding{Subject: pgpoolSubject, At: f.at(name),
			Found: fmt.Sprintf("%s runs %s, which is not repool's: pcp_recovery_node would run it past locks, holds and vault",
				name, script), Remedy: "repool setup --recovery --apply"})
	}
}

func (f *Facts) isShimSomewhere(script string) bool {
	return slices.ContainsFunc(f.Nodes, func(n NodeFacts) bool { return n.Local != nil && n.Local.Scripts[script].Shim })
}
