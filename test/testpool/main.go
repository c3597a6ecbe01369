package testpool

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/repool/repool/lab"
)

// What Main made, for the tests of this process.
var (
	templates *lab.Templates
	scratch   string
)

// Main is the TestMain of a suite of pools: it makes what the pools share, runs the tests, and removes it.
func Main(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code) //nolint:forbidigo // it stands for TestMain
}

func runAll(m *testing.M) (code int, err error) {
	if scratch, err = os.MkdirTemp("", "repool-suite-"); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if templates, err = lab.NewTemplates(); err != nil {
		return 1, err
	}
	code = m.Run()
	return code, templates.Close()
}

// Binary is the path of the repool that the tests run: REPOOL_BIN, or else one built for this process.
func Binary(t testing.TB) string {
	t.Helper()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

var binary = sync.OnceValues(func() (string, error) {
	if b := os.Getenv("REPOOL_BIN"); b != "" {
		return filepath.Abs(b)
	}
	return build("repool")
})

// CrashBinary is the path of a repool built with -tags crashpoints, which kills itself where resync.CrashEnv says.
func CrashBinary(t testing.TB) string {
	t.Helper()
	bin, err := crashBinary()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

var crashBinary = sync.OnceValues(func() (string, error) { return build("repool-crash", "-tags", "crashpoints") })

// build builds repool in the suite's directory.
func build(name string, args ...string) (string, error) {
	out := filepath.Join(scratch, name)
	args = append(append([]string{"build", "-o", out}, args...), "github.com/repool/repool/cmd/repool")
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, b)
	}
	return out, nil
}
