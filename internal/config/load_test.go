package config

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/repool/repool/internal/node/postgres"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Each bad file has a golden file with all that is said about it.
func TestBadFilesNameEveryProblem(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			_, err := Load(file)
			if err == nil {
				t.Fatal("accepted")
			}
			got, golden := err.Error()+"\n", strings.TrimSuffix(file, ".yaml")+".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("problems differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadReadsEverything(t *testing.T) {
	t.Parallel()
	l, err := Load("testdata/good/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Pgpool: Pgpool{Conf: "/etc/pgpool2/pgpool.conf",
			PCP: PCP{Host: "/run/pcp", Port: 9897, User: "postgres", Timeout: 3 * time.Second}},
		Peers:       []Peer{{PCP{Host: "pgpool2.example", User: "repool", Timeout: 5 * time.Second}}},
		Database:    postgres.Login{User: "repool", DBName: "postgres", SSLMode: "prefer"},
		Replication: postgres.Login{User: "replicator", DBName: "postgres"},
		Controller: Controller{StateDir: "/srv/repool", Socket: "/srv/repool/repool.sock",
			Interval: 2 * time.Second, Listen: "127.0.0.1:9899"},
		Page: Page{PasswordHash: "$2a$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
			TokenFile: "/srv/repool/page.token"},
		Nodes: []Node{
			{ID: 1, Agent: "unix:/run/repool/agent1.sock"},
			{Agent: "local", DataDirectory: "/srv/pg/0/", ConfigFile: "/etc/postgresql/15/main/postgresql.conf",
				BinDirectory: "/usr/lib/postgresql/15/bin", WorkDirectory: "/srv/pg/work0"},
		},
		Policy: Policy{Methods: map[string]string{"base-backup": "ask", "fence": "never"},
			MaxLag: "1MiB", MaxAttempts: 3, BackoffBase: time.Second, BackoffMax: time.Minute,
			FollowGrace: 2 * time.Second, StreamPatience: 20 * time.Second, NudgeAfter: 10 * time.Second,
			Headroom: "0", MaxRate: "100MB", Compression: "auto",
			Failover: Failover{MaxLag: "1GiB", RequireSynchronous: "always", MinAnswers: 2, Wait: 20 * time.Second}},
		Vault:       Vault{Directory: "/srv/vault", MaxBytes: "5GB"},
		Notify:      Notify{OnEvent: "tell --all", Webhook: Webhook{URL: "https://hooks.example.org/x"}},
		Log:         Log{Format: "json"},
		Tracing:     Tracing{Endpoint: "http://127.0.0.1:4318"},
		Environment: Environment{"PG_CLUSTER_CONF_ROOT": "/etc/postgresql"},
	}
	if diff := cmp.Diff(want, l.Config); diff != "" {
		t.Errorf("configuration differs (-want +got):\n%s", diff)
	}
	if want := (sizes{maxLag: 1 << 20, maxRate: 100e6, vault: 5e9, failoverLag: 1 << 30}); l.sizes != want {
		t.Errorf("sizes = %+v, want %+v", l.sizes, want)
	}
}

func TestEmptyFileIsAllDefaults(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\n# nothing\n", "---\n", "database:\n"} {
		l, err := Bytes("x.yaml", []byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		c := l.Config
		if c.Database.User != "repool" || c.Controller.Interval != time.Second || c.Pgpool.Conf != DefaultPgpoolConf() {
			t.Errorf("%q: defaults missing: %+v", text, c)
		}
	}
}

func TestMissingFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "repool.yaml")
	l, err := LoadOrDefault(path, false, "/x/pgpool.conf")
	if err != nil {
		t.Fatalf("a file that nobody named may be missing: %v", err)
	}
	if l.Path != "" || l.Config.Pgpool.Conf != "/x/pgpool.conf" {
		t.Errorf("path %q, pgpool.conf %q", l.Path, l.Config.Pgpool.Conf)
	}
	if _, err := LoadOrDefault(path, true, ""); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("a named file must exist: %v", err)
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
}

func TestPassfileMustBePrivate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open, private := filepath.Join(dir, "open"), filepath.Join(dir, "private")
	for path, mode := range map[string]os.FileMode{open: 0o640, private: 0o600} {
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Bytes("x.yaml", []byte("database:\n  passfile: "+open+"\nreplication: {passfile: "+private+"}\n"))
	want := "x.yaml:2:3: database.passfile: " + open + " can be read by others (mode 0640): chmod 600 it"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if _, err := Bytes("x.yaml", []byte("database: {passfile: "+dir+"/none}\n")); err == nil {
		t.Error("a passfile that does not exist was accepted")
	}
}

// problemLine is a problem with its place; what is missing has none.
var problemLine = regexp.MustCompile(`^fuzz\.yaml:([1-9]\d*:[1-9]\d*:)? `)

func FuzzAgentAddress(f *testing.F) {
	f.Add("local")
	f.Add("unix:/run/repool/agent.sock")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseAgent(text)
		if err != nil {
			return
		}
		if a.String() != text {
			t.Errorf("%q is read as %q", text, a)
		}
	})
}

func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.yaml")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := Bytes("fuzz.yaml", text)
		if (l == nil) == (err == nil) {
			t.Fatalf("result %v and error %v", l, err)
		}
		if err == nil {
			return
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if line == "" {
				t.Fatalf("an empty line in %q", err)
			}
			if !problemLine.MatchString(line) {
				t.Fatalf("a problem without a place: %q", line)
			}
		}
	})
}
