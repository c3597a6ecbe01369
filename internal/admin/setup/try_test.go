package setup

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/repool/repool/internal/exit"
)

// TestAHookThatCannotBeRunIsNotSwitchedTo holds that neither pgpool.conf nor an
// older script changes when Pgpool-II's user could not run what would replace it.
func TestAHookThatCannotBeRunIsNotSwitchedTo(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, dir string, o *Options){
		"the program is missing": func(_ *testing.T, dir string, o *Options) {
			o.Program = filepath.Join(dir, "nowhere", "repool")
		},
		"the program is another one": func(_ *testing.T, _ string, o *Options) { o.Program = "/bin/true" },
		"the program cannot be run": func(t *testing.T, dir string, _ *Options) {
			write(t, filepath.Join(dir, "repool"), program, 0o644)
		},
		"the configuration cannot be read": func(t *testing.T, dir string, o *Options) {
			closed := filepath.Join(dir, "closed")
			if err := os.Mkdir(closed, 0o700); err != nil {
				t.Fatal(err)
			}
			o.ConfigFile = filepath.Join(closed, "repool.yaml")
		},
	} {
		for _, shims := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				dir, o := offline(t)
				o.Shims = shims
				spoil(t, dir, &o)
				before := files(t, dir)
				p, err := Make(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				defer p.Close()
				err = p.Apply(t.Context(), func(Item) {})
				if exit.Code(err) != exit.Refused || !strings.Contains(err.Error(), "as postgres") {
					t.Errorf("got %v, want a refusal that names command and user", err)
				}
				for _, file := range []string{"pgpool.conf", "failover.sh"} {
					if path := filepath.Join(dir, file); files(t, dir)[path] != before[path] {
						t.Errorf("%s was changed:\n%s", file, read(t, path))
					}
				}
			})
		}
	}
}

// TestNewDirectoriesCanBeEntered holds that the hook finds its configuration in
// directories that setup creates, whatever the umask of the person at the terminal.
func TestNewDirectoriesCanBeEntered(t *testing.T) {
	dir, o := offline(t)
	o.ConfigFile = filepath.Join(dir, "etc", "repool", "repool.yaml")
	o.StateDir = filepath.Join(dir, "var", "lib", "repool")
	l := options(t, dir).Loaded
	o.Loaded = l
	old := syscall.Umask(0o077)
	t.Cleanup(func() { syscall.Umask(old) })
	p, err := Make(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Apply(t.Context(), func(Item) {}); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{"etc": 0o755, "etc/repool": 0o755, "var": 0o755, "var/lib": 0o755,
		"var/lib/repool": 0o700} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}

func TestTheProgramIsThisOne(t *testing.T) {
	_, o := offline(t)
	o.Program, o.Shims = "", false
	p, err := Make(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range p.Items {
		if i.ID == "pgpool-conf" && !strings.Contains(strings.Join(i.Lines, "\n"), "failover_command = '"+own+" hook") {
			t.Errorf("pgpool.conf would not call %s:\n%s", own, strings.Join(i.Lines, "\n"))
		}
	}
}

// TestRecoveryReplacesThePoolsOwnScript holds that pcp_recovery_node does not go on
// running a script that knows no holds.
func TestRecoveryReplacesThePoolsOwnScript(t *testing.T) {
	dir, o := offline(t)
	conf := filepath.Join(dir, "pgpool.conf")
	write(t, conf, read(t, conf)+"recovery_1st_stage_command = 'basebackup.sh'\n", 0o640)
	for _, recovery := range []bool{false, true} {
		o.Loaded, o.Recovery = options(t, dir).Loaded, recovery
		p, err := Make(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		want := "tell recovery-scripts (pgpool): recovery_1st_stage_command runs basebackup.sh"
		if recovery {
			want = "    + recovery_1st_stage_command = 'recovery_1st_stage.sh'\n"
		}
		if got := text(p, dir); !strings.Contains(got, want) {
			t.Errorf("recovery %v: no %q in\n%s", recovery, want, got)
		}
	}
}
