package setup

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgpassfile"

	"github.com/repool/repool/internal/admin/check"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/node/postgres"
	"github.com/repool/repool/internal/pgpool/hook"
)

var update = flag.Bool("update", false, "rewrite golden files")

// nobodyHome is a pool whose servers are all down: what setup does then is all
// in files.
const nobodyHome = `# kept as it is
backend_hostname0 = '127.0.0.1'   # first
backend_port0 = 1024
backend_hostname1 = '127.0.0.1'
backend_port1 = 1025
backend_application_name1 = 'second'
pcp_port = 1026
health_check_period = 0
health_check_period1 = 0
sr_check_period = 0
failover_command = '/etc/pgpool2/old.sh %d'
auto_failback = yes   # why not
`

// program stands in for repool: a hook that is tried reads its configuration.
const program = "#!/bin/sh\n" +
	"case $* in *' try') cat \"$4\" >/dev/null && echo '" + hook.TryAnswer + "' ;; *) exit 2 ;; esac\n"

// openDir is a directory that every user can enter; t.TempDir's parent is closed.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "repool-setup-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func offline(t *testing.T) (dir string, o Options) {
	t.Helper()
	dir = openDir(t)
	write(t, filepath.Join(dir, "repool"), program, 0o755)
	write(t, filepath.Join(dir, "pgpool.conf"), nobodyHome+"pcp_socket_dir = '"+dir+"'\n", 0o640)
	write(t, filepath.Join(dir, "pcp.conf"), "# users\nother:0123456789abcdef0123456789abcdef", 0o644)
	write(t, filepath.Join(dir, "failover.sh"), "#!/bin/sh\n# the one before\n", 0o755)
	return dir, options(t, dir)
}

