package packages

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const apt = "apt-get install -y -q --no-install-recommends "

// newer is the same package as a later version, with one more line in its default
// configuration.
func newer(t *testing.T, file string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repool")
	output(t, "dpkg-deb", "-R", file, dir)
	control := filepath.Join(dir, "DEBIAN/control")
	text, err := os.ReadFile(control)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "\nVersion: ", "\nVersion: 9:", 1)
	if err := os.WriteFile(control, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "repool_newer.deb")
	output(t, "dpkg-deb", "-Zgzip", "-z1", "-b", dir, out)
	return out
}

// TestInstallUpgradeRemovePurge, as a person does it on Debian 12.
func TestInstallUpgradeRemovePurge(t *testing.T) {
	t.Parallel()
	r := newTree(t, "bookworm", "postgresql-common")
	first := r.copyIn(t, deb("repool", "amd64"))

	// postgresql-common, which has the group, comes in the same transaction.
	r.run(t, apt+first)
	const settings = "/etc/repool/repool.yaml"
	if got := r.run(t, "stat -c '%U:%G %a' "+settings); got != "root:postgres 640" {
		t.Errorf("%s is %s", settings, got)
	}
	r.run(t, "runuser -u postgres -- cat "+settings)
	if got := r.run(t, "runuser -u postgres -- repool version"); !strings.HasPrefix(got, "repool ") {
		t.Errorf("repool version: %s", got)
	}
	if got := r.run(t, "find /etc/systemd/system /etc/rc?.d -name '*repool*'"); got != "" {
		t.Errorf("the installation enabled %s", got)
	}

	// A controller that runs goes on through an upgrade, and the settings stay.
	r.run(t, "echo 'log: {format: json}' >>"+settings+" && chmod 600 "+settings+" && chown postgres "+settings)
	serve := r.serve(t)
	r.run(t, apt+r.copyIn(t, newer(t, deb("repool", "amd64"))))
	if got := r.run(t, "dpkg-query -W -f '${Version} ${db:Status-Status}' repool"); got[:2] != "9:" ||
		!strings.HasSuffix(got, " installed") {
		t.Errorf("after the upgrade: %s", got)
	}
	if got := r.run(t, "tail -1 "+settings+"; stat -c '%U %a' "+settings); got != "log: {format: json}\npostgres 600" {
		t.Errorf("after the upgrade, %s: %s", settings, got)
	}
	if err := syscall.Kill(serve.pid, 0); err != nil {
		t.Errorf("the controller did not live through the upgrade: %v", err)
	}
	serve.stop()

	r.run(t, "apt-get remove -y -q repool")
	r.missing(t, "/usr/bin/repool", "/usr/lib/systemd/system/repool.service", "/usr/share/repool")
	r.run(t, "test -e "+settings+" && test -e /var/lib/repool")

	// A vault is kept even by a purge; without one the state goes too.
	r.run(t, "mkdir -p /var/lib/repool/vault/1 && dpkg -P repool && test -d /var/lib/repool/vault/1")
	r.missing(t, "/etc/repool", "/etc/default/repool")
	r.run(t, "rm -rf /var/lib/repool/vault && "+apt+first)
	r.run(t, "dpkg -P repool")
	r.missing(t, "/etc/repool", "/etc/default/repool", "/var/lib/repool")
}

// TestRemovalWarnsOfAPoolThatCallsRepool: its failover command would be missing.
func TestRemovalWarnsOfAPoolThatCallsRepool(t *testing.T) {
	t.Parallel()
	r := newTree(t, "bookworm", "postgresql-common")
	r.run(t, apt+r.copyIn(t, deb("repool", "amd64"))+" "+r.copyIn(t, deb("repool-lab", "amd64")))
	r.run(t, "repool-lab --help")
	r.write(t, "/etc/pgpool2/pgpool.conf", "failover_command = '/usr/bin/repool hook failover node=%d'\n")
	if got := r.run(t, "dpkg -r repool-lab repool"); !strings.Contains(got, "pgpool.conf still calls repool") {
		t.Errorf("removal said:\n%s", got)
	}
}

