package cli

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/repool/repool/internal/admin/check"
	"github.com/repool/repool/internal/exit"
	"github.com/repool/repool/lab"
	"github.com/repool/repool/pcp"
)

// plainPool is a pool as a person has it who never heard of repool: no role, no
// rules, no PCP user, no hooks, and Pgpool-II's defaults.
func plainPool(t *testing.T, o lab.Options) *lab.Lab {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o.Standbys, o.Log = 1, t.Output()
	o.Pgpool = map[string]string{
		"health_check_period": "0", "health_check_user": "nobody", "health_check_password": "",
		"auto_failback": "on", "failover_on_backend_shutdown": "on", "search_primary_node_timeout": "300",
		"backend_application_name0": "", "backend_application_name1": "", "backend_data_directory1": "",
	}
	l, err := lab.Up(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, sql := range []string{"DROP OWNED BY repool", "DROP ROLE repool"} {
		if err := l.Exec(ctx, 0, sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range l.Nodes {
		path := filepath.Join(n.ConfigDir, "pg_hba.conf")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		old := strings.NewReplacer("repl,repool", "repl", "all          127.0.0.1/32",
			"app,pgpool,postgres 127.0.0.1/32").Replace(string(text))
		put(t, path, old)
		if err := l.Exec(ctx, n.ID, "SELECT pg_reload_conf()"); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(l.Pgpools[0].Dir, "pcp.conf"), "# nobody yet\n")
	return l
}

// put replaces the content of a file and leaves its owner and mode.
func put(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// command runs one command line, and gives its status and what it printed.
func command(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	var o, e bytes.Buffer
	code = Main(t.Context(), args, &o, &e)
	t.Logf("repool %s → %d\n%s%s", strings.Join(args, " "), code, o.String(), e.String())
	return code, o.String()
}

// TestSetupMakesAPlainPoolReady is the way of a person with an existing pool:
// check finds what is missing, setup --apply makes it, check is content.
func TestSetupMakesAPlainPoolReady(t *testing.T) {
	l := plainPool(t, lab.Options{})
	program := installProgram(t, l)
	yaml := filepath.Join(l.Dir, "etc-repool", "repool.yaml")
	common := []string{"--pgpool-conf", l.Pgpools[0].Conf}

	code, out := command(t, append([]string{"check", "--json"}, common...)...)
	if code != exit.Problems {
		t.Fatalf("check of a plain pool: status %d, want %d", code, exit.Problems)
	}
	missing := []string{"node-login", "replication-login", "hba", "pcp-login", "failover-command",
		"follow-primary-command",
		"health-check-off", "health-check-user", "auto-failback", "failover-on-shutdown", "application-name",
		"data-directory", "search-primary-timeout"}
	found := ids(t, out)
	for _, id := range missing {
		if !slices.Contains(found, id) {
			t.Errorf("check does not find %s", id)
		}
	}

	words := append([]string{"setup", "--config", yaml, "--program", program, "--admin-host", l.Sockets,
		"--state-dir", filepath.Join(l.Dir, "state"),
		"--pgpass", filepath.Join(l.Dir, "repool.pgpass"), "--pcppass", filepath.Join(l.Dir, "repool.pcppass"),
		"--unit-dir", filepath.Join(l.Dir, "units")}, common...)
	before := tree(t, l)
	if code, _ := command(t, words...); code != exit.OK {
		t.Fatalf("setup: status %d", code)
	}
	if after := tree(t, l); !maps.Equal(before, after) {
		t.Error("setup without --apply has changed files")
	}
	code, out = command(t, append(words, "--apply")...)
	if code != exit.OK {
		t.Fatalf("setup --apply: status %d", code)
	}
	noSecrets(t, l, out)

	try := func(context.Context) error { // the standby has to replay the role first
		if code, _ := command(t, "check", "--config", yaml); code != exit.OK {
			return fmt.Errorf("check still finds problems: status %d", code)
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := lab.WaitFor(ctx, "check to be content", try); err != nil {
		t.Fatal(err)
	}
	labLogin(t, l)
	healthChecked(ctx, t, l)

	done := tree(t, l)
	if code, out = command(t, append(words, "--apply")...); code != exit.OK || strings.Contains(out, "done:") {
		t.Errorf("setup --apply once more: status %d, and it did something", code)
	}
	if again := tree(t, l); !maps.Equal(done, again) {
		t.Error("setup --apply once more has changed files")
	}
	heals(t, l, program, yaml, 0)
}

// installProgram puts repool where Pgpool-II's user can run it.
func installProgram(t *testing.T, l *lab.Lab) string {
	t.Helper()
	built := os.Getenv("REPOOL_BIN")
	if _, err := os.Stat(built); err != nil {
		built = filepath.Join(t.TempDir(), "repool")
		if out, err := exec.Command("go", "build", "-o", built, "../../cmd/repool").CombinedOutput(); err != nil {
			t.Fatalf("build repool: %v\n%s", err, out)
		}
	}
	text, err := os.ReadFile(built)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(l.Dir, "repool")
	if err := os.WriteFile(program, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return program
}

// heals proves what all of it is for: each primary in turn is killed, and comes back.
func heals(t *testing.T, l *lab.Lab, program, yaml string, primaries ...int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	serve := l.Command(ctx, program, "serve", "--config", yaml)
	var log bytes.Buffer
	serve.Stdout, serve.Stderr = &log, &log
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = serve.Process.Signal(os.Interrupt) // it may have ended already
		_ = serve.Wait()                       // ended by a signal
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	err := lab.WaitFor(ctx, "the controller", func(context.Context) error {
		if code, _ := command(t, "status", "--fail", "--config", yaml); code != exit.OK {
			return fmt.Errorf("status %d", code)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, old := range primaries {
		if err := l.KillNode(ctx, old); err != nil {
			t.Fatal(err)
		}
		if now, err := l.WaitNewPrimary(ctx, old); err != nil || now != 1-old {
			t.Fatalf("node %d is primary: %v", now, err)
		}
		if err := l.WaitHealthy(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if code, _ := command(t, "check", "--config", yaml); code != exit.OK {
		t.Errorf("check after a failover: status %d", code)
	}
}

func ids(t *testing.T, out string) []string {
	t.Helper()
	var rep check.Report
	if err := json.Unmarshal([]byte(out), &rep); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, f := range rep.Findings {
		if f.Severity != check.OK {
			list = append(list, f.ID)
		}
		if f.Severity != check.OK && (f.Remedy == "" || f.Why == "" || f.Found == "" || f.Subject == "") {
			t.Errorf("%s: remedy, reason, subject and finding must all be there: %+v", f.ID, f)
		}
	}
	return list
}

// tree is all configuration of the lab as it stands on disk.
func tree(t *testing.T, l *lab.Lab) map[string]string {
	t.Helper()
	files := map[string]string{}
	var paths []string
	for _, glob := range []string{"pgpool/*.conf*", "pgpool/pool_passwd*", "node*/data/*.conf*", "repool*",
		"etc-repool/*", "units/*"} {
		found, err := filepath.Glob(filepath.Join(l.Dir, glob))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		files[p] = info.Mode().String() + "\n" + string(text)
	}
	return files
}

// noSecrets proves that no password was printed, and that none stands in clear
// where others may read it.
func noSecrets(t *testing.T, l *lab.Lab, printed string) {
	t.Helper()
	line, err := os.ReadFile(filepath.Join(l.Dir, "repool.pgpass"))
	if err != nil {
		t.Fatal(err)
	}
	password := strings.TrimSpace(string(line)[strings.LastIndexByte(strings.TrimSpace(string(line)), ':')+1:])
	if len(password) < 20 {
		t.Fatalf("a password of %d characters", len(password))
	}
	if strings.Contains(printed, password) {
		t.Error("setup prints the password")
	}
	log, err := os.ReadFile(l.Nodes[0].LogFile)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(log), password) {
		t.Error("the server's log has the password")
	}
	for path, content := range tree(t, l) {
		if strings.Contains(content, password) && !strings.HasPrefix(content, "-rw-------") {
			t.Errorf("%s has the password, and its mode is %.10s", path, content)
		}
	}
}

// healthChecked waits until Pgpool-II has checked every node with the new user
// and still has it attached.
func healthChecked(ctx context.Context, t *testing.T, l *lab.Lab) {
	t.Helper()
	err := lab.WaitFor(ctx, "Pgpool-II's health checks to pass", func(ctx context.Context) error {
		return pcp.With(ctx, l.PCP(0), func(c *pcp.Conn) error {
			for _, n := range l.Nodes {
				h, err := c.HealthStats(ctx, n.ID)
				if err != nil {
					return err
				}
				if h.Success == 0 || h.Fail > 0 || !h.Attached() {
					return fmt.Errorf("node %d: %d checks well, %d failed, attached %v", n.ID, h.Success, h.Fail, h.Attached())
				}
			}
			return nil
		})
	})
	if err != nil {
		log, _ := os.ReadFile(l.Pgpools[0].LogFile) // for the message only
		for line := range strings.Lines(string(log)) {
			if !strings.Contains(line, "pcp") && !strings.Contains(line, "PCP") && !strings.Contains(line, "status_changed") {
				t.Log(line)
			}
		}
		t.Error(err)
	}
}

// labLogin makes the lab's own PCP login valid again: Pgpool-II takes several lines for one user.
func labLogin(t *testing.T, l *lab.Lab) {
	t.Helper()
	conf := filepath.Join(l.Pgpools[0].Dir, "pcp.conf")
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	sum := md5.Sum([]byte(l.Passwords["pcp"]))
	put(t, conf, string(text)+"repool:"+hex.EncodeToString(sum[:])+"\n")
}
