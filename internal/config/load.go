package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

const (
	// DefaultPath is where repool.yaml is looked for when no path is given.
	DefaultPath = "/etc/repool/repool.yaml"
	// DefaultPgpoolConf is Debian's place of pgpool.conf.
	DefaultPgpoolConf = "/etc/pgpool2/pgpool.conf"

	// maxFile is far more than any real configuration; it keeps a wrong path,
	// such as a device, from filling the memory.
	maxFile = 1 << 20
)

// Loaded is a valid repool.yaml, with every default filled in that does not
// depend on pgpool.conf.
type Loaded struct {
	Config Config
	// Path is the file it was read from; empty: there is none, all is default.
	Path string

	sizes sizes
	at    map[string]place
}

// Load reads and checks one repool.yaml. The error holds every problem found,
// each a *Problem, joined; nothing of the file is used then.
func Load(path string) (*Loaded, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, text)
}

// LoadOrDefault reads repool.yaml at path, or at DefaultPath when path is
// empty. A missing file is an error only when the user named it (explicit);
// else all defaults hold. A pgpoolConf that is not empty outranks the file's.
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

// Bytes is Load for text that is already in memory; name stands for the file
// in messages.
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
