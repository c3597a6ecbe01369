package packages

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/repool/repool/internal/app"
)

var update = flag.Bool("update", false, "rewrite the lists in testdata")

// dist has the packages; TestMain builds them.
var dist string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "repool-dist-")
	if err == nil {
		defer os.RemoveAll(dir)
		dist = dir
		err = build(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the packages:", err)
		return 1
	}
	return m.Run()
}

// build runs what `make packages` runs.
func build(ctx context.Context, into string) error {
	cmd := exec.CommandContext(ctx, "scripts/packages.sh", into)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// The packages of this release.
func deb(name, arch string) string {
	return filepath.Join(dist, fmt.Sprintf("%s_%s_%s.deb", name, app.Version, arch))
}

func rpm(name, arch string) string {
	return filepath.Join(dist, fmt.Sprintf("%s-%s-1.%s.rpm", name, app.Version, arch))
}

// output runs a program that must succeed.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, errOut.String())
	}
	return string(out)
}