func options(t *testing.T, dir string) Options {
	t.Helper()
	l, err := config.LoadOrDefault(filepath.Join(dir, "repool.yaml"), false, filepath.Join(dir, "pgpool.conf"))
	if err != nil {
		t.Fatal(err)
	}
	return Options{Loaded: l, ConfigFile: filepath.Join(dir, "repool.yaml"), Program: filepath.Join(dir, "repool"),
		StateDir: filepath.Join(dir, "state"), PGPass: filepath.Join(dir, "pgpass"), PCPPass: filepath.Join(dir, "pcppass"),
		UnitDir: filepath.Join(dir, "units"), Shims: true, NoReload: true, Suffix: ".repool-20260102T030405",
		AdminHost: dir, ServiceUser: "postgres"}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		all[path] = info.Mode().String() + " " + read(t, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// text is a plan as lines, for comparing.
func text(p *Plan, dir string) string {
	var b strings.Builder
	for _, i := range p.Items {
		kind := "do"
		if i.Manual {
			kind = "tell"
		}
		fmt.Fprintf(&b, "%s %s (%s): %s\n", kind, i.ID, i.Subject, i.What)
		if i.File != "" {
			fmt.Fprintf(&b, "  %s\n", i.File)
		}
		for _, l := range append(i.Lines, i.SQL...) {
			fmt.Fprintf(&b, "    %s\n", l)
		}
	}
	return strings.ReplaceAll(b.String(), dir, "DIR")
}

func TestPlanForAPoolThatIsDown(t *testing.T) {
	dir, o := offline(t)
	before := files(t, dir)
	p, err := Make(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if after := files(t, dir); !maps.Equal(before, after) {
		t.Error("making a plan has changed files")
	}
	golden(t, "plan.golden", steady(text(p, dir)))

	if err := p.Apply(t.Context(), func(Item) {}); err != nil {
		t.Fatal(err)
	}
	golden(t, "pgpool.conf.golden", strings.ReplaceAll(read(t, filepath.Join(dir, "pgpool.conf")), dir, "DIR"))
	for path, text := range before {
		kept := path + o.Suffix
		if strings.HasSuffix(path, "failover.sh") {
			continue // kept by hook.InstallShims under a name of its own
		}
		if path == o.Program {
			continue
		}
		if got := files(t, dir)[kept]; got != text {
			t.Errorf("%s was not kept: %q", path, got)
		}
	}
	if mode := files(t, dir)[filepath.Join(dir, "pcppass")][:10]; mode != "-rw-------" {
		t.Errorf("mode of the passfile: %s", mode)
	}
	again(t, dir)
}

// steady takes out what depends on the machine.
func steady(plan string) string {
	var out []string
	for l := range strings.Lines(plan) {
		if strings.Contains(l, "node-login") || strings.Contains(l, "install the systemd") ||
			strings.HasPrefix(l, "    → ") || strings.HasPrefix(l, "tell") && !strings.Contains(l, "reload") {
			continue
		}
		out = append(out, l)
	}
	return strings.Join(out, "")
}

// again plans and applies once more, with the repool.yaml that is there now.
func again(t *testing.T, dir string) {
	t.Helper()
	before := files(t, dir)
	o := options(t, dir)
	o.Suffix += "-again"
	p, err := Make(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Apply(t.Context(), func(i Item) { t.Errorf("done again: %s %s %v", i.ID, i.What, i.Lines) }); err != nil {
		t.Fatal(err)
	}
	if after := files(t, dir); !maps.Equal(before, after) {
		t.Error("the second time changes files")
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		write(t, path, got, 0o644)
	}
	if want := read(t, path); got != want {
		t.Errorf("%s differs (-update rewrites it):\n%s", name, got)
	}
}

// TestSettingsGoBelowAPackagesComments: a package installs repool.yaml with every line
// commented out, which counts as none.
func TestSettingsGoBelowAPackagesComments(t *testing.T) {
	dir, _ := offline(t)
	const comments = "# repool.yaml\n\n#pgpool:\n  # The one beside it.\n#  conf: /nowhere\n"
	file := filepath.Join(dir, "repool.yaml")
	write(t, file, comments, 0o644) // the package gives it to the group of the services
	o := options(t, dir)
	p, err := Make(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Apply(t.Context(), func(Item) {}); err != nil {
		t.Fatal(err)
	}
	text := read(t, file)
	settings, below := strings.CutPrefix(text, comments+"\n")
	if !below || !strings.Contains(settings, "\npgpool:\n  conf: ") {
		t.Errorf("repool.yaml is now:\n%s", text)
	}
	if kept := read(t, file+o.Suffix); kept != comments {
		t.Errorf("it was kept as:\n%s", kept)
	}
	again(t, dir)
}

func TestAFileThatChangedMeanwhileIsLeftAlone(t *testing.T) {
	dir, o := offline(t)
	p, err := Make(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	write(t, filepath.Join(dir, "pcp.conf"), "somebody:else\n", 0o644)
	if err := p.Apply(t.Context(), func(Item) {}); err == nil || !strings.Contains(err.Error(), "pcp.conf") {
		t.Errorf("got %v", err)
	}
	if got := read(t, filepath.Join(dir, "pcp.conf")); got != "somebody:else\n" {
		t.Errorf("it was overwritten: %q", got)
	}
	again2 := options(t, dir) // and running it once more takes up the rest
	p2, err := Make(t.Context(), again2)
	if err != nil {
		t.Fatal(err)
	}
	defer p2.Close()
	if err := p2.Apply(t.Context(), func(Item) {}); err != nil {
		t.Error(err)
	}
}

func TestPassLinesAreReadBack(t *testing.T) {
	for _, password := range []string{"plain", `a:b`, `a\b`, `\:\`} {
		line := passLine("fd00::1", "5432", "*", "re:pool", password)
		entries, err := pgpassfile.ParsePassfile(strings.NewReader(line + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := entries.FindPassword("fd00::1", "5432", "replication", "re:pool"); got != password {
			t.Errorf("%q came back as %q by %s", password, got, line)
		}
	}
}

func TestBlockOfRules(t *testing.T) {
	once := withBlock("# comment\n\nlocal all all peer\n", []string{"host a"})
	if want := "# comment\n\n" + hbaBegin + "\nhost a\n" + hbaEnd + "\nlocal all all peer\n"; once != want {
		t.Errorf("got %q", once)
	}
	twice := withBlock(once, []string{"host b"})
	if want := "# comment\n\n" + hbaBegin + "\nhost a\nhost b\n" + hbaEnd + "\nlocal all all peer\n"; twice != want {
		t.Errorf("got %q", twice)
	}
	if got := withBlock("# only a comment", []string{"host a"}); !strings.HasPrefix(got, "# only a comment\n"+hbaBegin) {
		t.Errorf("got %q", got)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	s, err := newSecret()
	if err != nil {
		t.Fatal(err)
	}
	if printed := fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s); strings.Contains(printed, s.clear) {
		t.Errorf("a secret prints: %s", printed)
	}
	if got := pcpHash(secret{clear: "postgres"}); got != "e8a48653851e28c69d0506508fb27fc5" {
		t.Errorf("hash for pcp.conf: %s", got)
	}
}

func TestStatementsForARole(t *testing.T) {
	r := &role{login: postgres.Login{User: `re"pool`}, database: true, functions: map[string]bool{}}
	sql, shown, err := r.statements(secret{clear: "hidden"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(sql[0], `CREATE ROLE "re""pool" LOGIN REPLICATION PASSWORD 'SCRAM-SHA-256$4096:`) {
		t.Errorf("got %s", sql[0])
	}
	if all := strings.Join(append(sql, shown...), ""); strings.Contains(all, "hidden") ||
		strings.Contains(strings.Join(shown, ""), "SCRAM") {
		t.Error("the password or its verifier is shown")
	}
	if len(sql) != 4 || len(shown) != 4 {
		t.Errorf("%d statements: %q", len(sql), shown)
	}
	full := &role{login: postgres.Login{User: "repool"}, database: true, exists: true, canLogin: true, replication: true,
		monitor: true, checkpoint: true, functions: map[string]bool{}}
	for _, fn := range check.Functions {
		full.functions[fn] = true
	}
	if sql, _, err := full.statements(secret{}, false); err != nil || len(sql) != 0 {
		t.Errorf("a role that has all: %q, %v", sql, err)
	}
}

func TestYAMLIsValid(t *testing.T) {
	for _, s := range []string{"/a/b", "repool", "1", "a b", "-x", `q"\`, "yes: no", ""} {
		text := "database: {user: repool, dbname: " + quoteYAML(s) + "}\n"
		l, err := config.Bytes("x.yaml", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if s != "" && l.Config.Database.DBName != s {
			t.Errorf("%q came back as %q", s, l.Config.Database.DBName)
		}
	}
}
