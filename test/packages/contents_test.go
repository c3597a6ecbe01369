package packages

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/repool/repool/internal/cli"
	"github.com/repool/repool/internal/config"
	"github.com/repool/repool/lab/command"
)

// entry is one file of a package: mode, owner and group as ls prints them.
type entry struct{ mode, owner, path string }

func debEntries(t *testing.T, file string) []entry {
	t.Helper()
	var all []entry
	for line := range strings.Lines(output(t, "dpkg-deb", "-c", file)) {
		w := strings.Fields(line)
		all = append(all, entry{w[0], w[1], strings.TrimPrefix(w[5], ".")})
	}
	return all
}

func rpmEntries(t *testing.T, file string) []entry {
	t.Helper()
	const format = `[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\n]`
	var all []entry
	for line := range strings.Lines(output(t, "rpm", "-qp", "--qf", format, file)) {
		w := strings.Fields(line)
		all = append(all, entry{w[0], w[1], w[2]})
	}
	return all
}

// follows says whether a file's name follows from the source, which the tests below hold.
func follows(path string) bool {
	return strings.Contains(path, "/man1/") || strings.HasPrefix(path, "/usr/share/doc/repool/docs/")
}

// TestContents: every other file, with mode and owner, in testdata.
func TestContents(t *testing.T) {
	t.Parallel()
	for name, entries := range map[string][]entry{
		"repool.deb":     debEntries(t, deb("repool", "amd64")),
		"repool-lab.deb": debEntries(t, deb("repool-lab", "amd64")),
		"repool.rpm":     rpmEntries(t, rpm("repool", "x86_64")),
		"repool-lab.rpm": rpmEntries(t, rpm("repool-lab", "x86_64")),
	} {
		var b strings.Builder
		for _, e := range entries {
			if !follows(e.path) {
				b.WriteString(e.mode + " " + e.owner + " " + e.path + "\n")
			}
		}
		golden := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), b.String()); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// TestOtherArchitectureHasTheSame: the packages for arm64 differ in the programs only.
func TestOtherArchitectureHasTheSame(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"repool", "repool-lab"} {
		if d := cmp.Diff(debEntries(t, deb(name, "amd64")), debEntries(t, deb(name, "arm64")),
			cmp.AllowUnexported(entry{})); d != "" {
			t.Errorf("%s.deb:\n%s", name, d)
		}
		if d := cmp.Diff(rpmEntries(t, rpm(name, "x86_64")), rpmEntries(t, rpm(name, "aarch64")),
			cmp.AllowUnexported(entry{})); d != "" {
			t.Errorf("%s.rpm:\n%s", name, d)
		}
	}
}

// TestEveryCommandHasAManualPage in its program's package, and there is no other page.
func TestEveryCommandHasAManualPage(t *testing.T) {
	t.Parallel()
	for name, root := range map[string]*cobra.Command{"repool": cli.Root(), "repool-lab": command.Root()} {
		var want, got []string
		var walk func(*cobra.Command)
		walk = func(c *cobra.Command) {
			if c.Name() == "help" || c.Hidden {
				return
			}
			want = append(want, "/usr/share/man/man1/"+strings.ReplaceAll(c.CommandPath(), " ", "-")+".1.gz")
			for _, sub := range c.Commands() {
				walk(sub)
			}
		}
		walk(root)
		for _, e := range debEntries(t, deb(name, "amd64")) {
			if strings.Contains(e.path, "/man1/") && !strings.HasSuffix(e.path, "/") {
				got = append(got, e.path)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// TestDefaultConfigurationSetsNothing: with /etc/repool/repool.yaml as it is packaged,
// everything is as without it.
func TestDefaultConfigurationSetsNothing(t *testing.T) {
	t.Parallel()
	at := t.TempDir()
	output(t, "dpkg-deb", "-x", deb("repool", "amd64"), at)
	text, err := os.ReadFile(filepath.Join(at, "etc/repool/repool.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Bytes("repool.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	want, err := config.Bytes("repool.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want.Config, got.Config); d != "" {
		t.Error(d)
	}
}

// TestDocumentsAgreeWithThePackages: a path that a document gives is in a package, and
// a link of a document leads to a document of the package, or of the repository alone.
func TestDocumentsAgreeWithThePackages(t *testing.T) {
	t.Parallel()
	has := map[string]bool{}
	for _, e := range debEntries(t, deb("repool", "amd64")) {
		has[strings.TrimSuffix(e.path, "/")] = true
	}
	const root = "/usr/share/doc/repool/"
	onlyInRepository := []string{root + "CONTRIBUTING.md", root + "LICENSE"}
	named := regexp.MustCompile(`/usr/(?:share(?:/doc)?/repool|lib/systemd/system/repool|bin/repool)[\w./@-]*`)
	link := regexp.MustCompile(`\]\(([^)#: ]+)(?:#[^)]*)?\)`)
	at := t.TempDir()
	output(t, "dpkg-deb", "-x", deb("repool", "amd64"), at)
	seen := 0
	for file := range has {
		if !strings.HasPrefix(file, root) || !regexp.MustCompile(`\.(md|yaml|conf)$`).MatchString(file) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(at, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range named.FindAllString(string(text), -1) {
			seen++
			if p = strings.TrimRight(p, "./"); !has[p] && p != "/usr/bin/repool-lab" {
				t.Errorf("%s names %s, which is in no package", file, p)
			}
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			seen++
			if to := path.Join(path.Dir(file), m[1]); !has[to] && !slices.Contains(onlyInRepository, to) {
				t.Errorf("%s links to %s, which is not in the package", file, m[1])
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d paths and links seen", seen)
	}
}

// TestSameBytesTwice: packages, bills of materials, everything.
func TestSameBytesTwice(t *testing.T) {
	t.Parallel()
	again := t.TempDir()
	t.Cleanup(func() { os.RemoveAll(again) })
	if err := build(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	sums := func(dir string) string {
		text, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first, second := sums(dist), sums(again)
	if d := cmp.Diff(first, second); d != "" {
		t.Error(d)
	}
	if n := strings.Count(first, "\n"); n != 12 {
		t.Errorf("%d files have a sum:\n%s", n, first)
	}
}

// TestLintian: no error and no warning but those that the overrides explain.
func TestLintian(t *testing.T) {
	t.Parallel()
	output(t, "lintian", "--allow-root", "--fail-on", "error,warning", deb("repool", "amd64"),
		deb("repool-lab", "amd64"))
}
