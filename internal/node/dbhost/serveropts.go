package dbhost

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/repool/repool/internal/node/pgdata"
	"github.com/repool/repool/internal/node/process"
	"github.com/repool/repool/internal/node/resync"
)

// This file keeps how a node's server was started: with options on its command
// line, or with a port from its environment, it is another server than its
// configuration tells of (hazard 62).

// optsFile is where a server writes its command line when it starts.
const optsFile = "postmaster.opts"

// startedAs is how the server ran last.
type startedAs struct {
	// Args is its command line without the program; Port is where it listened.
	Args []string `json:"args"`
	Port int      `json:"port"`
	// SocketDir is its first socket directory; empty: none.
	SocketDir string `json:"socket_dir,omitempty"`
}

// startedCache is what noteStarted has written.
type startedCache struct {
	mu   sync.Mutex
	last []byte
}

// startedFile keeps it in the work directory: a copy of another node has none.
func (h *Host) startedFile() string { return filepath.Join(h.workDir, "started.json") }

// noteStarted remembers how the server of the data directory, which runs as pm, was started.
// Failing that, the next start goes by what was known before.
func (h *Host) noteStarted(pm pgdata.PostmasterPID) {
	if h.o.ReadOnly || pm.Port == 0 {
		return
	}
	args, ok := h.commandLine(h.home)
	if !ok {
		return
	}
	text, err := json.Marshal(startedAs{Args: args, Port: pm.Port, SocketDir: pm.SocketDir})
	if err != nil {
		return
	}
	c := &h.started
	c.mu.Lock()
	defer c.mu.Unlock()
	if bytes.Equal(text, c.last) {
		return
	}
	if err := pgdata.ReplaceFile(h.startedFile(), text); err != nil {
		h.log.Warn("how the server was started cannot be kept", "err", err)
		return
	}
	c.last = text
}

// lastStarted is what noteStarted has kept; the zero value: nothing.
func (h *Host) lastStarted() (was startedAs) {
	if b, err := os.ReadFile(h.startedFile()); err == nil {
		_ = json.Unmarshal(b, &was) // what cannot be read says nothing
	}
	return was
}

// removeOrphanLock removes the lock file beside the socket of a server that was
// killed after its directory had been deleted. PostgreSQL takes it for a living one's as
// long as nobody has waited for the dead process.
func (h *Host) removeOrphanLock() error {
	was := h.lastStarted()
	if was.Port == 0 || was.SocketDir == "" {
		return nil
	}
	b, err := os.ReadFile(filepath.Join(was.SocketDir, ".s.PGSQL."+strconv.Itoa(was.Port)+".lock"))
	if err != nil {
		return nil // none, or another user's: the server itself says so
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return nil
	}
	if p, err := process.Read(pid); err != nil || !p.Ended() {
		return nil // gone, which PostgreSQL sees itself, or somebody's
	}
	return removeSocketLock(pgdata.PostmasterPID{PID: pid, Port: was.Port, SocketDir: was.SocketDir})
}

// commandLine reads postmaster.opts of dir. ok is false where there is none, and
// where it is that of a server of our own, for an isolated recovery.
func (h *Host) commandLine(dir string) (args []string, ok bool) {
	b, err := os.ReadFile(filepath.Join(dir, optsFile))
	if err != nil {
		return nil, false
	}
	args = parseOpts(string(b))
	private := "unix_socket_directories=" + filepath.Join(h.workDir, isolatedDir)
	return args, !slices.Contains(args, private)
}

// parseOpts splits the line of postmaster.opts: the program, then each argument
// in double quotes, without any escape (CreateOptsFile in postmaster.c).
func parseOpts(text string) []string {
	line, _, _ := strings.Cut(text, "\n")
	_, rest, found := strings.Cut(line, ` "`)
	rest, closed := strings.CutSuffix(strings.TrimRight(rest, " \r"), `"`)
	if !found || !closed {
		return nil
	}
	return strings.Split(rest, `" "`)
}

// ourSettings are those that a command line must not decide: a standby could never
// follow another primary.
var ourSettings = append([]string{"data_directory", "primary_conninfo", "primary_slot_name", "recovery_target_timeline",
	"promote_trigger_file"}, recoveryTargets...)

// startOptions is with what the server is started again, and the port for its
// environment; 0: none. What pg_ctl, pg_ctlcluster and repool give themselves is left out.
func (h *Host) startOptions(l layout) (options []string, port int) {
	was := h.lastStarted()
	if args, ok := h.commandLine(h.home); ok {
		was.Args = args
	}
	if l.config == "" {
		if dir := confDir(was.Args, h.home); dir != "" {
			options = append(options, "-c", "config_file="+filepath.Join(dir, "postgresql.conf"))
		}
	}
	ours := ourSettings
	if l.config != "" {
		ours = append([]string{"config_file"}, ours...)
	}
	kept, named := keepOptions(was.Args, ours)
	if !named && was.Port != 0 && !l.debian() {
		if conf, err := h.settings(resync.Home); err == nil {
			if _, set := conf.Get("port"); !set {
				port = was.Port
			}
		}
	}
	return append(options, kept...), port
}

// keepOptions leaves out the data directory and the settings that are ours. port
// says whether what is left names the server's port.
func keepOptions(args, ours []string) (kept []string, port bool) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		value := ""
		if takesValue(a) && i+1 < len(args) {
			i++
			value = args[i]
		}
		if strings.HasPrefix(a, "-D") {
			continue
		}
		name := settingName(a, value)
		if slices.Contains(ours, name) {
			continue
		}
		port = port || name == "port"
		kept = append(kept, a)
		if takesValue(a) {
			kept = append(kept, value)
		}
	}
	return kept, port
}

// takesValue says whether an option of the server has its value in the next
// argument (getopt string of PostmasterMain).
func takesValue(arg string) bool {
	return len(arg) == 2 && arg[0] == '-' && strings.ContainsRune("BbcCDdfhkNpStvWr", rune(arg[1]))
}

// settingName is the setting that an option is about; empty: none that matters.
func settingName(arg, value string) string {
	text := ""
	switch {
	case strings.HasPrefix(arg, "--"):
		text = arg[2:]
	case strings.HasPrefix(arg, "-c"):
		text = arg[2:] + value
	case strings.HasPrefix(arg, "-p"):
		return "port"
	}
	name, _, _ := strings.Cut(text, "=")
	return strings.ToLower(strings.ReplaceAll(name, "-", "_"))
}

// confDir is the folder of the configuration where -D named that, and not the data
// directory; empty where it did not.
func confDir(args []string, home string) string {
	dir := ""
	for i, a := range args {
		switch {
		case settingName(a, strings.Join(args[i+1:min(i+2, len(args))], "")) == "config_file":
			return ""
		case a == "-D" && i+1 < len(args):
			dir = args[i+1]
		case strings.HasPrefix(a, "-D") && len(a) > 2:
			dir = a[2:]
		}
	}
	if real, err := realPath(dir); dir == "" || err != nil || real == home {
		return ""
	}
	if !fileThere(filepath.Join(dir, "postgresql.conf")) || fileThere(filepath.Join(dir, "PG_VERSION")) {
		return ""
	}
	return dir
}

// quoteOptions is the value of -o: pg_ctl passes it through a shell.
func quoteOptions(options []string) string {
	quoted := make([]string, len(options))
	for i, o := range options {
		quoted[i] = shellQuote(o)
	}
	return strings.Join(quoted, " ")
}

// portEnv is the environment for a server whose port came from there.
func portEnv(port int) []string {
	if port == 0 {
		return nil
	}
	return []string{"PGPORT=" + strconv.Itoa(port)}
}
