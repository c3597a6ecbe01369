package check

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFailoverTrouble(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pid := put("pid", fmt.Sprint(os.Getpid()), 0o600)
	good, plain := put("good", "#!/bin/sh\n", 0o755), put("plain", "", 0o644)
	for command, want := range map[string]string{
		"":                              "is empty",
		good + " %d":                    "",
		filepath.Join(dir, "gone"):      "no such file",
		plain + " %d":                   "may not run it",
		dir + " %d":                     "not a regular file",
		"cd /tmp && ./failover.sh %d":   "",
		"failover.sh %d":                "",
		good + "; logger failover":      "",
		"PGUSER=x /nowhere/failover %d": "",
	} {
		conf := put("pgpool.conf", fmt.Sprintf("pid_file_name = '%s'\nfailover_command = '%s'\n", pid, command), 0o600)
		got := FailoverTrouble(conf)
		if want == "" && got != "" || want != "" && !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want %q", command, got, want)
		}
	}
}
