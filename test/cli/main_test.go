package cli_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestScripts(t *testing.T) {
	bin := programs(t)
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+":"+os.Getenv("PATH"))
			e.Setenv("REPOOL", filepath.Join(bin, "repool"))
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("LC_ALL", "C")
			for _, name := range []string{"PORT0", "PORT1", "PCPPORT"} {
				port, err := freePort()
				if err != nil {
					return err
				}
				e.Setenv(name, port)
			}
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "json": isJSON, "expand": expand, "remember": remember, "unchanged": unchanged,
			"babble": babble, "waitfor": waitFor, "within": within,
		},
		RequireUniqueNames: true,
	})
}

// programs is the directory with the programs to test: that of REPOOL_BIN, or one
// into which they are built.
func programs(t *testing.T) string {
	t.Helper()
	if b := os.Getenv("REPOOL_BIN"); b != "" {
		path, err := filepath.Abs(b)
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Dir(path)
	}
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-o", dir, "../../cmd/repool", "../../cmd/repool-lab")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the programs: %v\n%s", err, b)
	}
	return dir
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), l.Close()
}

// exits STATUS PROGRAM ARG…: the program must end with that status. A Go panic
// is no clean ending, whatever the status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits status program [arg...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var ee *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &ee):
		got = ee.ExitCode()
	case err != nil:
		ts.Fatalf("run %s: %v", args[1], err)
	}
	if got != want {
		ts.Fatalf("status %d, want %d", got, want)
	}
	if strings.Contains(ts.ReadFile("stderr"), "goroutine ") {
		ts.Fatalf("the program panicked")
	}
}

// json FILE [PATH=KIND…]: FILE (stdout) is one JSON value, and what lies at
// each path, such as .snapshot.nodes or the whole ".", is of that kind: list,
// object, or text, or equals the text after "==".
func isJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: json file [path=kind...]")
	}
	var v any
	if err := json.Unmarshal([]byte(ts.ReadFile(args[0])), &v); err != nil {
		ts.Fatalf("%s is no JSON: %v", args[0], err)
	}
	for _, a := range args[1:] {
		path, kind, _ := strings.Cut(a, "=")
		at := v
		for key := range strings.SplitSeq(strings.Trim(path, "."), ".") {
			if key == "" {
				continue
			}
			if list, ok := at.([]any); ok {
				i, err := strconv.Atoi(key)
				if err != nil || i >= len(list) {
					ts.Fatalf("%s: no element %s", path, key)
				}
				at = list[i]
				continue
			}
			m, ok := at.(map[string]any)
			if !ok {
				ts.Fatalf("%s: nothing below %T", path, at)
			}
			at = m[key]
		}
		if text, ok := strings.CutPrefix(kind, "="); ok {
			if fmt.Sprint(at) != text {
				ts.Fatalf("%s is %v, want %s", path, at, text)
			}
			continue
		}
		want := map[string]any{"list": []any{}, "object": map[string]any{}, "text": ""}[kind]
		if at == nil || reflect.TypeOf(at) != reflect.TypeOf(want) {
			ts.Fatalf("%s is %T (%v), want %s", path, at, at, kind)
		}
	}
}

// expand FILE…: replaces $NAME in each by the script's variables.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		file := ts.MkAbs(name)
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(file, []byte(text), 0o600))
	}
}

// listing is everything below a directory: type, mode, owner's view of size and
// time of change, and each file's text.
func listing(ts *testscript.TestScript, dir string) string {
	var b strings.Builder
	ts.Check(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %s %d %s\n", path, info.Mode(), info.Size(), info.ModTime().Format(time.RFC3339Nano))
		if info.Mode().IsRegular() {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%x\n", text)
		}
		return nil
	}))
	return b.String()
}

// remember DIR: notes what is there, for unchanged.
func remember(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: remember dir")
	}
	ts.Setenv("remembered_"+args[0], listing(ts, ts.MkAbs(args[0])))
}

// unchanged DIR: nothing is there that was not, nothing gone, nothing touched.
func unchanged(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: unchanged dir")
	}
	was, is := ts.Getenv("remembered_"+args[0]), listing(ts, ts.MkAbs(args[0]))
	if was != is {
		ts.Fatalf("%s was changed:\nbefore\n%s\nafter\n%s", args[0], was, is)
	}
}

// babble unix PATH | tcp PORT TEXT: listens there, and answers everybody with
// TEXT (\r, \n, \0 and \x7f stand for those bytes), until the script ends.
func babble(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: babble unix|tcp address text")
	}
	text := strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\0`, "\x00", `\x7f`, "\x7f").Replace(args[2])
	address := "127.0.0.1:" + args[1]
	if args[0] == "unix" {
		address = ts.MkAbs(args[1])
	}
	l, err := net.Listen(args[0], address)
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(30 * time.Second))
				if _, err := c.Read(make([]byte, 4096)); err == nil {
					_, _ = c.Write([]byte(text))
				}
			}()
		}
	}()
}

// waitFor PATH: something is there, within 30 seconds.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	deadline, tick := time.After(30*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Lstat(ts.MkAbs(args[0])); err == nil {
			return
		}
		select {
		case <-deadline:
			ts.Fatalf("%s did not appear", args[0])
		case <-tick.C:
		}
	}
}

// within N FILE: FILE has at most N lines: an error is to be short.
func within(ts *testscript.TestScript, _ bool, args []string) {
	most, err := strconv.Atoi(args[0])
	ts.Check(err)
	text := strings.TrimRight(ts.ReadFile(args[1]), "\n")
	if n := strings.Count(text, "\n") + 1; n > most {
		ts.Fatalf("%s has %d lines, want at most %d", args[1], n, most)
	}
}
