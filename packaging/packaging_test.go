package packaging_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/internal/core/plan"
	"github.com/repool/repool/internal/pgpool/pgpoolconf"
	"github.com/repool/repool/packaging"
)

func example(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("examples", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// keys are all keys of a configuration type, with a dot between levels.
func keys(t reflect.Type, under string) []string {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return []string{strings.TrimSuffix(under, ".")}
	}
	var all []string
	for i := range t.NumField() {
		if tag := t.Field(i).Tag.Get("yaml"); tag != "" && tag != "-" {
			all = append(all, keys(t.Field(i).Type, under+tag+".")...)
		}
	}
	return all
}

func TestExampleExplainsEveryKey(t *testing.T) {
	have := map[string]any{}
	for _, name := range []string{"repool-agent.yaml", "repool.yaml"} { // the second has the whole entry of a node
		var one map[string]any
		if err := yaml.Unmarshal([]byte(example(t, name)), &one); err != nil {
			t.Fatal(err)
		}
		maps.Copy(have, one)
	}
	for _, key := range keys(reflect.TypeFor[config.Config](), "") {
		if strings.HasPrefix(key, "peers.pcp.") { // as under pgpool
			continue
		}
		var at any = have
		for part := range strings.SplitSeq(key, ".") {
			if list, ok := at.([]any); ok {
				at = list[0]
			}
			m, ok := at.(map[string]any)
			if !ok || m[part] == nil {
				t.Errorf("the example lacks %s", key)
				break
			}
			at = m[part]
		}
	}
}

// TestExampleIsValidAndSaysTheDefaults: what the example shows is accepted, and
// its policy is the one that holds without it.
func TestExampleIsValidAndSaysTheDefaults(t *testing.T) {
	dir := t.TempDir()
	pass := filepath.Join(dir, "pass")
	conf := filepath.Join(dir, "pgpool.conf")
	for path, text := range map[string]string{pass: "",
		conf: "backend_hostname0 = ''\nbackend_port0 = 5432\nbackend_data_directory0 = '/d'\n" +
			"backend_hostname1 = ''\nbackend_port1 = 5433\nbackend_data_directory1 = '/e'\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := regexp.MustCompile(`(passfile|secret_file): .*`).ReplaceAllString(example(t, "repool.yaml"), "$1: "+pass)
	text = regexp.MustCompile(`conf: /etc/pgpool2.*`).ReplaceAllString(text, "conf: "+conf)
	l, err := config.Bytes("repool.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	got, want := p.Policy, plan.DefaultPolicy()
	if got.MaxLagBytes != want.MaxLagBytes || got.MaxAttempts != want.MaxAttempts || got.BackoffBase != want.BackoffBase ||
		got.BackoffMax != want.BackoffMax ||
		got.FollowGrace != want.FollowGrace || got.StreamPatience != want.StreamPatience ||
		got.NudgeAfter != want.NudgeAfter || got.SpaceHeadroom != want.SpaceHeadroom || got.Fence != want.Fence {
		t.Errorf("the example's policy is not the default one:\n got %+v\nwant %+v", got, want)
	}
	empty, err := config.Bytes("none", nil)
	if err != nil {
		t.Fatal(err)
	}
	d, e := empty.Config, l.Config
	if e.Log != d.Log {
		t.Errorf("the example says %+v, the default is %+v", e.Log, d.Log)
	}
	if e.Controller.StateDir != d.Controller.StateDir || e.Controller.Socket != d.Controller.Socket ||
		e.Controller.Interval != d.Controller.Interval ||
		e.Vault.MaxBytes != d.Vault.MaxBytes || e.Database.User != d.Database.User ||
		e.Pgpool.PCP.Timeout != d.Pgpool.PCP.Timeout {
		t.Errorf("the example says other values than the defaults:\n got %+v\nwant %+v", e, d)
	}
}

// TestAgentExampleIsValid: as it stands, but for files that are not there.
func TestAgentExampleIsValid(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := config.Bytes("repool-agent.yaml",
		[]byte(strings.ReplaceAll(example(t, "repool-agent.yaml"), "/etc/repool/certs/db1.key", key)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.ResolveAgent()
	if err != nil || p.Nodes[0].ID != 1 || p.Agent.WhenAlone != "keep" || p.Agent.Socket != config.DefaultAgentSocket {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestPgpoolLinesAreAccepted(t *testing.T) {
	f, err := pgpoolconf.Parse("pgpool.conf", example(t, "pgpool.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if errs := f.Rejected(pgpoolconf.Version{}); len(errs) > 0 {
		t.Error(errs)
	}
	if unknown := f.Unknown(pgpoolconf.Version{}); len(unknown) > 0 {
		t.Error(unknown)
	}
}

// TestUnits lets systemd itself judge, where it is installed.
func TestUnits(t *testing.T) {
	for _, name := range []string{"repool.service", "repool-agent@.service", "repool-agent.service"} {
		text, err := packaging.Unit(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"Type=notify", "KillMode=process", "Restart=on-failure", "User=postgres"} {
			if !strings.Contains(text, want+"\n") {
				t.Errorf("%s lacks %s", name, want)
			}
		}
		if strings.Contains(text, "PrivateTmp=") || strings.Contains(text, "NoNewPrivileges=") {
			t.Errorf("%s forbids something to the PostgreSQL servers that it starts", name)
		}
		verify(t, name, text)
	}
}

func verify(t *testing.T, name, text string) {
	t.Helper()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Logf("%s: no systemd-analyze here to judge it", name)
		return
	}
	// The program need not be installed, and the user exists with PostgreSQL.
	text = strings.ReplaceAll(text, "/usr/bin/repool", "/bin/true")
	path := filepath.Join(t.TempDir(), strings.Replace(name, "@", "@1", 1))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "verify", "--man=no", path).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, filepath.Base(path)) {
			t.Errorf("%s: %s (%v)", name, line, err)
		}
	}
}

// TestEveryPackagedFileExists: each entry of the lists matches a file of the tree, or
// is built, and has a mode.
func TestEveryPackagedFileExists(t *testing.T) {
	for _, list := range []string{"nfpm/repool.yaml", "nfpm/repool-lab.yaml"} {
		text, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		var nfpm struct {
			Contents []struct {
				Src, Dst string
				FileInfo struct{ Mode int } `yaml:"file_info"`
			}
		}
		if err := yaml.Unmarshal(text, &nfpm); err != nil {
			t.Fatal(err)
		}
		for _, c := range nfpm.Contents {
			if c.FileInfo.Mode == 0 {
				t.Errorf("%s: %s has no mode, so it would have that of the checkout", list, c.Dst)
			}
			if c.Src == "" || strings.HasPrefix(c.Src, "${STAGE}/") {
				continue
			}
			if found, err := filepath.Glob(filepath.Join("..", c.Src)); err != nil || len(found) == 0 {
				t.Errorf("%s: nothing matches %s (%v)", list, c.Src, err)
			}
		}
	}
}

// TestUnitsReadTheEnvironmentOfEveryPackage: Debian and RHEL keep it in different files.
func TestUnitsReadTheEnvironmentOfEveryPackage(t *testing.T) {
	list, err := os.ReadFile("nfpm/repool.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files := regexp.MustCompile(`dst: (/etc/(?:default|sysconfig)/repool)\n`).FindAllStringSubmatch(string(list), -1)
	if len(files) < 2 {
		t.Fatalf("the list has %q", files)
	}
	for _, name := range []string{"repool.service", "repool-agent@.service", "repool-agent.service"} {
		text, err := packaging.Unit(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !strings.Contains(text, "EnvironmentFile=-"+f[1]+"\n") {
				t.Errorf("%s does not read %s", name, f[1])
			}
		}
	}
}
