package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
)

func main() {
	var to target
	flag.StringVar(&to.stage, "stage", "", "`directory` with what was built")
	flag.StringVar(&to.prefix, "prefix", "/usr/local", "`directory` in place of /usr")
	flag.StringVar(&to.root, "destdir", "", "`directory` in place of /")
	flag.Parse()
	for _, list := range []string{"packaging/nfpm/repool.yaml", "packaging/nfpm/repool-lab.yaml"} {
		if err := to.install(list); err != nil {
			fmt.Fprintln(os.Stderr, "install:", err)
			os.Exit(1)
		}
	}
}

// content is an entry of a package's list.
type content struct {
	Src, Dst, Type, Packager string
	FileInfo                 struct{ Mode uint32 } `yaml:"file_info"`
}

// plain is the packager whose entries are installed, beside those for every one.
const plain = "plain"

// target is where files come from and go to.
type target struct{ stage, prefix, root string }

// install copies one package's files.
func (t target) install(list string) error {
	text, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	var pack struct{ Contents []content }
	if err := yaml.Unmarshal(text, &pack); err != nil {
		return fmt.Errorf("%s: %w", list, err)
	}
	for _, c := range pack.Contents {
		if c.Packager != "" && c.Packager != plain {
			continue
		}
		if err := t.put(c); err != nil {
			return fmt.Errorf("%s: %w", c.Dst, err)
		}
	}
	return nil
}

// place is the path of a file of the package on this machine.
func (t target) place(path string) string {
	if rest, below := strings.CutPrefix(path, "/usr/"); below {
		path = filepath.Join(t.prefix, rest)
	}
	return filepath.Join(t.root, path)
}

// put copies what one entry names: a directory, a file, or all that a pattern matches.
func (t target) put(c content) error {
	dst := t.place(c.Dst)
	if c.Type == "dir" {
		return os.MkdirAll(dst, os.FileMode(c.FileInfo.Mode))
	}
	src := strings.ReplaceAll(c.Src, "${STAGE}", t.stage)
	if !strings.Contains(src, "*") {
		return t.copy(src, dst, c)
	}
	found, err := filepath.Glob(src)
	if err != nil || len(found) == 0 {
		return fmt.Errorf("nothing matches %s (%w)", src, err)
	}
	for _, one := range found {
		if err := t.copy(one, filepath.Join(dst, filepath.Base(one)), c); err != nil {
			return err
		}
	}
	return nil
}

// copy writes one file. Text names the place where things are really installed.
func (t target) copy(src, dst string, c content) error {
	if _, err := os.Stat(dst); err == nil && strings.HasPrefix(c.Type, "config") {
		return nil
	}
	text, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(c.Dst, "/usr/bin/") && !strings.HasSuffix(src, ".gz") && !strings.HasSuffix(src, ".png") {
		text = []byte(strings.NewReplacer("/usr/bin/repool", filepath.Join(t.prefix, "bin/repool"),
			"/usr/share/", filepath.Join(t.prefix, "share")+"/").Replace(string(text)))
	}
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return err
	}
	// A running program is replaced, not written into.
	if err := os.Remove(dst); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := os.WriteFile(dst, text, 0o600); err != nil {
		return err
	}
	return os.Chmod(dst, os.FileMode(c.FileInfo.Mode))
}
