package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/repool/repool/internal/config"
)

// A controller that is taken out of the file is refused from then on, one that is
// added is let in, and a broken file changes nothing.
func TestNamedControllersAreReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, key := filepath.Join(dir, "repool.yaml"), filepath.Join(dir, "db1.key")
	if err := os.WriteFile(key, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	made := time.Now().Add(-time.Hour)
	write := func(text string) {
		t.Helper()
		made = made.Add(time.Second)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, made, made); err != nil {
			t.Fatal(err)
		}
	}
	file := func(names string) string {
		return "nodes: [{id: 1, data_directory: /srv/pg/b}]\ntls: {ca: /c, cert: /d, key: " +
			key + "}\nagent: {node: 1, listen: \"a:1\", controllers: " + names + "}\n"
	}
	write(file("[pgpool1, pgpool2]"))
	l, err := config.LoadOrDefault(path, true, "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.ResolveAgent()
	if err != nil {
		t.Fatal(err)
	}
	c := newNamedControllers(p, slog.New(slog.NewTextHandler(t.Output(), nil)))
	for _, step := range []struct {
		text string
		want []string
	}{
		{file("[pgpool1, pgpool2]"), []string{"pgpool1", "pgpool2"}},
		{file("[pgpool2]"), []string{"pgpool2"}},
		{file("[]"), []string{"pgpool2"}}, // nobody at all is a mistake
		{"agent: {no: thing}", []string{"pgpool2"}},
		{file("[pgpool2, pgpool3]"), []string{"pgpool2", "pgpool3"}},
	} {
		write(step.text)
		if got := c.now(); !slices.Equal(got, step.want) {
			t.Errorf("after %q: %v, want %v", step.text, got, step.want)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := c.now(); len(got) != 2 {
		t.Errorf("without the file: %v", got)
	}
}
