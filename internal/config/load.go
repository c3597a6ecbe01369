package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/repool/repool/internal/layout"
)

const (
	// DefaultPath is repool.yaml unless another path is given.
	DefaultPath = "/etc/repool/repool.yaml"
	// maxFile is far more than any real configuration needs: a wrong path must not
	// fill the memory.
	maxFile = 1 << 20
)

// DefaultPgpoolConf is pgpool.conf unless another path is given: where Debian's or RHEL's
// packages or a build from source have it.
func DefaultPgpoolConf() string { return layout.Here.Pgpool().PgpoolConf }

// Loaded is a valid repool.yaml, with every default filled in that does not
// depend on pgpool.conf.
type Loaded struct {
	Config Config
	// Path is the file it was read from; empty: there is none, only defaults.
	Path string

	sizes sizes
	at    map[string]place
}

// Sets says whether the file sets anything. The one that a package installs does not:
// every line of it is a comment.
func (l *Loaded) Sets() bool { return len(l.at) > 0 }

// Load reads and checks one repool.yaml. The error joins every problem found, each
// a *Problem.
func Load(path string) (*Loaded, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, text)
}

// LoadOrDefault reads repool.yaml at path, or at DefaultPath if path is empty. A
// missing file is an error only if the user named it (explicit); otherwise the
// defaults apply. A non-empty pgpoolConf overrides the one in the file.
func LoadOrDefault(path string, explicit bool, pgpoolConf string) (*Loaded, error) {
	if path == "" {
		path = DefaultPath
	}
	l, err := Load(path)
	if errors.Is(err, fs.ErrNotExist) && !explicit {
		l, err = parse("", nil)
	}
	if err != nil {
		return nil, err
	}
	if pgpoolConf != "" {
		l.Config.Pgpool.Conf = pgpoolConf
	}
	return l, nil
}

// Bytes is Load for text in memory; messages call it name.
func Bytes(name string, text []byte) (*Loaded, error) { return parse(name, text) }

func parse(path string, text []byte) (*Loaded, error) {
	ps := &problems{file: path, at: map[string]place{}}
	l := &Loaded{Path: path, at: ps.at}
	decode(text, &l.Config, ps)
	l.Config.fill()
	l.sizes = l.Config.validate(ps)
	if err := ps.err(); err != nil {
		return nil, err
	}
	return l, nil
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, &Problem{File: path, Msg: "not a regular file"}
	}
	if info.Size() > maxFile {
		return nil, &Problem{File: path, Msg: fmt.Sprintf("%d bytes: too large to be a repool.yaml", info.Size())}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return text, nil
}
