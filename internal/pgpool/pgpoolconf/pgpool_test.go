package pgpoolconf

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	pgpoolProgram = "/usr/sbin/pgpool"
	debianSample  = "/usr/share/pgpool2/pgpool.conf"
)

// verdict is what the installed pgpool makes of a situation.
type verdict struct {
	settings []string // name=value, in the order it applies them
	syntax   bool     // the text was read
	accepted bool     // and all values taken
	output   string
}

// askPgpool runs "pgpool stop" on the situation: it reads the configuration, as
// at a start, then looks for the pid file, which does not exist, and ends.
func askPgpool(t testing.TB, s situation) verdict {
	t.Helper()
	dir := t.TempDir()
	// The settings on the first line make it print each setting it applies.
	first := fmt.Sprintf("pid_file_name = '%s/none.pid' log_line_prefix = '@@' log_min_messages = debug2\n", dir)
	s.text = first + s.text
	s.write(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, pgpoolProgram, "-f", filepath.Join(dir, "main.conf"), "stop")
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
	raw, err := cmd.CombinedOutput()
	if _, ended := err.(*exec.ExitError); !ended {
		t.Fatalf("run pgpool: %v: %s", err, raw)
	}
	return readVerdict(string(raw))
}

var applied = regexp.MustCompile(`(?s)^DEBUG:  set_config_option "([^"]*)" = "(.*)"\n$`)

func readVerdict(output string) verdict {
	v := verdict{output: output, syntax: !strings.Contains(output, "syntax error in configuration file") &&
		!strings.Contains(output, "maximum nesting depth exceeded")}
	v.accepted = strings.Contains(output, "FATAL:  could not read pid file")
	for record := range strings.SplitSeq(output, "@@") {
		if m := applied.FindStringSubmatch(record); m != nil {
			v.settings = append(v.settings, m[1]+"="+strings.ReplaceAll(m[2], "\n\t", "\n"))
		}
	}
	return v
}

func TestRealPgpool(t *testing.T) {
	t.Parallel()
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			v := askPgpool(t, s)
			if want := s.err == "" && !s.rejected; v.accepted != want {
				t.Errorf("pgpool accepts: %v, we say %v\n%s", v.accepted, want, v.output)
			}
			if !v.accepted {
				return
			}
			if diff := cmp.Diff(s.want, v.settings); diff != "" {
				t.Errorf("settings (-ours +pgpool's):\n%s\n%s", diff, v.output)
			}
		})
	}
}

// TestRealPgpoolOnRandomText holds the lexer against the real one on texts that
// nobody thought of. The names used are unknown, so that values do not matter.
func TestRealPgpoolOnRandomText(t *testing.T) {
	t.Parallel()
	pieces := []string{
		"x", "y_1", "z", " ", " ", "\t", "\n", "\n", "=", "=", "'a'", "''", "'a\\'b'", "'c\\' ", "'", "\\", `"`,
		"#", "# c\n", "5", "5min", "-3", "-", "0x1F", "0xG", "1.5", ".5e3", ".e", "1e5", "a.b", "h-1:2/3", "/", "|", "é",
		"\r\n", ",",
	}
	random := rand.New(rand.NewPCG(15, 435))
	var read, refused int
	for range 100 {
		var text strings.Builder
		// Begin as a setting does, or nearly every text would be refused at once.
		text.WriteString("w = ")
		for range 1 + random.IntN(8) {
			text.WriteString(pieces[random.IntN(len(pieces))])
		}
		s := situation{text: text.String()}
		v := askPgpool(t, s)
		f, err := Parse("main.conf", s.text)
		if (err == nil) != v.syntax {
			t.Errorf("%q: we say %v, pgpool says:\n%s", s.text, err, v.output)
		}
		if err != nil || !v.syntax {
			refused++
			continue
		}
		read++
		if got := pairs(f); !slices.Equal(got, v.settings) {
			t.Errorf("%q: we read %q, pgpool %q", s.text, got, v.settings)
		}
	}
	if read < 20 || refused < 20 {
		t.Errorf("the texts are one-sided: %d read, %d refused", read, refused)
	}
}

// TestDebianSample reads the file that Debian installs, then the same with all
// its examples uncommented.
func TestDebianSample(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(debianSample)
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`(?m)^#(\w+ = )`).ReplaceAllString(string(raw), "$1")
	if strings.Count(all, "\n#") >= strings.Count(string(raw), "\n#")-100 {
		t.Fatal("the sample has no examples to uncomment")
	}
	for name, text := range map[string]string{"as installed": string(raw), "uncommented": all} {
		f, err := Parse("pgpool.conf", text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := f.sources[0].text(); got != text {
			t.Errorf("%s: does not print the same", name)
		}
		version := Version{4, 3, 5}
		if got := f.Unknown(version); len(got) > 0 {
			t.Errorf("%s: unknown: %+v", name, got)
		}
		if got := odd(f); len(got) > 0 {
			t.Errorf("%s: odd: %+v", name, got)
		}
		if got := f.Rejected(version); len(got) > 0 {
			t.Errorf("%s: rejected: %v", name, got)
		}
	}
}

// TestKnownNames asks pgpool about every name of our table.
func TestKnownNames(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	var want []string
	for _, p := range parameters {
		if p.indexes == 0 && p.kind == valueBool {
			fmt.Fprintf(&text, "%s = off\n", p.name)
		} else if p.kind == valueText && p.indexes > 0 && p.name != "backend_flag" {
			fmt.Fprintf(&text, "%s0 = ''\n", p.name)
		} else {
			continue
		}
		// Our table goes by minor release; this one came with a later patch.
		if !p.in(Version{4, 3, 5}) || p.name == "notice_per_node_statement" {
			want = append(want, p.name)
		}
	}
	v := askPgpool(t, situation{text: text.String() + "hostname0 = 'h'\n"})
	var got []string
	for _, m := range regexp.MustCompile(`unrecognized configuration parameter "(\w+)"`).FindAllStringSubmatch(v.output,
		-1) {
		got = append(got, m[1])
	}
	if diff := cmp.Diff(want, got); diff != "" || !v.accepted {
		t.Errorf("names unknown to 4.3.5 (-ours +pgpool's):\n%s\n%v", diff, v.accepted)
	}
}