// TestProgramRunsOnOtherReleases: one static program, built once.
func TestProgramRunsOnOtherReleases(t *testing.T) {
	t.Parallel()
	at := t.TempDir()
	output(t, "dpkg-deb", "-x", deb("repool", "amd64"), at)
	for _, release := range []string{"bullseye", "trixie"} {
		r := newTree(t, release)
		program := r.copyIn(t, filepath.Join(at, "usr/bin/repool"))
		if got := r.run(t, program+" version"); !strings.HasPrefix(got, "repool ") {
			t.Errorf("%s: %s", release, got)
		}
		if got := r.run(t, program+" check 2>&1 || echo status $?"); !strings.HasSuffix(got, "status 2") {
			t.Errorf("%s, where there is no pgpool.conf: %s", release, got)
		}
	}
}

// TestInstallWithoutAPackageManager: the same files below another prefix, which the
// units and the scripts name.
func TestInstallWithoutAPackageManager(t *testing.T) {
	t.Parallel()
	at := t.TempDir()
	cmd := "cd ../.. && mkdir -p bin && scripts/install.sh /opt/repool " + at
	output(t, "sh", "-ec", cmd)
	output(t, "sh", "-ec", "echo '# mine' >>"+at+"/etc/repool/repool.yaml")
	output(t, "sh", "-ec", cmd) // again
	for file, want := range map[string]string{
		"etc/repool/repool.yaml":                              "# mine\n",
		"opt/repool/lib/systemd/system/repool.service":        "ExecStart=/opt/repool/bin/repool serve",
		"opt/repool/share/repool/hooks/failover.sh":           "exec /opt/repool/bin/repool hook",
		"opt/repool/share/repool/prometheus/scrape.yml":       "/opt/repool/share/repool/prometheus/repool.rules.yml",
		"opt/repool/share/zsh/site-functions/_repool":         "#compdef repool",
		"opt/repool/share/man/man1/repool.1.gz":               "",
		"opt/repool/share/doc/repool/examples/repool.yaml":    "",
		"etc/default/repool":                                  "REPOOL_FLAGS",
		"opt/repool/share/bash-completion/completions/repool": "",
	} {
		text, err := os.ReadFile(filepath.Join(at, file))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v, or it lacks %q", file, err, want)
		}
	}
	if got := output(t, filepath.Join(at, "opt/repool/bin/repool"), "version"); !strings.HasPrefix(got, "repool ") {
		t.Error(got)
	}
}

// controller is a `repool serve` that runs in a tree.
type controller struct {
	pid  int
	stop func()
}

// serve starts one as its unit does, beside a Pgpool-II that is not there.
func (r tree) serve(t *testing.T) controller {
	t.Helper()
	r.write(t, "/etc/pgpool2/pgpool.conf",
		"backend_hostname0 = ''\nbackend_port0 = 5432\nbackend_data_directory0 = '/var/lib/postgresql/data'\n")
	r.run(t, "cd /var/lib/postgresql && mkdir -p data && "+
		"echo '*:*:repool:x' >.pcppass && echo '*:*:*:repool:x' >.pgpass && "+
		"chmod 600 .pcppass .pgpass && chown postgres .pcppass .pgpass data && "+
		"install -d -o postgres -g postgres -m 700 /var/lib/repool")
	cmd := r.command(t, "exec setpriv --reuid postgres --regid postgres --clear-groups "+
		"env HOME=/var/lib/postgresql repool serve")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	stop := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the controller ended: %v", err)
			}
		case <-time.After(time.Minute):
			t.Error("the controller does not stop")
			_ = cmd.Process.Kill()
		}
	}
	lines := make(chan string, 1000)
	go func() {
		for s := bufio.NewScanner(log); s.Scan(); {
			select {
			case lines <- s.Text():
			default: // nobody reads on
			}
		}
		err := cmd.Wait()
		if err != nil && errors.Is(err, os.ErrProcessDone) {
			err = nil
		}
		ended <- err
		close(lines)
	}()
	deadline := time.After(2 * time.Minute)
	var said []string
	for {
		select {
		case line, open := <-lines:
			if !open {
				t.Fatalf("the controller ended:\n%s", strings.Join(said, "\n"))
			}
			if said = append(said, line); strings.Contains(line, "controller runs") {
				return controller{cmd.Process.Pid, stop}
			}
		case <-deadline:
			t.Fatalf("the controller has said only:\n%s", strings.Join(said, "\n"))
		}
	}
}
